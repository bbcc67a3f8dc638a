"""An incident as a Slack message in Block Kit: what broke, how sure, what was done, whether it worked, and YOU.

Everything that came out of telemetry is hostile until escaped: Slack reads &, < and > as markup.

Source: Slack, Formatting text for app surfaces; section texts end at 3000 characters, headers at 150.
"""

import re
from typing import Any, Final

from paramedic_detector import words
from paramedic_detector.notify.moments import Moment
from paramedic_detector.store.tables import IncidentRow

LONGEST_TEXT: Final = 2800
LONGEST_HEADER: Final = 150
STATES: Final = {
    Moment.TREATED: "treated",
    Moment.NEEDS_YOU: "needs you",
    Moment.NOT_TREATED: "not treated",
    Moment.STILL_JUDGING: "being treated",
    Moment.CLOSED: "over",
}


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, longest: int) -> str:
    """The text, or as much of it as fits; an escape is never cut in half."""
    return text if len(text) <= longest else re.sub(r"&\w*$", "", text[: longest - 1]) + "…"


def message(incident: IncidentRow, moment: Moment, public_url: str) -> dict[str, Any]:
    """The JSON for an incoming webhook."""
    severity = incident.worst_severity if moment == Moment.CLOSED else incident.severity
    headline = f"{_icon(moment, severity)} {incident.title} ({STATES[moment]})"
    link = f"{public_url}/incident?id={incident.id}"
    return {
        "text": escaped(cut(f"{incident.id} {headline}. {incident.you}", LONGEST_TEXT)),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": cut(headline, LONGEST_HEADER)}},
            *(_section(name, text) for name, text in _lines(incident, moment) if text),
            {"type": "actions", "elements": [_button(f"Open {incident.id}", link)]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": _footer(incident, severity)}]},
        ],
    }


def _lines(incident: IncidentRow, moment: Moment) -> list[tuple[str, str]]:
    known = incident.fault_class != "unknown"
    sure = f" ({words.percent(incident.probability)} sure)" if known else ""
    return [
        ("What", incident.cause.rstrip(".") + sure),
        ("Done", incident.done or ("" if moment == Moment.CLOSED else "Nothing was changed.")),
        ("Impact", words.impact(incident.calls, incident.bad_calls)),
        ("You", incident.you),
    ]


def _section(name: str, text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(f"*{name}:* {escaped(text)}", LONGEST_TEXT)}}


def _button(label: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": label}, "url": url, "action_id": "open_incident"}


def _footer(incident: IncidentRow, severity: int) -> str:
    ended = f" · over at {words.clock(incident.resolved_at)}" if incident.resolved_at else ""
    return f"{incident.id} · severity {severity} · since {words.clock(incident.onset_at)}{ended}"


def _icon(moment: Moment, severity: int) -> str:
    if moment == Moment.CLOSED:
        return "✓"
    return "●" if severity <= 2 and moment != Moment.TREATED else "▲"
