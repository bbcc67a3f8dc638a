"""What was recorded when: stretches of time, and which kinds of telemetry ran through them without knowing of faults.

    moments with data --gap of an hour--> stretches --each kind: as much outside of faults as inside?--> usable, partial

A kind that was recorded only around faults would tell detection where they are by merely being there. It may serve
diagnosis; detection never sees it. Where there is no time outside of faults nothing can be told, and all is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.evaluate.truth import GRACE_S, Fault, Span

GAP_S: Final = 3600.0  # without anything for so long, a stretch ends
CELL_S: Final = 60.0  # the least time in which something should have been recorded
LEAST_CELLS: Final = 10  # outside of faults, to say anything
BESIDE: Final = 2  # times LEAST_CELLS before a kind began and after it ended are looked at too
HALF: Final = 0.5  # of the share inside of faults: less outside, and the kind was recorded for the faults' sake

Moments = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time without a long gap."""

    span: Span
    usable: frozenset[str]  # kinds that detection may see: "spans", "metrics", "logs"
    partial: frozenset[str]  # kinds that were recorded around faults only
    faults: tuple[Fault, ...]


def stretches(moments: Mapping[str, Moments], faults: Sequence[Fault], grain_s: float | None) -> tuple[Stretch, ...]:
    """The stretches of a set, oldest first.

    Args:
        moments: By kind, the unix seconds in which something was recorded, in any order.
        faults: All labelled ones.
        grain_s: Seconds between two points of a metric; None without metrics.
    """
    cell_s = max(CELL_S, 2 * (grain_s or 0.0))
    every = np.unique(np.concatenate([np.empty(0, np.int64), *moments.values()]))
    if not len(every):
        return ()
    cuts = np.flatnonzero(np.diff(every) > max(GAP_S, 5 * cell_s)) + 1
    found = []
    for first, end in pairwise([0, *cuts.tolist(), len(every)]):
        start, stop = float(every[first]), float(every[end - 1]) + 1
        span = Span(start, stop + (grain_s or 0.0))
        mine = tuple(fault for fault in faults if start <= fault.start <= stop)
        inside = {kind: at[(at >= start) & (at <= stop)] for kind, at in moments.items()}
        present = {kind: at for kind, at in inside.items() if len(at)}
        partial = frozenset(kind for kind, at in present.items() if _follows_faults(at, span, mine, cell_s))
        found.append(Stretch(span, frozenset(present) - partial, partial, mine))
    return tuple(found)


def _follows_faults(at: Moments, stretch: Span, faults: Sequence[Fault], cell_s: float) -> bool:
    """Whether a kind was there during faults, and mostly away before, between and after them."""
    margin_s = BESIDE * LEAST_CELLS * cell_s
    first = int(max(stretch.start, at.min() - margin_s) // cell_s)
    last = int(min(stretch.end, at.max() + margin_s) // cell_s)
    cells = np.unique(at // cell_s).astype(np.int64) - first
    has = np.zeros(last - first + 1, bool)
    has[cells[cells < len(has)]] = True
    middle = (np.arange(first, last + 1) + 0.5) * cell_s
    near = np.zeros(len(has), bool)
    for fault in faults:
        near |= (middle >= fault.start - GRACE_S) & (middle <= fault.end + GRACE_S)
    if (~near).sum() < LEAST_CELLS or not near.any():
        return False
    return bool(has[~near].mean() < HALF * has[near].mean())
