"""A base-2 exponential histogram: what OpenTelemetry exports, kept as a dict of ints.

    value --index at scale 20--> shifted right until the buckets in use are at most 160 --> a count

A bucket of scale s ends at a power of 2**(2**-s). To go from one scale to the next coarser one halves an index,
so values of any order, in batches of any size, give the same buckets.

Source: OpenTelemetry specification, Metrics SDK, base2 exponential bucket histogram aggregation.
"""

from collections.abc import Sequence
from math import floor, frexp, inf, ldexp, log

MOST_BUCKETS = 160
FINEST_SCALE = 20

_FACTOR = ldexp(1 / log(2), FINEST_SCALE)
_LEAST_NORMAL = 2.0**-1022
_LOWEST, _HIGHEST = (-1022 << FINEST_SCALE) - 1, (1024 << FINEST_SCALE) - 1


def index_of(value: float) -> int:
    """The bucket of a value above 0, at the finest scale; its upper end belongs to it."""
    mantissa, exponent = frexp(value)
    if mantissa == 0.5:  # a power of two, for which a logarithm may be a hair off
        return max(((exponent - 1) << FINEST_SCALE) - 1, _LOWEST)
    if value < _LEAST_NORMAL:
        return _LOWEST
    return min(floor(log(value) * _FACTOR), _HIGHEST)


class Histogram:
    """Of values from 0 up, finite. Not safe to share between threads.

    Attributes:
        count, sum, least, most: Exact.
        zero: Values that were 0.
        scale: Of `buckets`.
        buckets: How many values by bucket.
    """

    __slots__ = ("_high", "_low", "_shift", "buckets", "count", "least", "most", "sum", "zero")

    def __init__(self) -> None:
        self.count, self.sum, self.zero = 0, 0.0, 0
        self.least, self.most = inf, -inf
        self.buckets: dict[int, int] = {}
        self._shift, self._low, self._high = 0, _HIGHEST, _LOWEST

    @property
    def scale(self) -> int:
        return FINEST_SCALE - self._shift if self.buckets else 0

    def add(self, values: Sequence[float]) -> None:
        """Count values; there must be one at least."""
        self.count += len(values)
        self.sum += sum(values)
        self.least, self.most = min(self.least, min(values)), max(self.most, max(values))
        indices = [index_of(value) for value in values if value > 0]
        self.zero += len(values) - len(indices)
        if indices:
            self._make_room(min(indices), max(indices))
            buckets, shift = self.buckets, self._shift
            for index in indices:
                index >>= shift
                buckets[index] = buckets.get(index, 0) + 1

    def _make_room(self, low: int, high: int) -> None:
        self._low, self._high = low, high = min(self._low, low), max(self._high, high)
        coarser = self._shift
        while (high >> coarser) - (low >> coarser) >= MOST_BUCKETS:
            coarser += 1
        if coarser > self._shift:
            finer, self.buckets = self.buckets, {}
            for index, count in finer.items():
                index >>= coarser - self._shift
                self.buckets[index] = self.buckets.get(index, 0) + count
            self._shift = coarser

    def dense(self) -> tuple[int, list[int]]:
        """The first bucket in use, and the counts from there to the last one in use."""
        if not self.buckets:
            return 0, []
        low, high = self._low >> self._shift, self._high >> self._shift
        return low, [self.buckets.get(index, 0) for index in range(low, high + 1)]
