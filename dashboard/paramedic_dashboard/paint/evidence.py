"""One chart of stacked panels with a common time axis: what the verdict rests on.

    Success, %      ~~~~~~\\______/~~~~~~      shaded: fault window
    Errors, %       ______/~~~~~~\\______      bar:    from the action to its verdict
    Tokens per s    ~~~~~~\\__/~~~~~~~~~~      dashed: what happened

The API sends the same series that it judged by, so picture and verdict cannot contradict each other.
"""

from datetime import datetime
from typing import Any

from paramedic_dashboard.contact.answers import Evidence, Incident, Line, Mark, Panel
from paramedic_dashboard.words import clock

Json = dict[str, Any]
PANEL_PX, GAP_PX, TOP_PX, BOTTOM_PX = 92, 44, 46, 30
MOST_MARKS = 9
DASHES = ("solid", "dashed", "dotted")  # lines of one panel differ in more than colour

LIGHT = {
    "lines": ("#0072B2", "#B34E00", "#00664B", "#7A5200"),
    "text": "#16191F",
    "quiet": "#4B5563",
    "rule": "#DDE1E6",
    "fault": "rgba(213,94,0,0.14)",
    "check": "#0072B2",
}
DARK = {
    "lines": ("#4BA3DB", "#F0803C", "#2DBF94", "#F2B632"),
    "text": "#EDF1F5",
    "quiet": "#B8C0CC",
    "rule": "#2A333D",
    "fault": "rgba(240,128,60,0.22)",
    "check": "#4BA3DB",
}


def height_px(evidence: Evidence) -> int:
    return TOP_PX + len(evidence.panels) * (PANEL_PX + GAP_PX) - GAP_PX + BOTTOM_PX


def chart(incident: Incident, *, dark: bool) -> Json:
    """The ECharts option for all panels."""
    evidence, look = incident.evidence, DARK if dark else LIGHT
    begins, ends = _span(evidence)
    places = range(len(evidence.panels))
    return {
        "useUTC": True,
        "animation": False,
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "lineStyle": {"color": look["quiet"]}},
        "tooltip": {"trigger": "axis", "confine": True, "valueFormatter": "%.3g"},
        "title": [_title(panel, i, look) for i, panel in enumerate(evidence.panels)],
        "legend": [_legend(panel, i, look) for i, panel in enumerate(evidence.panels) if len(panel.lines) > 1],
        "grid": [_grid(i) for i in places],
        "xAxis": [_time_axis(i, begins, ends, last=i == places[-1], look=look) for i in places],
        "yAxis": [_value_axis(i, panel, look) for i, panel in enumerate(evidence.panels)],
        "series": [
            series
            for i, panel in enumerate(evidence.panels)
            for series in _panel_series(i, panel, _marks(incident, ends, i == 0, look), look)
        ],
    }


def told(evidence: Evidence) -> str:
    """The chart in words, for those who cannot see it."""
    panels = "; ".join(_told_panel(panel) for panel in evidence.panels)
    window = f" Fault window from {clock(evidence.fault_from)} UTC" if evidence.fault_from else ""
    window += f" to {clock(evidence.fault_to)} UTC" if window and evidence.fault_to else ""
    return f"{panels}.{window}"


def legend_sentence(incident: Incident) -> str:
    """What the shades and dashes mean, under the chart."""
    evidence, parts = incident.evidence, []
    if evidence.fault_from:
        until = clock(evidence.fault_to) if evidence.fault_to else "now"
        parts.append(f"Orange shade: fault, {clock(evidence.fault_from)}–{until} UTC.")
    if incident.acted_at and incident.verified_at:
        parts.append(f"Blue bar: verification, {clock(incident.acted_at)}–{clock(incident.verified_at)}.")
    if evidence.marks:
        shown = enumerate(evidence.marks[:MOST_MARKS], 1)
        parts.append(f"Dashed: {', '.join(f'({n}) {_short(mark.text, 60)} {clock(mark.at)}' for n, mark in shown)}.")
    return " ".join([*parts, "A broken line is no data."])


def unit_of(panel: Panel) -> str:
    return "%" if panel.unit == "ratio" else _short(panel.unit)


def _told_panel(panel: Panel) -> str:
    values = [value * _scale(panel) for line in panel.lines for _, value in line.points if value is not None]
    if not values:
        return f"{panel.title}: no data"
    last = next((v * _scale(panel) for _, v in reversed(panel.lines[0].points) if v is not None), values[-1])
    return f"{panel.title} in {unit_of(panel)}: {min(values):.3g} to {max(values):.3g}, last {last:.3g}"


def _scale(panel: Panel) -> float:
    return 100.0 if panel.unit == "ratio" else 1.0


def _top(place: int) -> int:
    return TOP_PX + place * (PANEL_PX + GAP_PX)


def _grid(place: int) -> Json:
    """All panels exactly above each other: none may shrink to make room for its labels."""
    return {"left": 46, "right": 18, "top": _top(place), "height": PANEL_PX, "outerBoundsMode": "none"}


def _span(evidence: Evidence) -> tuple[float | None, float | None]:
    """First and last moment of any line, in milliseconds."""
    times = [at for panel in evidence.panels for line in panel.lines for at, _ in line.points]
    return (min(times) * 1000, max(times) * 1000) if times else (None, None)


