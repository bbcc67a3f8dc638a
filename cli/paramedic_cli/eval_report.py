"""What `paramedic eval` shows in a terminal: tables made from the scorecard of a set. Nothing is decided here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Figures = Mapping[str, Any]
MOST_ROWS = 12  # of a list that may be long; the JSON has all of it


def eval_tables(card: Figures) -> RenderableType:
    """Everything, from detection down to what the set cannot tell."""
    parts: list[RenderableType] = [_head(card["dataset"])]
    if card["detection"]:
        parts += [_detection(card["detection"]), *_lists(card["detection"])]
    if card["root_cause"]:
        parts.append(
            _rankings("Root cause, of the faults", card["root_cause"]["variants"], _variant, card["published"])
        )
    if card["alert_set"]:
        parts.append(_rankings("Root cause, from alerts", card["alert_set"]["variants"], _alone, card["published"]))
    parts += [_classes(name, card["classes"][key]) for name, key in NAMINGS if card["classes"][key]]
    if card["texts"]:
        parts.append(_texts(card["texts"]))
    parts += [Text(f"paramedic itself failed: {sentence}", style="red") for sentence in card["broken"]]
    if card["not_measured"]:
        parts.append(Text("Not measured, or with care", style="bold"))
        parts += [Text(f"  {sentence}") for sentence in card["not_measured"]]
    return Group(*(part for pair in zip(parts, [Text()] * len(parts), strict=True) for part in pair))


NAMINGS = (
    ("Class, as the incident said it", "of_incidents"),
    ("Class, given the labelled onset", "given_labelled_onset"),
)


def _head(data: Figures) -> Text:
    types = ", ".join(f"{count} {name}" for name, count in (data["fault_types"] or {}).items())
    grain = f", one point in {data['granularity_seconds']:g} s" if data["granularity_seconds"] else ""
    text = Text(f"{data['name']}: {data['faults']} faults", style="bold")
    return text.append(f"{f' ({types})' if types else ''}; {', '.join(data['kinds'])}{grain}", style="not bold")


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, overflow="fold", style="dim" if place == 0 else "")
    return table


def _detection(stretches: Sequence[Figures]) -> Table:
    table = _table("Detection", *(moment(one["start"]) for one in stretches))
    for name, show in DETECTION:
        table.add_row(name, *(show(one) for one in stretches))
    return table


def _lists(stretches: Sequence[Figures]) -> list[RenderableType]:
    found: list[RenderableType] = []
    for one in stretches:
        if one["missed"]:
            table = _table(f"Missed, {moment(one['start'])}", "root cause", "type", "why")
            for row in one["missed"][:MOST_ROWS]:
                table.add_row(row["case"], row["target"], row["fault_type"], Text(row["why"]))
            found.append(_with_rest(table, one["missed"]))
        if one["beside"]:
            table = _table(f"Openings beside, {moment(one['start'])}", "what", "incident", "first series")
            for row in one["beside"][:MOST_ROWS]:
                table.add_row(clock(row["at"]), row["what"], Text(row["title"]), Text((row["series"] or [""])[0]))
            found.append(_with_rest(table, one["beside"]))
    return found


def _with_rest(table: Table, rows: Sequence[Figures]) -> Table:
    if len(rows) > MOST_ROWS:
        table.add_row("", f"and {len(rows) - MOST_ROWS} more, see --json", *[""] * (len(table.columns) - 2))
    return table


def _rankings(title: str, variants: Sequence[Figures], name: Any, published: Sequence[Figures]) -> Table:
    table = _table(title, "faults", "top-1", "top-3", "top-5", "MRR", "by chance")
    for one in variants:
        shares = [brief(one[key]) for key in ("top1", "top3", "top5")]
        table.add_row(name(one), str(one["faults"]), *shares, number(one["mrr"]), percent(one["chance_top1"]))
    for one in published:
        if one["task"] == "root cause":
            shares = [percent(one.get(key)) for key in ("top1", "top3", "top5")]
            table.add_row(f"{one['who']} ({one['given']})", "", *shares, "", "")
    return table


def _variant(one: Figures) -> str:
    return f"given {one['onset']}, {'with' if one['logs'] else 'without'} logs"


def _alone(one: Figures) -> str:
    return str(one["variant"])


def _classes(title: str, naming: Figures) -> Table:
    table = _table(title, "faults", "answers")
    for truth, answers in naming["confusion"].items():
        said = ", ".join(f"{name} {count}" for name, count in answers.items())
        table.add_row(truth, str(sum(answers.values())), Text(said))
    right = f"class right {share(naming['accuracy'])}; with target {share(naming['with_target'])}"
    sure = f"sure and wrong {share(naming['sure_and_wrong'])}; macro-F1 {number(naming['macro_f1'])}"
    table.add_row("all", str(naming["faults"]), f"{right}; {sure}; Brier {number(naming['brier'])}")
    return table


def _texts(texts: Figures) -> Table:
    table = _table("Grouping of texts", "pair F1", "precision", "recall")
    rule = texts["rule_of_a_pause"]
    named = [("paramedic", texts), *texts["by_source"].items(), ("rule: a pause of 180 minutes", rule)]
    for name, one in named:
        table.add_row(name, *(number(one[key]) for key in ("pair_f1", "pair_precision", "pair_recall")))
    return table


def share(value: Figures | None) -> str:
    """As in `17 of 17 (1.00 [.82, 1.00])`."""
    if value is None or value["value"] is None:
        return "-"
    low, high = value["interval"]
    return f"{value['good']} of {value['of']} ({value['value']:.2f} [{low:.2f}, {high:.2f}])"


def brief(value: Figures) -> str:
    """As in `1.00 [.82, 1.00]`, where the counts stand beside it."""
    if value["value"] is None:
        return "-"
    low, high = value["interval"]
    return f"{value['value']:.2f} [{low:.2f}, {high:.2f}]"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def outside(one: Figures) -> str:
    known = f", {one['explained']} of them known injections without a label" if one["explained"] else ""
    return f"{one['outside']}{known}"


def rate(one: Figures) -> str:
    if one["false_per_hour"] is None:
        return "-"
    known = f" ({one['unexplained_per_hour']:.2f} without the known)" if one["explained"] else ""
    return f"{one['false_per_hour']:.2f}{known} in {one['fault_free_hours']:.1f} h"


def noise(one: Figures) -> str:
    sigma = "-" if one["sigma_alerts"] is None else f"{one['sigma_alerts']:,}"
    return f"{one['openings']} from {sigma} three-sigma alerts"


DETECTION = (
    ("seen", lambda one: ", ".join(one["seen"]) or "nothing"),
    ("hours", lambda one: f"{one['hours']:.1f}"),
    ("found", lambda one: share(one["recall"])),
    ("found by chance, as many openings", lambda one: percent(one["chance_recall"])),
    ("delay p50, p90, max", lambda one: ", ".join(seconds(one[f"delay_seconds_{q}"]) for q in ("p50", "p90", "max"))),
    ("openings outside of labels", outside),
    ("of them a fault-free hour", rate),
    ("second openings for one fault", lambda one: str(one["extra"])),
    ("incidents", noise),
)
