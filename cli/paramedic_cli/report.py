"""The scorecard and the comparison of arms as tables for people: one column a fault, one column an arm."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Figures = Mapping[str, Any]
Rows = Sequence[tuple[str, Callable[[Figures], RenderableType]]]

ARM_TITLES = {"bare": "bare bot", "sdk": "SDK alone", "platform": "SDK and platform"}
FAULTS_A_TABLE = 3  # side by side


def scorecard_tables(card: Figures) -> RenderableType:
    """The faults, three side by side, then the totals."""
    faults = card["scenarios"]
    groups = [faults[i : i + FAULTS_A_TABLE] for i in range(0, len(faults), FAULTS_A_TABLE)]
    tables = [_table("Scorecard", [fault["name"] for fault in group], FAULT_ROWS, group) for group in groups]
    return Group(*tables, _totals(card["totals"]))


def arms_table(arms: Mapping[str, Figures]) -> Table:
    """The arms side by side, on the same scenarios and seed."""
    return _table("Three arms", [ARM_TITLES[arm] for arm in arms], ARM_ROWS, list(arms.values()))


def _table(title: str, heads: Sequence[str], rows: Rows, columns: Sequence[Figures]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, style="dim", no_wrap=True)
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    for name, show in rows:
        table.add_row(name, *(show(figures) for figures in columns))
    return table


def _totals(totals: Figures) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, show in TOTAL_ROWS:
        table.add_row(Text(name, style="dim"), show(totals))
    return table


def share(value: float | None, interval: Sequence[float] | None) -> str:
    """A share with its 95 % interval: "99.71 % [99.31, 99.88]"."""
    if value is None or interval is None:
        return "-"
    return f"{value * 100:.2f} % [{interval[0] * 100:.2f}, {interval[1] * 100:.2f}]"


def _share(name: str) -> Callable[[Figures], RenderableType]:
    return lambda figures: Text(share(figures[name], figures[f"{name}_interval"]))


def _said(fault: Figures) -> Text:
    if not fault["detected"]:
        return Text("nothing", style="red")
    words = f"{fault['classified_as']}, {fault['confidence']:.0%} sure"
    return Text(words, style="green" if fault["class_correct"] else "red")


def _back(fault: Figures) -> str:
    return "never hurt" if fault["recovered_seconds"] == 0 else _seconds(fault["recovered_seconds"])


def _yes(value: bool) -> Text:
    return Text("yes", style="green") if value else Text("no", style="red")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


FAULT_ROWS: Rows = (
    ("truth", lambda f: Text(f"{f['fault_class']} of {f['target']}")),
    ("paramedic said", _said),
    ("detected after", lambda f: _seconds(f["detect_seconds"])),
    ("did", lambda f: Text(f["action"] or "nothing")),
    ("applied after", lambda f: _seconds(f["act_seconds"])),
    ("verified", lambda f: _yes(f["verified"])),
    ("users back after", _back),
    ("users served [95 %]", _share("availability")),
)
TOTAL_ROWS: Rows = (
    ("faults detected", lambda t: f"{t['detected']} of {t['faults']}"),
    ("incidents false, extra", lambda t: f"{t['false_incidents']}, {t['extra_incidents']}"),
    ("class and target right", lambda t: _percent(t["class_accuracy"])),
    (
        "root cause first, in first 3",
        lambda t: f"{_percent(t['root_cause_top1'])}, {_percent(t['root_cause_top3'])}",
    ),
    ("treated, verified, no human", lambda t: f"{t['auto_resolved']} of {t['faults']}"),
    ("detected after, p50, p95", lambda t: f"{_seconds(t['detect_seconds_p50'])}, {_seconds(t['detect_seconds_p95'])}"),
    (
        "usual rules fired (with for: 0)",
        lambda t: f"{t['raw_alerts']} ({t['raw_alerts_at_once']}), messages sent {t['notifications']}",
    ),
    ("noise reduction", lambda t: f"{_percent(t['noise_reduction'])} at recall {_percent(t['incident_recall'])}"),
    ("users served, whole run", _share("availability")),
    ("messages of users", lambda t: str(t["requests"])),
)
ARM_ROWS: Rows = (
    ("users served, whole run", _share("availability")),
    ("users served during faults", _share("availability_during_faults")),
    ("wait during faults, p50", lambda a: _seconds(a["fault_latency_p50_seconds"])),
    ("wait during faults, p95", lambda a: _seconds(a["fault_latency_p95_seconds"])),
    ("calls to providers", lambda a: str(a["provider_calls"])),
    ("of them wasted", lambda a: str(a["wasted_calls"])),
    ("cost of the providers", lambda a: f"{a['cost_usd']:.4f} USD"),
    ("messages to people", lambda a: str(a["notifications"])),
    ("messages of users", lambda a: str(a["requests"])),
)
