"""What running totals grew by: the last value of every stream, and what a first one means.

A total that is seen for the first time is news as a whole when everything in it happened under our eyes:

    it began after we did, or at most 15 s before this point        a bot that has just started
    its source said the same metric before, without this stream     the first error of its kind: it was 0 until now

Else what it grew by is not known. Another start time is another stream: it began anew, or two processes give the same
name. A total without one that falls began anew. Totals that the operating
system kept since before the bot lived (`process.cpu.time`) are never news as a whole.
"""

from dataclasses import dataclass
from typing import Final

from paramedic_collector.metrics_buckets import Distribution
from paramedic_collector.metrics_points import NANO, Point

JUST_STARTED_S: Final = 15
OLDER_THAN_THEIR_SDK: Final = ("process.", "system.", "container.", "k8s.", "host.", "hw.", "cpython.")
_MOST_WEIGHT: Final = 4_000_000  # of all streams; a number weighs 20, a histogram a bit more for each bucket
_MOST_GROUPS: Final = 100_000
_WEIGHT: Final = 20


@dataclass(frozen=True, slots=True)
class _Last:
    """What a stream said last."""

    ns: int
    value: float
    distribution: Distribution | None

    @property
    def weight(self) -> int:
        shape = None if self.distribution is None else self.distribution.shape
        return _WEIGHT if shape is None else _WEIGHT + 2 * len(shape.at)


class Totals:
    """Remembers streams, those that spoke last the longest."""

    def __init__(self, most_weight: int = _MOST_WEIGHT) -> None:
        self._most_weight, self._weight = most_weight, 0
        self._last: dict[int, _Last] = {}
        self._groups: dict[int, int] = {}  # of one source, metric and start: unix nanoseconds when first said
        self._since_ns: int | None = None
        self._forgetful = False  # streams had to be forgotten: one that is not known may be an old one

    def __len__(self) -> int:
        return len(self._last)

    def news(self, point: Point) -> Point | None:
        """The point as what came since the last one of its stream; None when that is not known."""
        if self._since_ns is None:
            self._since_ns = point.ns
        group = hash((point.source.mark, point.scope, point.metric, point.start_ns))
        said_before = self._groups.get(group, point.ns) < point.ns
        self._groups[group] = min(self._groups.pop(group, point.ns), point.ns)
        before = self._keep(point)
        if before is None:
            return _whole(point) if self._is_news(point, said_before) else None
        return None if point.ns <= before.ns else _growth(point, before)

    def _keep(self, point: Point) -> _Last | None:
        """Remember what it says; gives what it had said before."""
        stream = point.stream
        before = self._last.pop(stream, None)
        last = before if before is not None and point.ns <= before.ns else _last(point)
        self._last[stream] = last  # at the end: the ones that spoke longest ago go first
        self._weight += last.weight - (before.weight if before else 0)
        while self._weight > self._most_weight:
            self._weight -= self._last.pop(next(iter(self._last))).weight
            self._forgetful = True
        while len(self._groups) > _MOST_GROUPS:
            del self._groups[next(iter(self._groups))]
        return before

    def _is_news(self, point: Point, said_before: bool) -> bool:
        if point.metric.startswith(OLDER_THAN_THEIR_SDK):
            return False
        just_started = point.start_ns > 0 and point.ns - point.start_ns <= JUST_STARTED_S * NANO
        if just_started or self._forgetful:
            return just_started
        assert self._since_ns is not None
        return said_before or point.start_ns >= self._since_ns


def _last(point: Point) -> _Last:
    return _Last(point.ns, point.value or 0.0, point.distribution)


def _whole(point: Point) -> Point:
    return point.grown(point.value, point.distribution)


def _growth(point: Point, before: _Last) -> Point:
    if point.distribution is not None and before.distribution is not None:
        grown = point.distribution.since(before.distribution)
        return _whole(point) if grown is None else point.grown(None, grown)
    value = point.value or 0.0
    return point.grown(value - before.value if value >= before.value else value, None)
