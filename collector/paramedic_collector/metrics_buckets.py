"""Histograms of every kind as one: counts of buckets, which can be subtracted and brought to the windows' scale.

    explicit bounds, exponential --> Distribution --later.since(earlier)--> what came between --sparse()--> HISTOGRAM

What an explicit bucket holds counts at the geometric middle of its bounds. A bucket that begins at or below 0 has no
such middle: half its upper bound stands for it. The last bucket has no upper bound: it counts between its lower bound
and the largest value when the point says that, else in the first of the windows' buckets above its lower bound, which
is the least that is true. Values of 0 and below count as 0: a window has no negative ones.
"""

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from sys import float_info
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SCALE

Ints = NDArray[np.int64]
_MOST: Final = 2**53  # of one bucket: beyond is no count
_FINEST, _COARSEST = 20, -10  # scales of OTLP
_WIDEST: Final = 4096  # buckets of one point; SDKs send 160
_LARGEST: Final = 1100  # no float has a larger logarithm, nor a smaller one
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """How many values fell into which bucket.

    With `bounds` the buckets lie between them; else bucket i holds (2^(i / 2^scale), 2^((i + 1) / 2^scale)].
    """

    count: int
    total: float | None = None  # sum of the values, in the window's unit; None when it is not said
    shaped: bool = False  # False: buckets were not said, or made no sense
    at: Ints = field(default_factory=lambda: _NONE)  # buckets that hold something, ascending
    counts: Ints = field(default_factory=lambda: _NONE)  # of them
    bounds: tuple[float, ...] = ()  # as sent, in the metric's own unit
    scale: int | None = None  # None with explicit bounds
    zero: int = 0
    threshold: float = 0.0  # values up to this one count as zero
    highest: float | None = None  # of these values, when known
    factor: float = 1.0  # makes a bound one in the window's unit

    def since(self, before: "Distribution") -> "Distribution | None":
        """What came after `before`, an earlier total of the same stream; None when it began anew in between."""
        if self.count < before.count or self.bounds != before.bounds:
            return None
        total = None if self.total is None or before.total is None else self.total - before.total
        some = replace(self, count=self.count - before.count, total=total, highest=None)
        if not self.shaped or not before.shaped or (self.scale is None) != (before.scale is None):
            return replace(some, shaped=False, at=_NONE, counts=_NONE)
        scale = None if self.scale is None or before.scale is None else min(self.scale, before.scale)
        both = np.concatenate((self._buckets(scale), before._buckets(scale)))
        at, where = np.unique(both, return_inverse=True)
        grown = np.zeros(len(at), np.int64)
        np.add.at(grown, where, np.concatenate((self.counts, -before.counts)))
        zero = self.zero - before.zero
        if min(int(grown.min(initial=0)), zero) < 0:
            if self.threshold <= before.threshold:
                return None
            grown, zero = np.maximum(grown, 0), max(zero, 0)  # small values have moved over to the zeros
        return replace(some, at=at[grown > 0], counts=grown[grown > 0], scale=scale, zero=zero)

    def sparse(self) -> dict[str, Any] | None:
        """A HISTOGRAM of `paramedic_collector.windows`; None when the shape is not known."""
        if not self.shaped:
            return None
        scale = SCALE if self.scale is None else min(self.scale, SCALE)
        middles = self._middles()
        positive = middles > -np.inf
        index = np.ceil(np.clip(middles[positive], -_LARGEST, _LARGEST) * 2.0**scale).astype(np.int64) - 1
        at, where = np.unique(index, return_inverse=True)
        amount = np.zeros(len(at), np.int64)
        np.add.at(amount, where, self.counts[positive])
        zero = self.zero + int(self.counts[~positive].sum())
        return {"scale": scale, "zero": zero, "sum": self.total or 0.0, "index": at.tolist(), "count": amount.tolist()}

    def _buckets(self, scale: int | None) -> Ints:
        """The bucket numbers at a coarser scale; a stream may coarsen, never refine."""
        return self.at if scale is None or self.scale is None else self.at >> (self.scale - scale)

    def _middles(self) -> NDArray[np.float64]:
        """log2 of the value that stands for each bucket; -inf for values of 0 and below."""
        if self.scale is not None:
            return np.asarray((self.at + 0.5) / 2.0**self.scale + math.log2(self.factor), np.float64)
        last = self.bounds[-1]
        known = self.highest is not None and self.highest > last
        highest = self.highest if known else min(last * 2.0 ** (2.0**-SCALE), float_info.max)
        edges = np.array([-np.inf, *self.bounds, highest])
        low, high = edges[self.at] * self.factor, edges[self.at + 1] * self.factor
        low = np.where((low <= 0) & (high > 0), high / 4, low)  # whose geometric middle is half of `high`
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(high > 0, (np.log2(low) + np.log2(high)) / 2, -np.inf)


def explicit(point: Any, factor: float) -> Distribution:
    """Of an OTLP HistogramDataPoint; without buckets, or with ones that make no sense, only count and sum."""
    bounds, counts = tuple(point.explicit_bounds), _array(point.bucket_counts)
    shaped = 0 < len(bounds) < _WIDEST and len(counts) == len(bounds) + 1
    if not (shaped and all(a < b for a, b in pairwise(bounds)) and all(map(math.isfinite, bounds))):
        return Distribution(_count(point), _sum(point, factor))
    highest = point.max if point.HasField("max") and math.isfinite(point.max) else None
    at = np.flatnonzero(counts)
    some = Distribution(_count(point), _sum(point, factor), True, at, counts[at], bounds)
    return replace(some, highest=highest, factor=factor)


def exponential(point: Any, factor: float) -> Distribution:
    """Of an OTLP ExponentialHistogramDataPoint; values below zero count as 0."""
    counts, offset, scale = _array(point.positive.bucket_counts), point.positive.offset, point.scale
    if not (_COARSEST <= scale <= _FINEST and len(counts) <= _WIDEST and abs(offset) <= 2**31 - 2 * _WIDEST):
        return Distribution(_count(point), _sum(point, factor))
    zero = min(point.zero_count + sum(point.negative.bucket_counts), _MOST)
    at = np.flatnonzero(counts)
    some = Distribution(_count(point), _sum(point, factor), True, at + offset, counts[at])
    return replace(some, scale=scale, zero=zero, threshold=point.zero_threshold, factor=factor)


def _array(counts: Any) -> Ints:
    return np.minimum(np.array(counts, np.uint64), np.uint64(_MOST)).astype(np.int64)


def _count(point: Any) -> int:
    return int(min(point.count, _MOST))


def _sum(point: Any, factor: float) -> float | None:
    return point.sum * factor if point.HasField("sum") and math.isfinite(point.sum) else None
