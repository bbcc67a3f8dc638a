"""Systems of any shape as slots: services that call each other, each call with its own time and gap, no Arrow between.

Times are lognormal; the self-time of a caller does not hold what its callee takes, and a second's self-times and gaps
come two seconds later, as the collector's join gives them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from judge_rows import T0, batch, edge, op, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.slots import BUCKETS, DURATION, SELF_TIME, Cell, Slot, bucket_of, triples
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

SUPPORTS = {Signal.SURGE, Signal.DROP, Signal.MISSING}
JOIN_S = 2


@dataclass
class Service:
    """Times in seconds; `calls` of them for each request that comes in."""

    name: str
    own_s: float
    sigma: float = 0.4
    caller: str = ""
    calls: float = 1.0
    gap_s: float = 0.001
    clump: int = 1  # calls of one request that share their luck
    version: str = "1"


@dataclass
class System:
    """Requests a second come to the first service; the others are called by one before them."""

    services: Sequence[Service]
    rate: float
    seed: int = 1
    wave: float = 0.0  # how much the rate swings within 200 s
    at: int = T0
    slower: dict[str, float] = field(default_factory=dict)  # own time of a service, times so much
    farther: dict[str, float] = field(default_factory=dict)  # gap to a service, plus so many seconds
    table: SeriesTable = field(default_factory=SeriesTable)
    scorer: Scorer = field(default_factory=Scorer)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._due: dict[int, dict[int, Slot]] = {}  # when it is told -> second that it is about -> what

    def run(self, seconds: int, frozen: Callable[[], frozenset[SeriesKey]] = frozenset) -> list[Alert]:
        """Live so many seconds, scored each second; what is abnormal enough to matter."""
        found: list[Alert] = []
        for _ in range(seconds):
            self._second()
            self.at += 1
            self.table.advance("one", self.at - 1)
            alerts = self.scorer.score(self.table, self.at, frozen())
            found += [alert for alert in alerts if alert.signal not in SUPPORTS]
        return found

    def _second(self) -> None:
        swing = 1 + self.wave * np.sin(2 * np.pi * self.at / 200)
        requests = {"": self.rng.poisson(self.rate * swing)}
        for service in self.services:
            groups = self.rng.poisson(requests[service.caller] * service.calls / service.clump)
            requests[service.name] = n = int(groups) * service.clump if service.caller else requests[""]
            luck = self.rng.lognormal(0, service.sigma, -(-n // service.clump)).repeat(service.clump)[:n]
            own = service.own_s * luck * self.slower.get(service.name, 1.0)
            gap = service.gap_s * self.rng.lognormal(0, 0.5, n) + self.farther.get(service.name, 0.0)
            served = op(service.name)
            self._count(served._replace(parts=(*served.parts[:-1], service.version)), own * 1.5, own)
            if service.caller:
                for key in (edge(service.caller, service.name), SeriesKey("callee", (service.name, ""))):
                    self._count(key, own * 1.5 + gap, gap)
        for slot in self._due.pop(self.at, {}).values():
            self.table.take(slot)

    def _count(self, key: SeriesKey, took_s: np.ndarray, own_s: np.ndarray) -> None:
        """Calls that begin in this second: they count when they end, their own times when they are joined."""
        number = self.table.number(key)
        if number is None:
            self.table.add(batch([row(key, self.at, 0)], self.at - 1))
            number = self.table.number(key)
        ends = took_s.astype(int)
        for after in np.unique(ends):
            mine = ends == after
            where, one = np.full(int(mine.sum()), number, np.int32), np.ones(int(mine.sum()))
            for wait, channel, values in ((0, DURATION, took_s), (JOIN_S, SELF_TIME, own_s)):
                due = self._due.setdefault(self.at + int(after) + wait, {})
                slot = due.setdefault(self.at + int(after), Slot(self.at + int(after)))
                slot.detail_parts.append(triples(where, bucket_of(values[mine]) + channel * BUCKETS, one))
                if channel == DURATION:
                    slot.cell_parts.append(triples(where, int(Cell.COUNT), one))
