"""What a person does: one compare-and-set POST a click, and one sentence about what came of it.

The version that goes along is that of what was on the screen. If somebody was faster the API says who,
nothing is done, and the page shows how it is now.
"""

from collections.abc import Callable

from paramedic_dashboard.contact.answers import Action, BadAnswer, Summary
from paramedic_dashboard.contact.client import ApiError, Conflict, Who
from paramedic_dashboard.parts import session
from paramedic_dashboard.words import what


def acknowledge(incident: Summary) -> None:
    _write(session.reader().api.acknowledge, incident.id, incident.version, f"{incident.id} is yours.")


def resolve(incident: Summary, label: str, note: str) -> None:
    told = f"{label}. {note}".strip() if note.strip() else label
    _write(session.reader().api.resolve, incident.id, incident.version, f"{incident.id} is resolved.", told)


def approve(action: Action) -> None:
    _write(session.reader().api.approve, action.id, action.version, f"Approved: {what(action)}.")


def reject(action: Action, note: str) -> None:
    _write(session.reader().api.reject, action.id, action.version, f"Rejected: {what(action)}.", note)


def revert(action: Action, note: str) -> None:
    _write(session.reader().api.revert, action.id, action.version, f"Rolling back: {what(action)}.", note)


def _write(do: Callable[[str, Who], object], id_: str, version: int, done: str, note: str = "") -> None:
    try:
        do(id_, Who(session.me(), version, note[:2000]))
    except Conflict as error:
        session.say(f"Not done: {error}. The page shows how it is now.", ":material/group:")
    except (ApiError, BadAnswer) as error:
        session.say(f"Not done: {error}.", ":material/error:")
    else:
        session.say(done, ":material/check:")
    session.stop_asking()
    session.reader().forget()
