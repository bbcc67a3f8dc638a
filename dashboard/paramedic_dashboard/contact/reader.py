"""What all open tabs know: one answer for many tabs, and the last good one for bad times.

    tab --see(overview)--> fresh?  yes: the remembered answer
                                   no:  ask the API ... down? the last good answer, with the reason and its age

Tabs poll; the API must not pay for each. An answer is shared for `fresh_s` seconds, a failure too.
Safe to share between threads.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from paramedic_dashboard.contact.answers import ActionList, BadAnswer, Incident, IncidentList, Overview, Version
from paramedic_dashboard.contact.client import Api, ApiDown, Refused

T = TypeVar("T")
KEPT = 200  # answers; the oldest unused ones go first


@dataclass(frozen=True)
class Seen(Generic[T]):
    """An answer, and whether it can still be trusted."""

    value: T | None  # None: never seen
    at: datetime  # when the API said it, on the API's clock
    trouble: str = ""  # why this is not fresh; empty when it is

    @property
    def ok(self) -> bool:
        return not self.trouble


@dataclass
class _Entry:
    seen: Seen[Any]
    asked_at: float  # seconds of `clock`


class Reader:
    """Reads through one API for every tab of this process.

    Args:
        api: Where to read.
        fresh_s: Seconds for which tabs share one answer.
        clock: Seconds that never run backwards.
    """

    def __init__(self, api: Api, *, fresh_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.api = api
        self._fresh_s, self._clock = fresh_s, clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._version: int | None = None  # the newest seen

    def now(self) -> datetime:
        """The time on the API's clock, so that ages are right when clocks differ."""
        return datetime.now(UTC) + timedelta(seconds=self.api.clock_ahead_s)

    def version(self) -> Seen[Version]:
        """The number that pages poll; a new one makes every other answer old at once."""
        seen = self._see("version", self.api.version)
        if seen.value is not None and seen.value.version != self._version:
            self._version = seen.value.version
            self.forget(keep="version")
        return seen

    def overview(self) -> Seen[Overview]:
        return self._see("overview", self.api.overview)

    def incident(self, id_: str) -> Seen[Incident]:
        """Raises NotFound when the API knows no such incident."""
        return self._see(f"incident {id_}", lambda: self.api.incident(id_))

    def incidents(self, state: str, cursor: str = "") -> Seen[IncidentList]:
        return self._see(f"incidents {state} {cursor}", lambda: self.api.incidents(state, cursor))

    def actions(self) -> Seen[ActionList]:
        return self._see("actions", self.api.actions)

    def forget(self, keep: str = "") -> None:
        """Make every answer old, after a write; the values stay for the case that the API goes down."""
        with self._lock:
            for key, entry in self._entries.items():
                if key != keep:
                    entry.asked_at = float("-inf")

    def _see(self, key: str, ask: Callable[[], T]) -> Seen[T]:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._clock() - entry.asked_at < self._fresh_s:
                self._entries.move_to_end(key)
                return cast(Seen[T], entry.seen)
        seen = self._ask(entry.seen if entry else None, ask)  # unlocked: one slow answer must not stop other tabs
        with self._lock:
            self._entries[key] = _Entry(seen, self._clock())
            self._entries.move_to_end(key)
            while len(self._entries) > KEPT:
                self._entries.popitem(last=False)
        return seen

    def _ask(self, last: Seen[T] | None, ask: Callable[[], T]) -> Seen[T]:
        try:
            value = ask()
        except (ApiDown, Refused, BadAnswer) as error:
            return Seen(last.value if last else None, last.at if last else self.now(), str(error))
        return Seen(value, self.now())
