"""Objectives as people read them in a terminal. Nothing is decided here."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paramedic_detector.api.slos import SloDetail, SloOut
from paramedic_detector.slo.objectives import Objective

DAY_S, HOUR_S = 86_400.0, 3600.0


def slo_rows(slos: Sequence[SloOut]) -> Table:
    table = Table(
        "objective", "state", "achieved", "target", "budget left", "burns", "measured", box=None, pad_edge=False
    )
    for one in slos:
        broken = ", ".join(burn.rule for burn in one.burns if burn.broken)
        row = (_percent(one.achieved, 3), f"{one.target:.4g}", _percent(one.budget_left), broken or "-")
        table.add_row(escape(one.name), one.state.replace("_", " "), *row, _percent(one.coverage))
    return table


def slo_page(slo: SloDetail) -> RenderableType:
    """One objective, from the verdict down to its rules."""
    facts = Table.grid(padding=(0, 2))
    limit = f" within {slo.at_most_s:g} s" if slo.at_most_s else ""
    for name, value in (
        ("state", slo.state.replace("_", " ")),
        ("asked", f"{slo.target:.4%} {slo.measure.replace('_', ' ')}{limit} over {span(slo.window_s)}"),
        ("achieved", f"{_percent(slo.achieved, 3)}, measured {_percent(slo.coverage)} of that time"),
        ("budget", f"{_percent(slo.budget_left)} left" + (f", gone in {span(slo.gone_in_s)}" if slo.gone_in_s else "")),
        ("series", slo.series),
        ("from", slo.source or "no file: what every service that users reach gets"),
    ):
        facts.add_row(Text(name, style="dim"), Text(value))
    rules = Table("rule", "long", "short", "broken", box=None, pad_edge=False)
    for burn in slo.burns:
        rules.add_row(burn.rule, _rate(burn.long), _rate(burn.short), "yes" if burn.broken else "no")
    return Group(Text(f"{slo.name}  {slo.title}".rstrip(), style="bold"), facts, Text(), rules)


def declared_rows(objectives: Sequence[Objective]) -> Table:
    table = Table("objective", "service", "measure", "target", "window", "file", box=None, pad_edge=False)
    for one in objectives:
        limit = f" <= {one.at_most_s:g} s" if one.at_most_s else ""
        row = (escape(one.service), one.measure.value + limit, f"{one.target:.4g}", span(one.window_s))
        table.add_row(one.name, *row, escape(one.source))
    return table


def span(seconds: float) -> str:
    """A length of time, in the largest unit of which there are two."""
    for unit, size in (("d", DAY_S), ("h", HOUR_S), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _percent(share: float | None, digits: int = 1) -> str:
    return "no data" if share is None else f"{100 * share:.{digits}f} %"


def _rate(rate: float | None) -> str:
    return "no data" if rate is None else f"{rate:.2f}"
