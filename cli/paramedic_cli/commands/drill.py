"""`paramedic drill`: scenarios of faults with known truth, run against real processes and scored."""

from typing import Annotated

import typer

from paramedic_cli.commands.demo import Folder
from paramedic_cli.options import JsonTo, Seed
from paramedic_cli.output import check_json_target, console_for, write_json

Scenarios = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCENARIO...]", help="Names, files, or folders of them; demo when none is given."),
]
Compare = Annotated[
    bool, typer.Option("--compare", help="Run three arms on the same seed: bare bot, SDK alone, SDK with platform.")
]
Scale = Annotated[float | None, typer.Option("--duration", metavar="SECONDS", help="Of each run; faults scale.")]


def drill(
    scenarios: Scenarios = None,
    seed: Seed = 1,
    compare: Compare = False,
    duration: Scale = None,
    json_to: JsonTo = None,
    folder: Folder = None,
) -> None:
    """Run scenarios against real processes and print the scorecard."""
    from paramedic_cli.comparison import arm_figures
    from paramedic_cli.evidence import Arm, Run
    from paramedic_cli.experiment import Plan
    from paramedic_cli.report import arms_table, scorecard_tables
    from paramedic_cli.scorecard import scorecard
    from paramedic_cli.trial import run_folder, run_plan, scenarios_named

    check_json_target(json_to)
    found = scenarios_named(scenarios or ["demo"], duration)
    console = console_for(json_to)
    runs: dict[Arm, list[Run]] = {arm: [] for arm in (Arm if compare else [Arm.PLATFORM])}
    with run_folder(folder) as where:
        for number, scenario in enumerate(found, 1):
            for arm, done in runs.items():
                plan = Plan(scenario, arm, seed, where / f"{number}-{scenario.name}-{arm}")
                done.append(run_plan(plan, console))
    card = scorecard(runs[Arm.PLATFORM], runs.get(Arm.SDK, ()), runs.get(Arm.BARE, ()))
    console.print(scorecard_tables(card))
    if compare:
        card["arms"] = {arm.value: arm_figures(done) for arm, done in runs.items()}
        console.print(arms_table(card["arms"]))
    write_json(card, json_to)
