"""Histograms of every kind as one: counts of buckets, which can be subtracted and brought to the windows' scale.

    explicit bounds, exponential --> Distribution --later.since(earlier)--> what came between --sparse()--> HISTOGRAM

What an explicit bucket holds counts at the geometric middle of its bounds. A bucket that begins at or below 0 has no
such middle: half its upper bound stands for it. The last bucket has no upper bound: it counts between its lower bound
and the largest value when the point says that, else in the first of the windows' buckets above its lower bound, which
is the least that is true. Values of 0 and below count as 0: a window has no negative ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import sub
from sys import float_info
from typing import Any, Final

from paramedic_collector.windows import SCALE

_MOST: Final = 2**53  # of one bucket: beyond is no count
_FINEST, _COARSEST = 20, -10  # scales of OTLP
_WIDEST: Final = 4096  # buckets of one point; SDKs send 160
_LARGEST: Final = 1100  # no float has a larger logarithm, nor a smaller one


@dataclass(frozen=True, slots=True)
class Shape:
    """How many values fell into which bucket; plain tuples, since a point has few buckets.

    With `bounds` the buckets lie between them; else bucket i holds (2^(i / 2^scale), 2^((i + 1) / 2^scale)].
    """

    at: tuple[int, ...]  # buckets that hold something, ascending
    counts: tuple[int, ...]  # of them
    bounds: tuple[float, ...] = ()  # as sent, in the metric's own unit
    scale: int | None = None  # None with explicit bounds
    zero: int = 0
    threshold: float = 0.0  # values up to this one count as zero
    highest: float | None = None  # of these values, when known
    factor: float = 1.0  # makes a bound one in the window's unit

    def since(self, before: "Shape") -> "Shape | None":
        """What came after `before`, of the same stream; None when it began anew in between."""
        if self.bounds != before.bounds or (self.scale is None) != (before.scale is None):
            return None
        scale = None if self.scale is None or before.scale is None else min(self.scale, before.scale)
        grown = self._less(before, scale)
        zero = self.zero - before.zero
        if zero < 0 or any(count < 0 for count in grown.values()):
            if self.threshold <= before.threshold:
                return None
            zero = max(zero, 0)  # small values have moved over to the zeros
        held = sorted(bucket for bucket, count in grown.items() if count > 0)
        counts = tuple(grown[bucket] for bucket in held)
        return Shape(tuple(held), counts, self.bounds, scale, zero, self.threshold, None, self.factor)

    def _less(self, before: "Shape", scale: int | None) -> dict[int, int]:
        """The difference by bucket, at a scale that both have or had."""
        if self.at == before.at and self.scale == before.scale:
            return dict(zip(self.at, map(sub, self.counts, before.counts), strict=True))
        grown: dict[int, int] = {}
        for one, sign in ((self, 1), (before, -1)):
            shift = 0 if scale is None or one.scale is None else one.scale - scale  # streams coarsen, never refine
            for at, count in zip(one.at, one.counts, strict=True):
                grown[at >> shift] = grown.get(at >> shift, 0) + sign * count
        return grown

    def sparse(self, total: float | None) -> dict[str, Any]:
        """A HISTOGRAM of `paramedic_collector.windows`."""
        scale = SCALE if self.scale is None else min(self.scale, SCALE)
        amounts: dict[int, int] = {}
        zero = self.zero
        for place, count in zip(self._places(scale), self.counts, strict=True):
            if place is None:
                zero += count
            else:
                amounts[place] = amounts.get(place, 0) + count
        index = sorted(amounts)
        counts = [amounts[place] for place in index]
        return {"scale": scale, "zero": zero, "sum": total or 0.0, "index": index, "count": counts}

    def _places(self, scale: int) -> Sequence[int | None]:
        """The window's bucket for each of `at`; None for values of 0 and below."""
        if self.scale is not None:
            own, unit = self.scale, math.log2(self.factor)
            if not unit and max(map(abs, self.at), default=0) <= _LARGEST * 2.0**own:
                return [at >> (own - scale) for at in self.at]
            return [_place((at + 0.5) / 2.0**own + unit, scale) for at in self.at]
        places = _places_of(self.bounds, self.factor)
        found = [places[at] for at in self.at]
        if self.highest is not None and self.highest > self.bounds[-1] and self.at and self.at[-1] == len(self.bounds):
            found[-1] = _between(self.bounds[-1], self.highest, self.factor)
        return found


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram or a summary said."""

    count: int
    total: float | None = None  # sum of the values, in the window's unit; None when it is not said
    shape: Shape | None = None  # None when buckets were not said, or make no sense

    def since(self, before: "Distribution") -> "Distribution | None":
        """What came after `before`, an earlier total of the same stream; None when it began anew in between."""
        if self.count < before.count:
            return None
        total = None if self.total is None or before.total is None else self.total - before.total
        if self.shape is None or before.shape is None:
            return Distribution(self.count - before.count, total)
        shape = self.shape.since(before.shape)
        return None if shape is None else Distribution(self.count - before.count, total, shape)

    def sparse(self) -> dict[str, Any] | None:
        """A HISTOGRAM of `paramedic_collector.windows`; None when the shape is not known."""
        return None if self.shape is None else self.shape.sparse(self.total)


@lru_cache(maxsize=1024)
def _places_of(bounds: tuple[float, ...], factor: float) -> tuple[int | None, ...]:
    """The window's bucket, at SCALE, for each explicit one."""
    beyond = min(bounds[-1] * 2.0 ** (2.0**-SCALE), float_info.max)
    edges = (-math.inf, *bounds, beyond)
    return tuple(_between(low, high, factor) for low, high in pairwise(edges))


