"""What `simulate` needs: plans by name, file or suite, runs with progress, and the scorecard as tables."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from paramedic_cli.errors import UserError
from paramedic_demo.faults import did_you_mean
from paramedic_demo.scenario import FOLDER as DEMO_FOLDER
from paramedic_demo.scenario import names as demo_names
from paramedic_detector.simulate import files, suites
from paramedic_detector.simulate.plan import Plan
from paramedic_detector.simulate.reading import ScenarioMistakes
from paramedic_detector.simulate.runner import Result, run

SUITES = ("files", "held-out", "clean")


def plans_of(scenarios: Sequence[str], suite: str | None, runs: int, hours: float) -> list[Plan]:
    """The plans that are asked for.

    Raises:
        UserError: There is no such scenario or suite, or a file has mistakes.
    """
    if suite is not None and scenarios:
        raise UserError(f"give scenarios or --suite {suite}, not both", code=2)
    try:
        if suite is None:
            return [plan_named(name) for name in scenarios or ["demo"]]
        if suite == "files":
            return [files.load_named(name) for name in files.names()]
    except ScenarioMistakes as wrong:
        raise UserError(*wrong.mistakes, code=2) from None
    if suite == "held-out":
        return [suites.faulty_plan(suites.HELD_OUT + number) for number in range(runs)]
    if suite == "clean":
        return [suites.clean_plan(suites.HELD_OUT + number, 3600 * hours) for number in range(runs)]
    raise UserError(f"--suite must be one of {', '.join(SUITES)}, got {suite!r}{did_you_mean(suite, SUITES)}", code=2)


def plan_named(name: str) -> Plan:
    """A scenario of the simulation or of the demo, or a file.

    Raises:
        ScenarioMistakes: None is called so, or the file has mistakes.
    """
    path = Path(name)
    if path.suffix or path.is_file():
        return files.load(path)
    if name in files.names():
        return files.load_named(name)
    if name in demo_names():
        return files.load(DEMO_FOLDER / f"{name}.yaml")
    known = sorted({*files.names(), *demo_names()})
    listed = f"there are {', '.join(known)}, or give a file"
    raise ScenarioMistakes([f"there is no scenario {name!r}{did_you_mean(name, known)}; {listed}"])


def run_all(plans: Sequence[Plan], seed: int, jobs: int, console: Console) -> list[Result]:
    """Run the plans, with a bar for people."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        if jobs == 1:
            return list(_one_by_one(plans, seed, progress))
        task = progress.add_task("all runs", total=len(plans))
        with ProcessPoolExecutor(jobs) as pool:
            found = []
            for result in pool.map(run, plans, [seed] * len(plans)):
                found.append(result)
                progress.advance(task)
            return found


def _one_by_one(plans: Sequence[Plan], seed: int, progress: Progress) -> Iterator[Result]:
    for plan in plans:
        task = progress.add_task(plan.name, total=1.0)
        yield run(plan, seed, progress=partial(_show, progress, task))
        progress.update(task, completed=1.0)


def _show(progress: Progress, task: TaskID, share: float) -> None:
    progress.update(task, completed=share)


def simulated_tables(card: dict[str, Any]) -> RenderableType:
    """One line a fault (by class when there are many), then the totals."""
    faults = card["scenarios"]
    return Group(_faults(faults) if len(faults) <= 40 else _by_class(card["classes"]), _totals(card["totals"]))


def _faults(faults: Sequence[dict[str, Any]]) -> Table:
    table = Table("fault", "found after", "named", "sure", "root cause", box=SIMPLE_HEAD, pad_edge=False)
    for one in faults:
        wrong = "" if one["class_correct"] or not one["detected"] else f" (is {one['fault_class']})"
        place = one["root_cause_rank"]
        table.add_row(
            Text(one["name"]),
            f"{one['detect_seconds']:.0f} s" if one["detected"] else Text("not found", style="bold red"),
            Text(f"{one['classified_as'] or '-'}{wrong}", style="yellow" if wrong else ""),
            _percent(one["confidence"]),
            Text(
                f"{one['suspected'] or '-'}"
                + ("" if place == 1 else f" (is {one['target']})" if one["detected"] else "")
            ),
        )
    return table


def _by_class(classes: dict[str, Any]) -> Table:
    table = Table(
        "class", "faults", "found", "named rightly", "root cause first", "named", box=SIMPLE_HEAD, pad_edge=False
    )
    for name, one in classes.items():
        named = ", ".join(f"{other} {count}" for other, count in one["named"].items() if other != name)
        counts = (one["faults"], one["detected"], one["class_correct"], one["root_cause_top1"])
        table.add_row(name, *map(str, counts), Text(named))
    return table


def _totals(totals: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {
        "found": f"{totals['detected']} of {totals['faults']}",
        "after": f"p50 {_seconds(totals['detect_seconds_p50'])}, p95 {_seconds(totals['detect_seconds_p95'])}",
        "false incidents": f"{totals['false_incidents']} in {totals['clean_hours']:.1f} hours without a fault",
        "incidents": f"{totals['incidents']}, of them {totals['extra_incidents']} that tell of a fault once more",
        "class right": f"{_percent(totals['class_accuracy'])} of those found",
        "sure and wrong": f"{_percent(totals['confident_mistakes'])} of {totals['confident']} that are sure",
        "root cause": f"first {_percent(totals['root_cause_top1'])}, among three {_percent(totals['root_cause_top3'])}",
        "foretold": _foretold(totals),
        "noise": f"{totals['notifications']} messages for {totals['raw_alerts']} alerts of the published rules",
        "speed": f"{totals['simulated_hours']:.1f} hours, {totals['times_real_time'] or 0:.0f} times real time",
    }
    for name, words in rows.items():
        table.add_row(Text(name, style="dim"), words)
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _foretold(totals: dict[str, Any]) -> str:
    ahead = _seconds(totals["forecast_lead_seconds_p50"])
    right = f"{_percent(totals['forecast_precision'])} of {totals['forecasts']} forecasts right"
    return f"{totals['leaks_foretold']} of {totals['leaks']} leaks, p50 {ahead} ahead; {right}"
