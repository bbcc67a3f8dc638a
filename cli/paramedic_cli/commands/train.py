"""`paramedic train`: a new model of the diagnosis, compared with the one in use, and the way back."""

from pathlib import Path
from typing import Annotated

import typer

from paramedic_cli.errors import UserError
from paramedic_cli.options import DataDir, JsonTo, environment

Data = Annotated[
    list[Path] | None, typer.Option("--data", metavar="FOLDER", help="Recorded sets to learn from, too; repeatable.")
]
Systems = Annotated[int, typer.Option("--systems", min=1, metavar="N", help="Simulated systems to learn from.")]
HeldOut = Annotated[int, typer.Option("--held-out", min=1, metavar="N", help="Others, to measure on.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, metavar="N", help="Processes that share the simulation.")]
Examples = Annotated[
    Path | None, typer.Option("--examples", metavar="FILE", help="Keep the examples there, or take them from there.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the model there; change nothing else.")]
Seed = Annotated[int, typer.Option("--seed", help="Same examples, same seed, same model.")]
Promote = Annotated[
    bool | None,
    typer.Option("--promote/--keep", help="Use it also when it is the first, or never; without, when it is better."),
]
Revert = Annotated[bool, typer.Option("--revert", help="Train nothing; go back to the model that was used before.")]


def train(
    data: Data = None,
    systems: Systems = 12,
    held_out: HeldOut = 4,
    jobs: Jobs = 1,
    examples: Examples = None,
    out: Out = None,
    seed: Seed = 7,
    promote: Promote = None,
    revert: Revert = False,
    data_dir: DataDir = None,
    json_to: JsonTo = None,
) -> None:
    """Train the diagnosis from simulation, recorded sets and what people said; use it when it is better."""
    from paramedic_cli.eval_progress import Bar
    from paramedic_cli.output import check_json_target, console_for, write_json
    from paramedic_cli.settings import settings_of
    from paramedic_cli.training import Wanted, reverted, train_tables, trained

    check_json_target(json_to)
    console = console_for(json_to)
    settings = settings_of({}, environment(data_dir), None)
    if revert:
        version = reverted(settings.data_dir)
        console.print(f"model {version or 'that comes with paramedic'} is used from the detector's next start on")
        write_json({"version": version}, json_to)
        return
    if out is not None and not out.absolute().parent.is_dir():
        raise UserError(f"--out {out} cannot be written; name a file in a folder that exists", code=2)
    given = (tuple(data or ()), systems, held_out, jobs, examples, out, seed, promote)
    wanted = Wanted(*given, settings.data_dir, settings.store_url)
    with Bar(console) as bar:
        report = trained(wanted, bar)
    console.print(train_tables(report))
    write_json(report, json_to)
