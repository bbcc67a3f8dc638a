"""What people read in a terminal: tables and pages of Rich, made from plain values. Nothing is decided here."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from paramedic_detector.api.schemas import ActionOut, IncidentDetail, IncidentSummary


def incident_rows(incidents: Sequence[IncidentSummary]) -> Table:
    table = Table("incident", "sev", "state", "what", "sure", "done", "opened (UTC)", box=None, pad_edge=False)
    for i in incidents:
        opened, sure = _clock(i.opened_at), f"{i.probability:.0%}"
        table.add_row(i.id, str(i.severity), i.state, escape(i.title), sure, escape(i.done), opened)
    return table


def action_rows(actions: Sequence[ActionOut]) -> Table:
    table = Table("action", "incident", "what", "state", "by", "result", "sent (UTC)", box=None, pad_edge=False)
    for a in actions:
        what = f"{a.kind} of {a.service} away from {a.target}"
        table.add_row(a.id, a.incident, escape(what), a.state, escape(a.by), escape(a.result), _clock(a.sent_at))
    return table


def incident_page(incident: IncidentDetail) -> RenderableType:
    """One incident, from the verdict down to what happened when."""
    head = Text(f"{incident.id}  {incident.title}", style="bold")
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("state", f"{incident.state}, severity {incident.severity}" + (f", {incident.owner}" * bool(incident.owner))),
        ("cause", f"{incident.cause} ({incident.fault_class}, {incident.probability:.0%} sure)"),
        ("done", incident.done or "nothing"),
        ("you", incident.you),
        ("users", f"{incident.impact.bad_calls} of {incident.impact.calls} calls failed or were useless"),
    ):
        facts.add_row(Text(name, style="dim"), Text(value))
    moments = Table.grid(padding=(0, 2))
    for event in incident.timeline:
        moments.add_row(Text(_clock(event.at), style="dim"), event.kind, Text(event.text))
    parts: list[RenderableType] = [head, facts, Text(), moments]
    if incident.actions:
        parts += [Text(), action_rows(incident.actions)]
    return Group(*parts)


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S}" if moment else "-"
