"""Time lost on the way: whose calls, in and out, all got slower, found by attribution over the graph.

    excess of the edge u -> v  =  delay of u  +  delay of v       (non-negative least squares)

A slow host delays every edge that it touches, so it explains all of them cheaper than its neighbours do. Calls to
somebody who tells no spans (a provider, a database) are edges to him, with his own time in them.

Source: C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (SIAM, 1974), for the solver.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.index import NOBODY
from paramedic_detector.diagnosis.causes.module import Evidence
from paramedic_detector.diagnosis.causes.stats import means_over_s, quantiles_s, usual_of
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import DURATION, SELF_TIME

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
RIDGE: Final = 0.1
LEAST_REFERENCE: Final = 4
FLOOR_S: Final = 2e-4
LEAF: Final = 0.9  # self-time of at least this share of the duration: nobody answers below
MOST_ROWS: Final = 400  # the graph's edges with the largest excess


class Delays:
    """Score: seconds that each name adds to the calls it takes part in."""

    name, least = "delays", 1e-3

    @staticmethod
    def warm_up() -> None:
        """Load the solver now."""
        attributed(np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1), 2)

    def __call__(self, view: View) -> Evidence | None:
        rows = [part for part in (_gaps(view), _leaves(view)) if part is not None]
        if not rows:
            return None
        owner, other = (np.concatenate([part[at] for part in rows]) for at in (0, 1))
        excess, calls = (np.concatenate([part[at] for part in rows], axis=1) for at in (2, 3))
        names = len(view.index.names)
        scores = np.zeros((excess.shape[0], names))
        for window, row in enumerate(excess):
            scores[window] = attributed(owner, other, row, names)[:names]
        touched = excess[0]

        def say(name: int) -> str:
            mine = (owner == name) | (other == name)
            told = mine & (calls[0] > 0)
            slow = int((touched[told] > 0.3 * scores[0, name]).sum())
            return (
                f"calls through it lose {1000 * scores[0, name]:.0f} ms on the way ({slow} of {int(told.sum())} edges)"
            )

        return Evidence(scores, calls.sum(axis=1), say)


def attributed(owner: Numbers, other: Numbers, excess: Floats, names: int) -> Floats:
    """(2 * names,) delay of each name, then of each name's nameless database.

    Args:
        owner: (edges,) who calls.
        other: (edges,) who is called; NOBODY for the caller's own database.
        excess: (edges,) seconds above usual, from 0 up.
    """
    from scipy.optimize import nnls  # takes a second, which nobody should wait for who diagnoses nothing

    found = np.zeros(2 * names)
    other = np.where(other == NOBODY, names + owner, other)
    guilty = np.zeros(2 * names, bool)
    hurt = excess > 0
    guilty[owner[hurt]] = guilty[other[hurt]] = True
    which = np.flatnonzero(guilty[owner] | guilty[other])
    which = which[np.argsort(-excess[which], kind="stable")[:MOST_ROWS]]
    if not len(which):
        return found
    unknowns = np.flatnonzero(guilty)
    place = np.full(2 * names, -1)
    place[unknowns] = np.arange(len(unknowns))
    matrix = np.zeros((len(which) + len(unknowns), len(unknowns)))
    for side in (owner[which], other[which]):
        known = place[side] >= 0
        matrix[np.flatnonzero(known), place[side[known]]] += 1
    matrix[len(which) :] = RIDGE * np.eye(len(unknowns))
    solved, _ = nnls(matrix, np.concatenate([excess[which], np.zeros(len(unknowns))]))
    found[unknowns] = solved
    return found


Rows = tuple[Numbers, Numbers, Floats, Floats]  # owner, other, excess (windows, edges), calls (windows, edges)


def _gaps(view: View) -> Rows | None:
    """Edges whose callee tells its own spans: time between the two; else the whole call."""
    numbers, owner, other = view.index.series("edge")
    if not len(numbers):
        return None
    rows = np.arange(len(numbers))
    gap = view.histograms(numbers, rows, len(numbers), SELF_TIME)
    whole = view.histograms(numbers, rows, len(numbers), DURATION)
    has_gap = (gap[1].sum(axis=-1) > 0)[..., None]
    window, usual = (np.where(has_gap, a, b) for a, b in zip(gap, whole, strict=True))
    # Without gaps, the calls of one who calls others himself may be slow because of them.
    between = np.isin(other, view.index.series("server")[1]) & np.isin(other, owner) & ~has_gap[..., 0]
    excess = np.where(between, 0.0, excess_s(window, usual))
    return owner, other, excess, window.sum(axis=-1)


def _leaves(view: View) -> Rows | None:
    """Calls to nobody in particular: a service's own database, when nobody answers below them."""
    numbers, owner, other = view.index.series("client")
    nameless = other == NOBODY
    numbers, owner = numbers[nameless], owner[nameless]
    if not len(numbers):
        return None
    rows = np.arange(len(numbers))
    window, usual = view.histograms(numbers, rows, len(numbers), SELF_TIME)
    _, whole = view.histograms(numbers, rows, len(numbers), DURATION)
    with np.errstate(invalid="ignore"):
        leaf = quantiles_s(usual, 0.5) >= LEAF * quantiles_s(whole, 0.5)
    excess = np.where(leaf, excess_s(window, usual), 0.0)
    return owner, np.full(len(owner), NOBODY), excess, np.where(leaf, window.sum(axis=-1), 0.0)


def excess_s(window: Floats, usual: Floats) -> Floats:
    """(windows, series) mean of what calls take beyond the usual limit, less what they always do."""
    _, _, limit = usual_of(usual, FLOOR_S)
    limit = np.where(np.isnan(limit), np.inf, limit)
    more = means_over_s(window, limit) - means_over_s(usual, limit)
    enough = (window.sum(axis=-1) >= 1) & (usual.sum(axis=-1) >= LEAST_REFERENCE)
    return np.where(enough, np.maximum(np.nan_to_num(more), 0), 0.0)
