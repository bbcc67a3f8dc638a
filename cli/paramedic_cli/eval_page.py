"""The accuracy page: what `paramedic eval` found, as Markdown between two marks of a page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paramedic_cli.errors import UserError
from paramedic_cli.eval_report import DETECTION, brief, moment, number, percent, share

Figures = Mapping[str, Any]
BEGIN, END = "<!-- eval: begin -->", "<!-- eval: end -->"
HEAD = "### "  # of the section of one set


def check_page(page: Path | None) -> None:
    """Find out before the work that the page has its marks.

    Raises:
        UserError: It cannot be read, or has no marks.
    """
    if page is not None:
        _around(page)


def put_page(page: Path | None, cards: Sequence[Figures]) -> None:
    """Replace the sections of these sets between the marks, and keep those of others; nothing without a page."""
    if page is None:
        return
    before, between, after = _around(page)
    sections = dict(_sections(between)) | {str(card["dataset"]["name"]): _set(card) for card in cards}
    text = "\n\n".join(sections[name] for name in sorted(sections))
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _sections(text: str) -> list[tuple[str, str]]:
    """(name, text) of each section that stands there already."""
    parts = [part.strip() for part in f"\n{text}".split(f"\n{HEAD}")[1:]]
    return [(part.partition("\n")[0].strip(), f"{HEAD}{part}") for part in parts]


def _around(page: Path) -> tuple[str, str, str]:
    try:
        text = page.read_text()
    except OSError as error:
        raise UserError(f"--page {page} cannot be read: {error.strerror}", code=2) from None
    before, begins, rest = text.partition(BEGIN)
    between, ends, after = rest.partition(END)
    if not begins or not ends:
        raise UserError(f"--page {page} must have a line {BEGIN} and a line {END} below it", code=2)
    return before, between, after


def _set(card: Figures) -> str:
    data = card["dataset"]
    parts = [f"{HEAD}{data['name']}", _about(data)]
    if card["detection"]:
        parts += [_detection(card["detection"]), *_others(card["published"]), *_missed(card["detection"])]
    if card["root_cause"]:
        parts.append(_root_cause(card["root_cause"], card["published"]))
    if card["alert_set"]:
        parts.append(_alert_set(card["alert_set"], card["published"]))
    for title, key in (
        ("As the incident said it", "of_incidents"),
        ("Given the labelled onset", "given_labelled_onset"),
    ):
        if card["classes"][key]:
            parts.append(_classes(title, card["classes"][key]))
    if card["texts"]:
        parts.append(_texts(card["texts"]))
    parts += [f"**paramedic itself failed**: {sentence}" for sentence in card["broken"]]
    if card["not_measured"]:
        parts.append(
            "Not measured, or to be read with care:\n\n" + "\n".join(f"- {one}" for one in card["not_measured"])
        )
    return "\n\n".join(parts)


def _about(data: Figures) -> str:
    types = ", ".join(f"{count} {name}" for name, count in (data["fault_types"] or {}).items())
    grain = f"; metrics have one point in {data['granularity_seconds']:g} s" if data["granularity_seconds"] else ""
    faults = f"{data['faults']} faults" + (f" ({types})" if types else "")
    return f"{faults}; {', '.join(data['kinds'])}{grain}. Measured {datetime.now(UTC):%Y-%m-%d}."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _detection(stretches: Sequence[Figures]) -> str:
    rows = [[name, *(show(one) for one in stretches)] for name, show in DETECTION]
    kinds = list(dict.fromkeys(name for one in stretches for name in one["by_type"]))
    rows += [[f"found of {kind}", *(share(one["by_type"].get(kind)) for one in stretches)] for kind in kinds]
    return table(["detection, stretch from (UTC)", *(moment(one["start"]) for one in stretches)], rows)


def _others(published: Sequence[Figures]) -> list[str]:
    return [
        f"*{one['who']} ({one['given']}; {one['source']})*: {one['text']}."
        for one in published
        if one["task"] == "detection"
    ]


def _missed(stretches: Sequence[Figures]) -> list[str]:
    rows = [[r["case"], r["target"], r["fault_type"], r["why"]] for one in stretches for r in one["missed"]]
    beside = [
        [f"{moment(r['at'])}", r["what"], r["title"], (r["series"] or [""])[0]]
        for one in stretches
        for r in one["beside"]
    ]
    found = []
    if rows:
        found.append(_folded("Missed faults, and why", table(["case", "root cause", "type", "why"], rows)))
    if beside:
        heads = ["opened (UTC)", "what", "incident", "first series"]
        found.append(_folded("Openings that found nothing new", table(heads, beside)))
    return found


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _root_cause(root_cause: Figures, published: Sequence[Figures]) -> str:
    heads = ["root cause", "faults", "top-1", "top-3", "top-5", "MRR", "top-1 by chance"]
    rows = []
    for one in root_cause["variants"]:
        name = f"given {one['onset']}, {'with' if one['logs'] else 'without'} logs"
        rows.append(_ranking(name, one))
        rows += [_ranking(f"- {kind}", of) for kind, of in one["by_type"].items() if of["faults"]]
    return table(heads, rows + _published(published))


def _alert_set(alerts: Figures, published: Sequence[Figures]) -> str:
    heads = ["root cause, from alerts", "faults", "top-1", "top-3", "top-5", "MRR", "top-1 by chance"]
    rows = []
    for one in alerts["variants"]:
        rows.append(_ranking(one["variant"], one))
        rows += [_ranking(f"- {kind}", of) for kind, of in one["by_type"].items() if of["faults"]]
    silent = f"{alerts['silent_roots']} of the root causes have no alert of their own."
    return f"{table(heads, rows + _published(published))}\n\n{silent}"


def _ranking(name: str, one: Figures) -> list[str]:
    shares = [brief(one[key]) for key in ("top1", "top3", "top5")]
    return [name, str(one["faults"]), *shares, number(one["mrr"]), percent(one["chance_top1"])]


def _published(published: Sequence[Figures]) -> list[list[str]]:
    return [
        [
            f"*{one['who']} ({one['given']}; {one['source']})*",
            "",
            *(percent(one.get(k)) for k in ("top1", "top3", "top5")),
            "",
            "",
        ]
        for one in published
        if one["task"] == "root cause"
    ]


def _classes(title: str, naming: Figures) -> str:
    rows = [
        [truth, ", ".join(f"{name} {n}" for name, n in said.items())] for truth, said in naming["confusion"].items()
    ]
    figures = (
        f"{title}: class right {share(naming['accuracy'])}, with its target {share(naming['with_target'])}, "
        f"macro-F1 {number(naming['macro_f1'])}, sure (at least 0.9) and wrong {share(naming['sure_and_wrong'])}, "
        f"Brier score {number(naming['brier'])}."
    )
    return f"{figures}\n\n{table(['true class', 'answers'], rows)}"


def _texts(texts: Figures) -> str:
    rows = [
        [name, *(number(one[key]) for key in ("pair_f1", "pair_precision", "pair_recall"))]
        for name, one in (
            ("paramedic", texts),
            *((f"- {source}", one) for source, one in texts["by_source"].items()),
            ("*rule: a pause of 180 minutes*", texts["rule_of_a_pause"]),
        )
    ]
    heads = ["grouping of texts into incidents", "pair F1", "precision", "recall"]
    said = f"{texts['texts']} texts of {texts['incidents']} incidents, grouped into {texts['groups']}."
    return f"{table(heads, rows)}\n\n{said}"
