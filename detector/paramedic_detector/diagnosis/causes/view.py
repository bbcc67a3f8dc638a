"""What happened since an onset, beside quiet time cut into pieces of the same size.

    slots of the table --> [ quiet 1 ][ quiet 2 ] ... [ quiet K ][ the rest ] | guard | [ window: onset to now ]

A module compares the window with all quiet time. It is calibrated by doing the very same to each quiet piece, against
all others: what it says there is its own noise. A piece has as much data as the window, since few calls make more noise
than many. Earlier incidents are left out of quiet time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.index import Index, Numbers
from paramedic_detector.series.slots import BUCKETS, CELLS, Slot, Triples, joined
from paramedic_detector.series.table import SeriesTable

Floats = NDArray[np.float64]
Past = Sequence[tuple[float, float]]
GUARD_S: Final = 10.0  # before the onset, of which nobody knows whether it is quiet
BACK_S: Final = 3600.0  # of quiet time, when it has enough
ENOUGH: Final = 10  # times as much as the window has; with less, quiet time reaches further back
MOST_ENTRIES: Final = 4_000_000
MOST_WINDOW_S: Final = 1800.0
PIECES: Final = 24
LEAST_ENTRIES: Final = 50  # of a piece
BEFORE_PAST_S, AFTER_PAST_S = 5.0, 30.0  # around earlier incidents


@dataclass(frozen=True)
class Pile:
    """Sparse sums over planes of time: entry i adds `amount[i]` to (plane, series, code)."""

    plane: NDArray[np.int32]
    at: Triples
    planes: int

    def pick(self, mask: NDArray[np.bool_]) -> "Pile":
        return Pile(self.plane[mask], self.at.pick(mask), self.planes)

    def dense(self, rows: Numbers, row_count: int, low: int, width: int) -> Floats:
        """(planes, row_count, width) sums of the codes [low, low + width).

        Args:
            rows: (series,) the row of each series; -1 for one that is not wanted.
        """
        row, code = rows[self.at.idx], self.at.code.astype(np.int64) - low
        mine = (row >= 0) & (code >= 0) & (code < width)
        place = (self.plane[mine].astype(np.int64) * row_count + row[mine]) * width + code[mine]
        size = self.planes * row_count * width
        sums = np.bincount(place, self.at.amount[mine], size).astype(np.float64)
        return sums.reshape(self.planes, row_count, width)


@dataclass(frozen=True)
class Points:
    """Values of gauges on a grid of time: (series, steps), NaN where nobody said."""

    values: Floats
    piece: NDArray[np.int64]  # (steps,) of which piece of quiet time; the last one is the rest


@dataclass(frozen=True)
class Quiet:
    """Quiet time before an onset, in `pieces` pieces and a rest."""

    cells: Pile
    details: Pile
    pieces: int
    seconds: Floats  # (pieces + 1,) covered by data
    slots: tuple[tuple[float, int, Triples], ...]  # middle, piece, cells: for what needs moments

    @classmethod
    def before(cls, table: SeriesTable, onset: float, amount: int, past: Past) -> "Quiet":
        """Quiet time in pieces that have as much data as the window.

        Args:
            amount: Entries of the window, see `amount_of`.
        """
        slots = _quiet_slots(table, onset - GUARD_S, amount, past)
        piece, pieces = _pieces(slots, amount)
        seconds = np.bincount(piece, [slot.span_s for slot in slots], pieces + 1).astype(np.float64)
        return cls(
            cells=_pile([slot.cells for slot in slots], piece, pieces + 1),
            details=_pile([slot.details for slot in slots], piece, pieces + 1),
            pieces=pieces,
            seconds=seconds,
            slots=tuple((s.ts + s.span_s / 2, int(p), s.cells) for s, p in zip(slots, piece, strict=True)),
        )


class View:
    """One or more windows against their reference: `P` windows, the same code for the real one and for quiet ones."""

    def __init__(self, index: Index, table: SeriesTable, quiet: Quiet, window: Sequence[Slot] | None) -> None:
        self.index, self.table, self.quiet = index, table, quiet
        self.is_quiet = window is None
        self.windows = quiet.pieces if window is None else 1
        self.slots = tuple(window or ())
        if window is not None:
            flat = np.zeros(len(self.slots), np.int64)
            self._cells = _pile([slot.cells for slot in self.slots], flat, 1)
            self._details = _pile([slot.details for slot in self.slots], flat, 1)
            self.seconds = np.array([float(sum(slot.span_s for slot in self.slots))])
        else:
            self.seconds = quiet.seconds[:-1]

    def cells(self, numbers: Numbers, rows: Numbers, row_count: int) -> tuple[Floats, Floats]:
        """(P, row_count, CELLS) of the windows and of their reference; series of the same row are added up."""
        return self._pair("cells", self._rows(numbers, rows), row_count, 0, CELLS)

    def histograms(self, numbers: Numbers, rows: Numbers, row_count: int, channel: int) -> tuple[Floats, Floats]:
        """(P, row_count, BUCKETS) likewise."""
        return self._pair("details", self._rows(numbers, rows), row_count, channel * BUCKETS, BUCKETS)

    def _rows(self, numbers: Numbers, rows: Numbers) -> Numbers:
        found = np.full(self.table.size + 1, -1, np.int64)
        found[numbers] = rows
        return found

    def _pair(self, what: str, rows: Numbers, count: int, low: int, width: int) -> tuple[Floats, Floats]:
        pile: Pile = getattr(self.quiet, what)
        pieces = pile.dense(rows, count, low, width)
        total = pieces.sum(axis=0, keepdims=True)
        if self.is_quiet:
            return pieces[:-1], total - pieces[:-1]
        own: Pile = getattr(self, f"_{what}")
        return own.dense(rows, count, low, width), total


def window_of(table: SeriesTable, onset: float, now: float) -> list[Slot]:
    """The slots since the onset; of a very long incident only its beginning."""
    return table.slots(onset, min(now + 1, onset + MOST_WINDOW_S))


def amount_of(window: Sequence[Slot]) -> int:
    """How much data a window has, to a factor of two: that of calls, or of all when there are no calls."""
    calls = sum(_amount(slot, True) for slot in window)
    amount = calls or sum(_amount(slot, False) for slot in window)
    return int(2 ** round(np.log2(max(amount, LEAST_ENTRIES)))) * (1 if calls else -1)


def _amount(slot: Slot, calls: bool) -> int:
    return len(slot.details.idx) if calls else len(slot.cells.idx)


def _quiet_slots(table: SeriesTable, end: float, amount: int, past: Past) -> list[Slot]:
    """Newest first."""
    kept: list[Slot] = []
    entries = enough = 0
    taboo = sorted((a - BEFORE_PAST_S, b + AFTER_PAST_S) for a, b in past)
    for slot in reversed(table.slots(0, end)):
        if slot.ts + slot.span_s > end or any(slot.ts < b and slot.ts + slot.span_s > a for a, b in taboo):
            continue
        if entries > MOST_ENTRIES or (end - slot.ts > BACK_S and enough > ENOUGH * abs(amount)):
            break
        kept.append(slot)
        entries += slot.entries
        enough += _amount(slot, amount > 0)
    return kept


def _pieces(slots: Sequence[Slot], amount: int) -> tuple[Numbers, int]:
    """(slots,) which piece each belongs to, and how many there are; what is beyond PIECES or incomplete is the rest."""
    if not slots:
        return np.empty(0, np.int64), 0
    so_far = np.cumsum([_amount(slot, amount > 0) for slot in slots])
    raw = np.maximum(so_far - 1, 0) // abs(amount)
    whole = int(so_far[-1]) // abs(amount)
    chosen = np.arange(whole)
    if whole > PIECES:
        chosen = np.unique(np.linspace(0, whole - 1, PIECES).round().astype(int))
    number = np.full(int(raw.max()) + 1, len(chosen), np.int64)
    number[chosen] = np.arange(len(chosen))
    return np.asarray(number[raw]), len(chosen)


def _pile(parts: Sequence[Triples], plane: Numbers, planes: int) -> Pile:
    lengths = [len(part.idx) for part in parts]
    return Pile(np.repeat(plane, lengths).astype(np.int32), joined(list(parts)), planes)
