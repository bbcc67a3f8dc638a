"""Watches a platform through its API as a person would, and remembers what it said while a fault was there.

A platform that does not answer is a fact about it, not the end of the watching: `silent_since` then says since when.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from paramedic_cli.api import Api
from paramedic_cli.errors import UserError
from paramedic_cli.evidence import ActionSeen, Counts, IncidentSeen
from paramedic_detector.api.schemas import ActionOut, IncidentDetail, IncidentSummary, Overview

LOOK_AGAIN = 3  # looks


class Witness:
    """Asks the API about once a second.

    Args:
        api: Where to ask.
        messages: The file of the Slack sink, one line a message.
        clock: Unix seconds.
    """

    def __init__(self, api: Api, messages: Path, clock: Callable[[], float] = time.time) -> None:
        self.overview: Overview | None = None
        self.seen: dict[str, IncidentDetail] = {}
        self.silent_since: float | None = None
        self._api, self._messages, self._clock = api, messages, clock
        self._looks = 0
        self._said: dict[str, IncidentDetail] = {}  # as it was when its fault was about to be healed

    def look(self) -> list[IncidentDetail]:
        """The incidents that changed since the last look, and every few looks those that are not over too.

        A timeline may grow without a new version of its incident: what was told to whom, for example.
        """
        self._looks += 1
        try:
            overview = self._api.overview()
            changed = [i for i in self._api.incidents() if self._is_news(i)]
            details = [self._api.incident(i.id) for i in changed]
        except UserError:
            self.silent_since = self.silent_since or self._clock()
            return []
        self.overview, self.silent_since = overview, None
        self.seen |= {detail.id: detail for detail in details}
        return details

    def remember(self) -> None:
        """Keep what is said now of each incident that was not kept before."""
        self.look()
        for incident_id, detail in self.seen.items():
            self._said.setdefault(incident_id, detail)

    def incidents(self) -> tuple[IncidentSeen, ...]:
        """All incidents, oldest first: the diagnosis as it was while the fault was there, the rest as it is now."""
        self.look()
        found = [incident_seen(self._said.get(name, now), now) for name, now in self.seen.items()]
        return tuple(sorted(found, key=lambda i: i.opened_at))

    def messages(self) -> int:
        """How many messages arrived where Slack would have been."""
        if not self._messages.exists():
            return 0
        return sum(1 for line in self._messages.read_text().split("\n") if line.strip())

    def counts(self) -> Counts:
        noise = self.overview.noise if self.overview else None
        return Counts(
            raw_alerts=noise.raw_alerts if noise else 0,
            raw_alerts_at_once=noise.raw_alerts_at_once if noise else 0,
            alerts=noise.alerts if noise else 0,
            notifications=self.messages(),
        )

    def _is_news(self, incident: IncidentSummary) -> bool:
        known = self.seen.get(incident.id)
        due = self._looks % LOOK_AGAIN == 0 and incident.state != "resolved"
        return known is None or known.version != incident.version or due


def incident_seen(said: IncidentDetail, now: IncidentDetail) -> IncidentSeen:
    """An incident as evidence.

    Args:
        said: As it was while its fault was there: its diagnosis counts.
        now: As it is: what was done, and when.
    """
    return IncidentSeen(
        id=now.id,
        opened_at=now.opened_at.timestamp(),
        fault_class=said.fault_class,
        probability=said.probability,
        target=said.target,
        suspects=tuple(suspect.name for suspect in said.suspects),
        actions=tuple(action_seen(action) for action in now.actions),
        person_at=min(_person_moments(now), default=None),
    )


def action_seen(action: ActionOut) -> ActionSeen:
    return ActionSeen(
        kind=action.kind,
        service=action.service,
        target=action.target,
        automatic=action.automatic,
        state=action.state,
        applied_at=_unix(action.applied_at),
        ended_at=_unix(action.ended_at),
    )


def _person_moments(incident: IncidentDetail) -> Iterable[float]:
    yield from (event.at.timestamp() for event in incident.timeline if event.kind == "person")
    if incident.acknowledged_at:
        yield incident.acknowledged_at.timestamp()


def _unix(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
