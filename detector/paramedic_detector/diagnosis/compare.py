"""How a few series did since onset against what is usual for them: shifts in powers of two, shares from 0 to 1.

Every comparison shrinks towards "no change" when it rests on few calls, so that three calls cannot shout.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.reading import Numbers, Reading, Stretch, Sums
from paramedic_detector.series.slots import BUCKETS, Cell

HALF_CALLS: Final = 3.0  # calls with which a comparison counts half
HALF_USUAL: Final = 8.0  # likewise of the usual
MOST_SHIFT: Final = 5.0  # powers of two
PER_DOUBLING: Final = 8  # buckets
USUAL_SLOW: Final = 0.95  # a call is slow when it takes longer than this share of the usual ones
SLOW_BUCKETS: Final = 2  # and by so many buckets more


def counted(stretch: Stretch, rows: Numbers, *cells: Cell) -> float:
    """The sum of some cells over some series."""
    return float(stretch.cells[rows][:, [int(cell) for cell in cells]].sum()) if len(rows) else 0.0


def rate_shift(reading: Reading, rows: Numbers, *cells: Cell) -> float:
    """How much more a second than usual, in powers of two; 0 when the usual is not known."""
    usual_s = reading.usual.seconds
    if usual_s < 5:
        return 0.0
    expected = counted(reading.usual, rows, *cells) * reading.during.seconds / usual_s
    return _log2(counted(reading.during, rows, *cells) + HALF_CALLS, expected + HALF_CALLS)


def share(stretch: Stretch, rows: Numbers, top: tuple[Cell, ...], of: tuple[Cell, ...]) -> float:
    whole = counted(stretch, rows, *of)
    return counted(stretch, rows, *top) / whole if whole > 0 else 0.0


def share_more(reading: Reading, rows: Numbers, top: tuple[Cell, ...], of: tuple[Cell, ...] = (Cell.COUNT,)) -> float:
    """By how much a share is above the usual one, -1 to 1."""
    n = counted(reading.during, rows, *of)
    return (share(reading.during, rows, top, of) - share(reading.usual, rows, top, of)) * n / (n + HALF_CALLS)


def kind_share(reading: Reading, rows: Numbers, group: str, words: tuple[str, ...], others: bool = False) -> float:
    """The share of calls of some kind, "useless" or "errors", less the usual one."""
    found = []
    for stretch in (reading.during, reading.usual):
        part = sum(
            float(sums[rows].sum())
            for (of, kind), sums in stretch.kinds.items()
            if of == group and any(word in kind.lower() for word in words) is not others
        )
        found.append(part / max(1.0, counted(stretch, rows, Cell.COUNT)))
    n = counted(reading.during, rows, Cell.COUNT)
    return max(0.0, found[0] - found[1]) * n / (n + HALF_CALLS)


def each_shift(reading: Reading, rows: Numbers, part: Cell, of: Cell = Cell.COUNT) -> float:
    """How much more of something each call has than usual (tokens, dollars), in powers of two."""
    now, before = counted(reading.during, rows, of), counted(reading.usual, rows, of)
    had, usual = counted(reading.during, rows, part), counted(reading.usual, rows, part)
    if not (now and before and had > 0 and usual > 0):
        return 0.0
    return _log2(had / now, usual / before) * _weight(now, before)


def per_shift(reading: Reading, rows: Numbers, inward: Numbers) -> float:
    """How many more calls than usual are made for each call that comes in, in powers of two."""
    tried = (Cell.COUNT, Cell.REFUSED_LOCAL)
    made, came = counted(reading.during, rows, *tried), counted(reading.during, inward, Cell.COUNT)
    usual_made, usual_came = counted(reading.usual, rows, *tried), counted(reading.usual, inward, Cell.COUNT)
    if usual_came < 5 or usual_made < 1:
        return 0.0
    expected = max(usual_made / usual_came * max(came, 1.0), 1e-9)
    return _log2(made + HALF_CALLS, expected + HALF_CALLS) * _weight(came, usual_came)


def histograms(stretch: Stretch, groups: list[Numbers], channel: int) -> Sums:
    """(groups, BUCKETS) of one channel."""
    low = channel * BUCKETS
    found = [stretch.buckets[rows, low : low + BUCKETS].sum(axis=0) for rows in groups]
    return np.array(found).reshape(-1, BUCKETS)


def quantile_shift(reading: Reading, groups: list[Numbers], channel: int, q: float) -> float:
    """How much longer a quantile is than usual, in powers of two; the mean over the groups, by calls."""
    during, usual = (histograms(stretch, groups, channel) for stretch in (reading.during, reading.usual))
    n, m = during.sum(axis=1), usual.sum(axis=1)
    known = (n > 0) & (m > 0)
    if not known.any():
        return 0.0
    moved = (_quantile(during[known], q) - _quantile(usual[known], q)) / PER_DOUBLING
    weight = n[known] * m[known] / (m[known] + HALF_USUAL)
    total = float(n[known].sum())
    return _clip(float((moved * weight).sum() / max(total, 1e-9)) * total / (total + HALF_CALLS))


def slow_share(reading: Reading, groups: list[Numbers], channel: int) -> float:
    """The share of calls slower than nearly all usual ones, less what is usual; 0 to 1."""
    during, usual = (histograms(stretch, groups, channel) for stretch in (reading.during, reading.usual))
    n, m = during.sum(axis=1), usual.sum(axis=1)
    known = (n > 0) & (m >= HALF_USUAL)
    if not known.any():
        return 0.0
    limit = _quantile(usual[known], USUAL_SLOW) + SLOW_BUCKETS
    over = np.where(np.arange(BUCKETS) > limit[:, None], during[known], 0).sum(axis=1)
    total = float(n[known].sum())
    excess = (float(over.sum()) / total - (1 - USUAL_SLOW)) / USUAL_SLOW
    return max(0.0, excess) * total / (total + HALF_CALLS)


def _quantile(buckets: Sums, q: float) -> NDArray[np.float64]:
    """(groups,) bucket below which a share `q` lies."""
    sums = np.cumsum(buckets, axis=1)
    return np.asarray((sums < q * sums[:, -1:] - 1e-9).sum(axis=1).astype(np.float64))


def _weight(n: float, m: float) -> float:
    return n / (n + HALF_CALLS) * m / (m + HALF_USUAL)


def _log2(now: float, before: float) -> float:
    return _clip(float(np.log2(now / before)))


def _clip(value: float) -> float:
    return float(np.clip(value, -MOST_SHIFT, MOST_SHIFT))
