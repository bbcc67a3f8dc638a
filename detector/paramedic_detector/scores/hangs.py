"""Calls begun that do not end: more in flight for each that ends than usual, and the oldest overdue."""

from typing import Final

import numpy as np

from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.recent import WINDOWS_S
from paramedic_detector.scores.tails import surprise
from paramedic_detector.scores.view import KEEP, SUSPICIOUS, View
from paramedic_detector.series.slots import Cell
from paramedic_detector.values import Signal

LEAST_S: Final = 1.0
LEAST_CALLS: Final = 3
SAID_WITHIN_S: Final = 3  # a level said longer ago than this is not known
WINDOW: Final = WINDOWS_S.index(4)


def hangs(view: View) -> list[Finding]:
    base, size = view.base, view.size
    in_flight, oldest = view.table.levels(view.now, SAID_WITHIN_S)
    limit = np.maximum(LEAST_S, 1.5 * base.oldest_high[:size] + 0.3)
    with np.errstate(invalid="ignore"):
        overdue = (oldest > limit) & (in_flight >= np.where(view.held, 1, LEAST_CALLS))
    numbers = np.flatnonzero(overdue & view.warm & ~view.cold)
    if not len(numbers):
        return []
    seconds = np.maximum(base.seconds[numbers], 1).astype(np.float64)
    usual_flying = base.flying[numbers] / seconds
    usual_ended = view.rate[numbers] * WINDOWS_S[WINDOW]
    k = in_flight[numbers].astype(np.float64)
    n = k + view.recent.of(Cell.COUNT)[WINDOW, numbers]
    rounds = seconds / WINDOWS_S[WINDOW]
    scores = surprise(k, n, usual_flying * rounds, (usual_flying + usual_ended) * rounds)
    base.suspect(numbers[scores >= SUSPICIOUS], view.now)
    held = view.held[numbers]
    enough = (scores >= view.threshold) | (held & ((scores >= KEEP) | (k >= n)))  # a lone probe may hang
    return [
        Finding(
            int(numbers[at]), Signal.HANG, max(float(scores[at]), KEEP), WINDOWS_S[WINDOW], k[at], n[at],
            float(base.oldest_high[numbers[at]]), "s", value=float(oldest[numbers[at]]),
        )
        for at in np.flatnonzero(enough)
    ]  # fmt: skip