def _title(panel: Panel, place: int, look: Json) -> Json:
    empty = not any(value is not None for line in panel.lines for _, value in line.points)
    text = f"{_short(panel.title, 36)}, {unit_of(panel)}{' — no data' if empty else ''}"
    style = {"fontSize": 13, "fontWeight": "bold", "color": look["quiet"] if empty else look["text"]}
    return {"text": text, "left": 0, "top": _top(place) - 26, "padding": 0, "textStyle": style}


def _legend(panel: Panel, place: int, look: Json) -> Json:
    return {
        "data": [_name(panel, line, place) for line in panel.lines],
        "selectedMode": False,
        "right": 14,
        "left": "auto",
        "top": _top(place) - 28,
        "bottom": "auto",
        "padding": 0,
        "itemWidth": 22,
        "itemHeight": 8,
        "icon": "inherit",
        "type": "plain",
        "textStyle": {"color": look["quiet"], "fontSize": 12},
    }


def _time_axis(place: int, begins: float | None, ends: float | None, *, last: bool, look: Json) -> Json:
    return {
        "type": "time",
        "gridIndex": place,
        "min": begins,
        "max": ends,
        "splitNumber": 5,
        "axisLabel": {"show": last, "color": look["quiet"], "hideOverlap": True, "formatter": "{HH}:{mm}:{ss}"},
        "axisTick": {"show": last},
        "axisLine": {"lineStyle": {"color": look["rule"]}},
        "splitLine": {"show": False},
    }


def _value_axis(place: int, panel: Panel, look: Json) -> Json:
    axis: Json = {
        "type": "value",
        "gridIndex": place,
        "min": 0,
        "splitNumber": 2,
        "axisLabel": {"color": look["quiet"], "fontSize": 12},
        "splitLine": {"lineStyle": {"color": look["rule"]}},
    }
    return {**axis, "max": 100} if panel.unit == "ratio" and _reaches_half(panel) else axis


def _reaches_half(panel: Panel) -> bool:
    return any(value is not None and value > 0.5 for line in panel.lines for _, value in line.points)


def _panel_series(place: int, panel: Panel, marks: Json, look: Json) -> list[Json]:
    return [
        {
            "type": "line",
            "name": _name(panel, line, place),
            "xAxisIndex": place,
            "yAxisIndex": place,
            "data": _points(line, _scale(panel)),
            "showSymbol": False,
            "connectNulls": False,
            "lineStyle": {"width": 2, "type": DASHES[nth % len(DASHES)]},
            "color": look["lines"][(nth + _first_colour(panel)) % len(look["lines"])],
            **(marks if nth == 0 else {}),
        }
        for nth, line in enumerate(panel.lines)
    ]


def _name(panel: Panel, line: Line, place: int) -> str:
    """What the tooltip calls it: a lone line bears its panel's name.

    Letters that nobody sees make it a name of its own in each panel; else one legend would stand for all.
    """
    name = line.name if len(panel.lines) > 1 else panel.title
    return _short(name, 36) + "\N{WORD JOINER}" * place


def _first_colour(panel: Panel) -> int:
    """What is bad when it is high is drawn in the colour of harm."""
    return 1 if any(word in panel.title.lower() for word in ("error", "fail", "bad", "refus")) else 0


def _points(line: Line, scale: float) -> list[list[float | None]]:
    return [[at * 1000, None if value is None else value * scale] for at, value in line.points]


def _marks(incident: Incident, ends: float | None, first: bool, look: Json) -> Json:
    """Shades and dashes, the same in every panel; only the first has their names."""
    evidence = incident.evidence
    label = {"show": first, "formatter": "{b}", "color": look["text"], "fontSize": 11, "distance": 3}
    dashes: list[Any] = [{"xAxis": _ms(mark.at), "name": name} for mark, name in _named(evidence)]
    return {
        "markArea": {"silent": True, "data": [shade] if (shade := _shade(evidence, ends, look)) else []},
        "markLine": {
            "silent": True,
            "symbol": "none",
            "label": label,
            "lineStyle": {"type": "dashed", "color": look["quiet"], "width": 1},
            "data": dashes + ([check] if (check := _check(incident, look)) else []),
        },
    }


def _named(evidence: Evidence) -> list[tuple[Mark, str]]:
    """Each mark with its name where there is room for it, else with its number; the legend has both."""
    marks = evidence.marks[:MOST_MARKS]
    begins, ends = _span(evidence)
    room_s = ((ends or 0) - (begins or 0)) / 1000 * 0.3
    lonely = [all(abs((a.at - b.at).total_seconds()) > room_s for b in marks if b is not a) for a in marks]
    return [(mark, _short(mark.text) if lonely[n] else str(n + 1)) for n, mark in enumerate(marks)]


def _shade(evidence: Evidence, ends: float | None, look: Json) -> list[Json] | None:
    if evidence.fault_from is None:
        return None
    until = _ms(evidence.fault_to) if evidence.fault_to else ends
    return [{"xAxis": _ms(evidence.fault_from), "itemStyle": {"color": look["fault"]}}, {"xAxis": until}]


def _check(incident: Incident, look: Json) -> list[Json] | None:
    """A thick bar on the axis, from the action to its verdict."""
    if not (incident.acted_at and incident.verified_at):
        return None
    line = {"type": "solid", "color": look["check"], "width": 6}
    begin = {"coord": [_ms(incident.acted_at), 0], "lineStyle": line, "label": {"show": False}}
    return [begin, {"coord": [_ms(incident.verified_at), 0]}]


def _ms(at: datetime) -> float:
    return at.timestamp() * 1000


def _short(text: str, most: int = 16) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
