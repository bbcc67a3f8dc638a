"""What one step of scoring sees: arrays over all series, and where each series takes its usual from."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.baselines import Baselines, Flags, Numbers
from paramedic_detector.scores.recent import Recent
from paramedic_detector.series.table import CALL_FAMILIES, SeriesTable

MARGIN: Final = 4.5  # an alert is this many decades less likely than once among all live series
SUSPICIOUS: Final = 3.0  # from here a series does not learn
KEEP: Final = 2.0  # a series of an open incident alerts on with less


class Cast:
    """The series of a table by what they are; follows the table as it grows."""

    def __init__(self) -> None:
        self.keys: list[SeriesKey] = []
        self.calls: Flags = np.empty(0, bool)  # series that count calls
        self.arriving: Flags = np.empty(0, bool)  # calls as the callee or its callers count them
        self.ops: Flags = np.empty(0, bool)
        self.inner: Flags = np.empty(0, bool)  # steps inside a service: some, as the handling of errors, only ever fail
        self.elder: Numbers = np.empty(0, np.int64)  # the older series of the same thing: another version or zone
        self.place: Numbers = np.empty(0, np.int64)  # the first series of the same thing in any version, in this zone
        self.entry: Numbers = np.empty(0, np.int64)  # where users come in
        self.edges: Flags = np.empty(0, bool)
        self._serving: dict[str, list[int]] = {}  # by service, the operations that it serves
        self._steps: dict[str, dict[str, list[int]]] = {}  # by service and callee or operation: what requests lead to
        self._eldest: dict[SeriesKey, int] = {}
        self._firsts: dict[SeriesKey, int] = {}
        self._callees: set[str] = set()
        self._doors: list[tuple[int, str, bool]] = []  # series, service, serves

    def follow(self, table: SeriesTable) -> None:
        start = len(self.keys)
        if start == table.size:
            return
        fresh = table.keys[start:]
        self.keys += fresh
        calls = np.array([key.family in CALL_FAMILIES for key in fresh], bool)
        client = np.array([key.part("kind") == "client" for key in fresh], bool)
        self.calls = np.concatenate([self.calls, calls])
        self.arriving = np.concatenate([self.arriving, calls & ~client])
        self.ops = np.concatenate([self.ops, np.array([key.family == "op" for key in fresh], bool)])
        self.inner = np.concatenate([self.inner, np.array([key.part("kind") == "internal" for key in fresh], bool)])
        self.edges = np.concatenate([self.edges, np.array([key.family == "edge" for key in fresh], bool)])
        for number, key in enumerate(fresh, start):
            self._place(number, key)
        elders = [self._eldest.setdefault(_without(key), start + place) for place, key in enumerate(fresh)]
        self.elder = np.concatenate([self.elder, np.array(elders, np.int64)])
        firsts = [self._firsts.setdefault(_unversioned(key), start + place) for place, key in enumerate(fresh)]
        self.place = np.concatenate([self.place, np.array(firsts, np.int64)])
        if calls.any():
            self._find_entries(fresh, start)

    def served(self, service: str) -> Numbers:
        """The operations that a service serves, in all zones and versions."""
        return np.array(self._serving.get(service, ()), np.int64)

    def steps(self, service: str) -> dict[str, Numbers]:
        """What a service does for its requests: by callee the edges to it, by operation its own steps; all zones."""
        return {step: np.array(numbers, np.int64) for step, numbers in self._steps.get(service, {}).items()}

    def _place(self, number: int, key: SeriesKey) -> None:
        if key.family == "op" and key.part("kind") in ("server", "consumer"):
            self._serving.setdefault(key.part("service"), []).append(number)
        if step := step_of(key):
            self._steps.setdefault(step[0], {}).setdefault(step[1], []).append(number)

    def _find_entries(self, fresh: list[SeriesKey], start: int) -> None:
        """Operations that serve and whose service nobody calls; without such, any that wait for nobody's call."""
        self._callees |= {key.part("callee") for key in fresh if key.family == "edge"}
        self._doors += [
            (start + place, key.part("service"), key.part("kind") in ("server", "consumer"))
            for place, key in enumerate(fresh)
            if key.family == "op" and key.part("kind") != "client"
        ]
        first = [(number, serves) for number, service, serves in self._doors if service not in self._callees]
        serving = [number for number, serves in first if serves]
        self.entry = np.array(serving or [number for number, _ in first], np.int64)


def step_of(key: SeriesKey) -> tuple[str, str] | None:
    """Whose step a series counts, and which: a call to a callee, or an operation inside; None for other series."""
    if key.family == "edge":
        return key.part("caller"), key.part("callee")
    if key.family == "op" and key.part("kind") == "internal":
        return key.part("service"), f"{key.part('operation')}()"
    return None


def _unversioned(key: SeriesKey) -> SeriesKey:
    """The key of the same thing in any version."""
    return SeriesKey("op", (*key.parts[:-1], "")) if key.family == "op" else key


def _without(key: SeriesKey) -> SeriesKey:
    """The key of the same thing in any version and zone."""
    if key.family == "op":
        service, operation, kind, peer, _zone, model, _version = key.parts
        return SeriesKey("op", (service, operation, kind, peer, "", model, ""))
    return SeriesKey(key.family, (*key.parts[:-1], "")) if key.family in CALL_FAMILIES else key


@dataclass(frozen=True, slots=True)
class View:
    """One step."""

    now: float
    table: SeriesTable
    recent: Recent
    base: Baselines
    cast: Cast
    held: Flags  # (size,) belongs to an open incident
    warm: Flags  # (size,)
    rate: NDArray[np.float32]  # (size,) usual calls a second, made or refused
    cold: Flags  # (size,) came back from a silence a moment ago
    live: int  # series with a call in the last minute
    lag_s: float  # seconds at the end of the windows that are not complete

    @property
    def size(self) -> int:
        return len(self.held)

    @property
    def threshold(self) -> float:
        return float(np.log10(max(self.live, 1)) + MARGIN)
