"""A postmortem to start from: what the incident page knows, as Markdown for the team's own tracker.

Facts only; the questions at the end are for people.
"""

import string
from collections.abc import Iterable
from datetime import datetime

from paramedic_dashboard.contact.answers import Action, Incident
from paramedic_dashboard.words import count, percent, plural, result, since, sure, verification, what

QUESTIONS = """## For people to fill in

- Why could it happen?
- What would have noticed it earlier?
- What is changed so that it does not happen again, by whom, until when?
"""


def postmortem(incident: Incident) -> str:
    sections = (
        f"# {text(incident.id)}: {text(incident.title)}",
        _facts(incident),
        _section("Suspects", (_suspect(one.name, one.probability, one.evidence) for one in incident.suspects)),
        _section("Actions", (_action(one) for one in incident.actions)),
        _section("Timeline (UTC)", (f"- {_utc(one.at)} {one.kind}: {text(one.text)}" for one in incident.timeline)),
        _section("Alerts", (f"- {text(one.series)}: {text(one.explanation)}" for one in incident.alert_list)),
        QUESTIONS,
    )
    return "\n\n".join(section for section in sections if section)


def text(raw: str) -> str:
    """Telemetry in Markdown: on one line, and every sign that could mean something is escaped."""
    return "".join(f"\\{c}" if c in string.punctuation and c not in ".,;%-" else c for c in " ".join(raw.split()))


def _facts(incident: Incident) -> str:
    checked, damage = verification(incident), incident.impact
    rows = (
        ("Severity", f"SEV{incident.severity}"),
        ("Cause", f"{text(incident.cause)} ({incident.fault_class}, {sure(incident.probability)} likely)"),
        ("Began", _utc(incident.onset_at)),
        ("Noticed", f"{_utc(incident.opened_at)}, {since(incident.onset_at, incident.opened_at)} later"),
        ("Ended", _utc(incident.resolved_at) if incident.resolved_at else "not yet"),
        ("Impact", f"{plural(damage.bad_calls, 'bad answer')} of {count(damage.calls)}"),
        ("Hurt", text(", ".join(damage.callers_hurt)) or "nobody known"),
        ("Done by paramedic", text(incident.done) or "nothing"),
        ("Verification", checked.text if checked else "none"),
        ("Owner", text(incident.owner) or "nobody"),
    )
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _suspect(name: str, probability: float, evidence: Iterable[str]) -> str:
    return "\n".join([f"- **{text(name)}** {sure(probability)}", *(f"  - {text(line)}" for line in evidence)])


def _action(action: Action) -> str:
    numbers = f" Good answers {percent(action.before)} before, {percent(action.after)} treated."
    who = "automatic" if action.automatic else f"approved by {text(action.by)}"
    told = f"{text(action.result)}{numbers if action.before is not None else ''}"
    at = _utc(action.sent_at or action.created_at)
    return f"- {at} {text(what(action))}: {result(action).text.lower()} ({who}). {told}".rstrip()


def _section(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"## {title}\n\n{body}" if body else ""


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
