"""Tokens a call, against what is usual: a prompt that grew, an answer that does not stop."""

from typing import Final

import numpy as np

from paramedic_detector.scores.baselines import Numbers
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.recent import MINUTE, WINDOWS_S
from paramedic_detector.scores.view import SUSPICIOUS, View
from paramedic_detector.series.slots import Cell
from paramedic_detector.values import Signal

TIMES: Final = 2.0  # a call must use this many times the usual tokens
LEAST_CALLS: Final = 4.0
LEAST_SECONDS: Final = 10.0  # with tokens, before anything is usual
MIXED: Final = 0.25  # what is asked changes: spread of the mean of a window, as a share of it
OVER: Final = 1.5  # times the usual tokens: when the calls of the last seconds use less, it is over
FROM: Final = WINDOWS_S.index(8)  # shorter windows say too little
LATELY: Final = WINDOWS_S.index(16) - FROM


def tokens(view: View) -> list[Finding]:
    """Series whose calls use far more tokens than usual."""
    base, size = view.base, view.size
    used = view.recent.of(Cell.TOKENS)
    usual = base.sums[:size, Cell.TOKENS] / np.maximum(base.sums[:size, Cell.COUNT], 1)
    many = used[MINUTE] >= np.maximum(TIMES * usual, 1) * LEAST_CALLS
    numbers = np.flatnonzero(many & view.warm & (base.token_seconds[:size] >= LEAST_SECONDS))
    if not len(numbers):
        return []
    windows = slice(FROM, MINUTE + 1)
    calls = view.recent.of(Cell.COUNT)[windows, numbers].astype(np.float64)
    a_call = used[windows, numbers] / np.maximum(calls, 1)
    expected = usual[numbers].astype(np.float64)
    z = (a_call - expected) / np.sqrt(_variance(view, numbers) / np.maximum(calls, 1) + (MIXED * expected) ** 2 + 1e-9)
    z = np.where((calls >= LEAST_CALLS) & (a_call >= TIMES * expected), z, 0.0)
    z[:, (calls[LATELY] > 0) & (a_call[LATELY] < OVER * expected)] = 0.0
    window = z.argmax(axis=0)
    at = np.arange(len(numbers))
    score = np.minimum(z[window, at] ** 2 / 4.6, 300.0)
    base.suspect(numbers[score >= SUSPICIOUS], view.now)
    return [
        Finding(
            int(numbers[one]), Signal.TOKENS, float(score[one]), float(WINDOWS_S[FROM + window[one]]),
            float(calls[window[one], one]), float(calls[window[one], one]), float(expected[one]), "tokens",
            value=float(a_call[window[one], one]), held=bool(view.held[numbers[one]]),
        )
        for one in np.flatnonzero(score >= view.threshold)
    ]  # fmt: skip


def _variance(view: View, numbers: Numbers) -> np.ndarray:
    """(n,) of the tokens of one call, from how the means of single seconds differ."""
    base = view.base
    total = base.sums[numbers, Cell.TOKENS].astype(np.float64)
    calls = np.maximum(base.sums[numbers, Cell.COUNT].astype(np.float64), 1)
    excess = base.token_squares[numbers] - total**2 / calls
    return np.asarray(np.maximum(excess, 0) / np.maximum(base.token_seconds[numbers] - 1.0, 1))
