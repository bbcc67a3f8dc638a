"""Time spent inside a service: self-time of its own operations, far above what they usually take."""

from typing import Final

import numpy as np

from paramedic_detector.diagnosis.causes.module import Evidence, best_of
from paramedic_detector.diagnosis.causes.stats import chance_above, quantiles_s, usual_of
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import SELF_TIME

LEAST_REFERENCE: Final = 4
FLOOR_S: Final = 2e-4
LIKELY_MORE: Final = 0.6  # chance that a value of the window is larger than a usual one
FULL: Final = 30.0  # values from which the window's number no longer matters
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
        with np.errstate(invalid="ignore"):
            moved = (quantiles_s(window, 0.5) - median) / spread * np.sqrt(np.minimum(n, FULL) / FULL)
            told = (n >= 1) & (m >= LEAST_REFERENCE) & (chance_above(window, usual) > LIKELY_MORE)
        values = np.where(told, np.maximum(moved, 0), 0.0)

        def say(name: int) -> str:
            mine = np.flatnonzero(owner == name)
            at = int(mine[np.argmax(values[0, mine])])
            return (
                f"its own time in {view.table.keys[int(numbers[at])].part('operation')} is "
                f"{_time(float(quantiles_s(window[0, at], 0.5)))} instead of {_time(float(median[0, at]))}"
            )

        return Evidence(best_of(len(view.index.names), owner, values), n.sum(axis=-1), say)


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2f} s"
