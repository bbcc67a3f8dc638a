"""Time spent inside a service: self-time of its own operations, far above what they usually take.

    score = how far the median moved, in spreads of the operation  x  how little chance would do it (Mann-Whitney's z)

A spread is no smaller than a small part of what users wait: what nobody can feel is no evidence. One slow call is none
either, however slow: it would be the slowest of many by chance alone.
"""

from typing import Final

import numpy as np

from paramedic_detector.diagnosis.causes.module import Evidence, best_of
from paramedic_detector.diagnosis.causes.stats import chance_above, quantiles_s, usual_of
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import DURATION, SELF_TIME

LEAST_REFERENCE: Final = 4
FLOOR_S: Final = 2e-4
LIKELY_MORE: Final = 0.6  # chance that a value of the window is larger than a usual one
BY_CHANCE: Final = 2.0  # z that one of some operations reaches any time
SURE: Final = 8.0  # z beyond that from which more calls say no more
FELT: Final = 0.01  # of what users wait
MOST_SERIES: Final = 3000


class OwnTime:
    """Score: how many robust standard deviations the median moved up, in the operation where it moved most."""

    name, least = "own_time", 1.0

    def __call__(self, view: View) -> Evidence | None:
        numbers, owner, _ = view.index.series("own")
        numbers, owner = numbers[:MOST_SERIES], owner[:MOST_SERIES]
        if not len(numbers):
            return None
        window, usual = view.histograms(numbers, np.arange(len(numbers)), len(numbers), SELF_TIME)
        n, m = window.sum(axis=-1), usual.sum(axis=-1)
        if not usual.any():
            return None
        median, spread, _ = usual_of(usual, FLOOR_S)
        likely = chance_above(window, usual)
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = (quantiles_s(window, 0.5) - median) / (spread + FELT * waited_s(view))
            z = (likely - 0.5) * np.sqrt(12 * n * m / (n + m + 1))
        sure = np.clip(z - BY_CHANCE, 0, SURE) / SURE
        told = (n >= 1) & (m >= LEAST_REFERENCE) & (likely > LIKELY_MORE)
        values = np.where(told, np.maximum(moved, 0) * sure, 0.0)

        def say(name: int) -> str:
            mine = np.flatnonzero(owner == name)
            at = int(mine[np.argmax(values[0, mine])])
            return (
                f"its own time in {view.table.keys[int(numbers[at])].part('operation')} is "
                f"{_time(float(quantiles_s(window[0, at], 0.5)))} instead of {_time(float(median[0, at]))}"
            )

        return Evidence(best_of(len(view.index.names), owner, values), n.sum(axis=-1), say)


def waited_s(view: View) -> float:
    """What users usually wait: the median of calls to services that nobody else calls; 0 where there are none."""
    numbers, owner, _ = view.index.series("server")
    entry = numbers[~np.isin(owner, view.index.series("edge")[2])]
    if not len(entry):
        return 0.0
    _, usual = view.histograms(entry, np.zeros(len(entry), np.int64), 1, DURATION)
    known = usual.sum(axis=0, keepdims=True)
    return float(np.nan_to_num(quantiles_s(known, 0.5)).max(initial=0.0))


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2f} s"
