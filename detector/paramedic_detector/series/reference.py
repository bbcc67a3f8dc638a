"""What happened in some seconds, every series added up: the past that a moment is compared with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.series.slots import BUCKETS, CELLS, Slot, Triples, joined

Span = tuple[float, float]  # [from, to) in unix seconds


@dataclass(frozen=True, slots=True)
class Reference:
    """Sums over the seconds of a span, less those that were left out.

    Attributes:
        cells: Entries (series, Cell, amount); entries of one place add up.
        details: Entries (series, channel * BUCKETS + bucket or an interned kind, amount).
        seconds: Seconds that have data and are in it.
        size: Series of the table.
    """

    cells: Triples
    details: Triples
    seconds: int
    size: int

    def sums(self) -> NDArray[np.float64]:
        """(size, CELLS) every cell of every series."""
        place = self.cells.idx.astype(np.int64) * CELLS + self.cells.code
        flat = np.bincount(place, weights=self.cells.amount, minlength=self.size * CELLS)
        return np.asarray(flat.reshape(self.size, CELLS), np.float64)

    def buckets(self, numbers: "Sequence[int] | NDArray[np.int32]", channel: int) -> NDArray[np.float64]:
        """(numbers, BUCKETS) a histogram of each of these series: DURATION, SELF_TIME or FIRST_TOKEN."""
        place = np.full(self.size + 1, -1, np.int64)
        place[np.asarray(numbers, np.int64)] = np.arange(len(numbers))
        low, found = channel * BUCKETS, self.details
        mine = (found.code >= low) & (found.code < low + BUCKETS) & (place[found.idx] >= 0)
        at = place[found.idx[mine]] * BUCKETS + found.code[mine] - low
        flat = np.bincount(at, weights=found.amount[mine], minlength=len(numbers) * BUCKETS)
        return np.asarray(flat.reshape(len(numbers), BUCKETS), np.float64)


def reference_of(slots: Iterable[Slot], past: Sequence[Span], size: int) -> Reference:
    """The slots added up, save those that touch a span of `past`."""
    kept = [slot for slot in slots if not any(slot.ts < end and start < slot.ts + slot.span_s for start, end in past)]
    cells, details = joined([slot.cells for slot in kept]), joined([slot.details for slot in kept])
    return Reference(cells, details, sum(slot.span_s for slot in kept), size)
