"""What happened in an experiment, in order: faults injected, what was seen, what was done, what it came to.

Pure but for its memory: the clock's moments come in with the events.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from paramedic_detector.api.schemas import IncidentDetail


class Kind(StrEnum):
    """Who speaks in a line."""

    FAULT = "fault"  # we hurt or heal something
    SEEN = "seen"  # paramedic notices or says what it is
    DONE = "done"  # paramedic or a bot changes something
    PROOF = "proof"  # a verification or a recovery
    NOTICE = "notice"  # something for people: a message, an address


OF_TIMELINE = {
    "detect": Kind.SEEN,
    "group": Kind.SEEN,
    "diagnose": Kind.SEEN,
    "act": Kind.DONE,
    "verify": Kind.PROOF,
    "recover": Kind.PROOF,
    "notify": Kind.NOTICE,
    "person": Kind.NOTICE,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal."""

    at: float  # unix seconds
    kind: Kind
    text: str


@dataclass
class Journal:
    """Collects events; what an incident's timeline already told is not told again."""

    events: list[Event] = field(default_factory=list)
    _told: dict[str, int] = field(default_factory=dict)  # lines of the timeline, by incident

    def add(self, at: float, kind: Kind, text: str) -> Event:
        event = Event(at, kind, text)
        self.events.append(event)
        return event

    def take(self, incidents: Iterable[IncidentDetail]) -> list[Event]:
        """What the incidents' timelines have to say that is new, oldest first."""
        fresh = []
        for incident in incidents:
            told = self._told.get(incident.id, 0)
            for line in incident.timeline[told:]:
                text = line.text if incident.id in line.text else f"{incident.id}: {line.text}"
                fresh.append(Event(line.at.timestamp(), OF_TIMELINE[line.kind], text))
            self._told[incident.id] = max(told, len(incident.timeline))
        fresh.sort(key=lambda event: event.at)
        self.events += fresh
        return fresh
