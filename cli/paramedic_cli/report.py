"""The scorecard and the comparison of arms as tables for people."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Figures = Mapping[str, Any]

FAULT_COLUMNS = ("fault", "truth", "of", "detected", "said", "action", "acted", "verified", "users back", "available")

ARM_TITLES = {"bare": "bare bot", "sdk": "SDK alone", "platform": "SDK and platform"}


def scorecard_tables(card: Figures) -> RenderableType:
    """One row a fault, then the totals."""
    return Group(_faults(card["scenarios"]), Text(), _totals(card["totals"]))


def arms_table(arms: Mapping[str, Figures]) -> Table:
    """The three arms side by side, on the same scenarios and seed."""
    table = Table(
        "what users and owners got", *(ARM_TITLES[arm] for arm in arms), title="Three arms", title_justify="left"
    )
    for title, show in ARM_ROWS:
        table.add_row(title, *(show(figures) for figures in arms.values()))
    return table


def _faults(scenarios: Sequence[Figures]) -> Table:
    table = Table(title="Scorecard", title_justify="left")
    for title in (
        "fault",
        "true class",
        "of",
        "detected",
        "said",
        "action",
        "acted",
        "verified",
        "users back",
        "available",
    ):
        table.add_column(title, overflow="fold")
    for s in scenarios:
        table.add_row(
            escape(s["name"]),
            s["fault_class"],
            s["target"],
            _seconds(s["detect_seconds"]) if s["detected"] else Text("no", style="red"),
            _said(s),
            escape(s["action"] or "none"),
            _seconds(s["act_seconds"]),
            _yes(s["verified"]),
            s["note"] if s["note"] == "users never noticed" else _seconds(s["recovered_seconds"]),
            share(s["availability"], s["availability_interval"]),
        )
    return table


def _totals(totals: Figures) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {
        "faults detected": f"{totals['detected']} of {totals['faults']}"
        f" (false incidents: {totals['false_incidents']}, extra: {totals['extra_incidents']})",
        "class and target right": _percent(totals["class_accuracy"]),
        "root cause first, in first three": _pair(_percent, totals["root_cause_top1"], totals["root_cause_top3"]),
        "treated and verified alone": f"{totals['auto_resolved']} of {totals['faults']}",
        "detected within, median and 95th": _pair(_seconds, totals["detect_seconds_p50"], totals["detect_seconds_p95"]),
        "rule alerts, incidents, messages": f"{totals['raw_alerts']}, {totals['incidents']}, {totals['notifications']}",
        "noise reduction": f"{_percent(totals['noise_reduction'])} at recall {_percent(totals['incident_recall'])}",
        "users' useful answers, whole run": share(totals["availability"], totals["availability_interval"])
        + f" of {totals['requests']} messages",
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), value)
    return table


def share(value: float | None, interval: Sequence[float] | None) -> str:
    """A share with its 95 % interval: "99.71 % [99.31, 99.88]"."""
    if value is None or interval is None:
        return "-"
    return f"{value * 100:.2f} % [{interval[0] * 100:.2f}, {interval[1] * 100:.2f}]"


def _said(scenario: Figures) -> Text:
    if not scenario["detected"]:
        return Text("-")
    words = f"{scenario['classified_as']} ({scenario['confidence']:.0%})"
    return Text(words, style="green" if scenario["class_correct"] else "red")


def _pair(show: Callable[[float | None], str], one: float | None, other: float | None) -> str:
    return f"{show(one)}, {show(other)}"


def _yes(value: bool) -> Text:
    return Text("yes", style="green") if value else Text("no", style="red")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


ARM_ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("useful answers, whole run [95 %]", lambda a: share(a["availability"], a["availability_interval"])),
    (
        "useful answers during faults [95 %]",
        lambda a: share(a["availability_during_faults"], a["availability_during_faults_interval"]),
    ),
    ("wait during faults, median", lambda a: _seconds(a["fault_latency_p50_seconds"])),
    ("wait during faults, 95th", lambda a: _seconds(a["fault_latency_p95_seconds"])),
    ("calls to providers", lambda a: str(a["provider_calls"])),
    ("of them wasted", lambda a: str(a["wasted_calls"])),
    ("cost of the providers", lambda a: f"{a['cost_usd']:.4f} USD"),
    ("messages to people", lambda a: str(a["notifications"])),
    ("messages of users", lambda a: str(a["requests"])),
)
