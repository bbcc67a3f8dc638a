"""`paramedic demo`: a real bot is hurt three ways, and one watches paramedic treat it."""

from pathlib import Path
from typing import Annotated

import typer

from paramedic_cli.options import JsonTo, Seed
from paramedic_cli.output import check_json_target, console_for, write_json

Duration = Annotated[float, typer.Option("--duration", metavar="SECONDS", help="How long the run is; faults scale.")]
NoDashboard = Annotated[bool, typer.Option("--no-dashboard", help="Leave the dashboard out.")]
Keep = Annotated[bool, typer.Option("--keep", help="Stay up after the scorecard, until Ctrl-C.")]
Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Keep logs, messages and data of the run here.")
]


def demo(
    duration: Duration = 180.0,
    no_dashboard: NoDashboard = False,
    json_to: JsonTo = None,
    seed: Seed = 1,
    keep: Keep = False,
    folder: Folder = None,
) -> None:
    """Start the platform and a support bot, hurt it three ways, and score how it was treated."""
    from paramedic_cli.evidence import Arm, Run
    from paramedic_cli.experiment import Experiment, Plan
    from paramedic_cli.report import scorecard_tables
    from paramedic_cli.scorecard import scorecard
    from paramedic_cli.trial import run_folder, run_plan, scenario_named

    check_json_target(json_to)
    scenario = scenario_named("demo", duration)
    console = console_for(json_to)

    def finish(experiment: Experiment, run: Run) -> None:
        card = scorecard([run])
        console.print(scorecard_tables(card))
        write_json(card, json_to)
        if keep:
            console.print("the platform and the bots stay up until Ctrl-C:")
            for name, url in experiment.progress.addresses.items():
                console.print(f"  {name}: {url}", markup=False)
            experiment.wait()

    with run_folder(folder) as where:
        plan = Plan(scenario, Arm.PLATFORM, seed, where, with_dashboard=not no_dashboard)
        run_plan(plan, console, finish)