def _between(low: float, high: float, factor: float) -> int | None:
    high *= factor
    if high <= 0:
        return None
    low = low * factor if low * factor > 0 else high / 4  # whose geometric middle is half of `high`
    return _place((math.log2(low) + math.log2(high)) / 2, SCALE)


def _place(log2: float, scale: int) -> int:
    return math.ceil(min(max(log2, -_LARGEST), _LARGEST) * 2.0**scale) - 1


def explicit(point: Any, factor: float) -> Distribution:
    """Of an OTLP HistogramDataPoint; without buckets, or with ones that make no sense, only count and sum."""
    bounds, counts = tuple(point.explicit_bounds), list(point.bucket_counts)
    if not (0 < len(bounds) < _WIDEST and len(counts) == len(bounds) + 1 and _make_sense(bounds)):
        return Distribution(_count(point), _sum(point, factor))
    highest = point.max if point.HasField("max") and math.isfinite(point.max) else None
    shape = Shape(*_held(counts, 0), bounds, highest=highest, factor=factor)
    return Distribution(_count(point), _sum(point, factor), shape)


def exponential(point: Any, factor: float) -> Distribution:
    """Of an OTLP ExponentialHistogramDataPoint; values below zero count as 0."""
    counts, offset, scale = list(point.positive.bucket_counts), point.positive.offset, point.scale
    if not (_COARSEST <= scale <= _FINEST and len(counts) <= _WIDEST):
        return Distribution(_count(point), _sum(point, factor))
    zero = min(point.zero_count + sum(point.negative.bucket_counts), _MOST)
    shape = Shape(*_held(counts, offset), (), scale, zero, point.zero_threshold, factor=factor)
    return Distribution(_count(point), _sum(point, factor), shape)


@lru_cache(maxsize=1024)
def _make_sense(bounds: tuple[float, ...]) -> bool:
    return all(a < b for a, b in pairwise(bounds)) and all(map(math.isfinite, bounds))


def _held(counts: list[int], first: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    at = tuple(place for place, count in enumerate(counts, first) if count)
    return at, tuple(min(count, _MOST) for count in counts if count)


def _count(point: Any) -> int:
    return int(min(point.count, _MOST))


def _sum(point: Any, factor: float) -> float | None:
    return point.sum * factor if point.HasField("sum") and math.isfinite(point.sum) else None
