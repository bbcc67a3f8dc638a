"""`paramedic simulate`: scenarios in virtual time, through the same detector code, far faster than real time."""

from typing import Annotated

import typer

from paramedic_cli.options import JsonTo, Seed
from paramedic_cli.output import check_json_target, console_for, write_json

Scenarios = Annotated[
    list[str] | None, typer.Argument(metavar="[SCENARIO...]", help="Names or files; demo when nothing is given.")
]
Suite = Annotated[
    str | None,
    typer.Option(
        "--suite",
        metavar="NAME",
        help="Instead of scenarios: files (all that come with it), held-out (random systems) or clean (no fault).",
    ),
]
Runs = Annotated[int, typer.Option("--runs", metavar="N", min=1, help="How many systems or days of a suite.")]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Processes that share the runs.")]
Hours = Annotated[float, typer.Option("--hours", metavar="H", min=0.1, help="Of each run of the suite clean.")]


def simulate(
    scenarios: Scenarios = None,
    seed: Seed = 1,
    suite: Suite = None,
    runs: Runs = 7,
    hours: Hours = 24.0,
    jobs: Jobs = 1,
    json_to: JsonTo = None,
) -> None:
    """Run scenarios in virtual time through the detector and print the scorecard."""
    from paramedic_cli.simulated import plans_of, run_all, simulated_tables
    from paramedic_detector.simulate.card import scorecard

    check_json_target(json_to)
    plans = plans_of(scenarios or [], suite, runs, hours)
    console = console_for(json_to)
    card = scorecard(run_all(plans, seed, jobs, console))
    console.print(simulated_tables(card))
    write_json(card, json_to)
