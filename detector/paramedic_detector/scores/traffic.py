"""How many calls there are, against how many are usual: silence, fewer, more, and more than users asked for.

Calls come in clusters and users in waves; how much a minute of this series differs from another is learned as its
spread. Nothing here says that anybody is hurt: these findings support an incident, or explain it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.baselines import ATTEMPTS
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.recent import MINUTE, WINDOWS_S
from paramedic_detector.scores.view import View
from paramedic_detector.series.slots import Cell
from paramedic_detector.values import Signal

SURGE_WINDOW: Final = WINDOWS_S.index(8)
DROP_WINDOW: Final = MINUTE
LEAST_SILENT: Final = 5.0  # calls that should have come
LEAST_MORE: Final = 15.0  # calls more than usual
LEAST_LESS: Final = 20.0  # calls fewer than usual
WAVES: Final = 0.35  # spread of users' traffic from one moment to another, as a share of it
MOST_TOLD: Final = 30  # series that say that there is more, or less, to do
USERS_COME: Final = 0.3  # share of the usual traffic that must still arrive for a silence to mean something
Array = NDArray[np.float64]


def traffic(view: View) -> list[Finding]:
    return _missing(view) + _strongest(_surge(view)) + _strongest(_drop(view))


def _strongest(findings: list[Finding]) -> list[Finding]:
    """When traffic changes everywhere, a few series say so as well as all of them."""
    return sorted(findings, key=lambda finding: -finding.score)[:MOST_TOLD]


def _missing(view: View) -> list[Finding]:
    """Traffic that stopped: no call worked for longer than chance explains, while users still come."""
    base, recent = view.base, view.recent
    worked = recent.of(Cell.COUNT)[: MINUTE + 1] - recent.of(Cell.ERRORS)[: MINUTE + 1]
    told = view.rate * WINDOWS_S[MINUTE] >= LEAST_SILENT
    numbers = np.flatnonzero((worked[0] <= 0) & told & view.warm & view.cast.arriving)
    if not len(numbers):
        return []
    refused = sum(
        recent.of(cell)[: MINUTE + 1, numbers]
        for cell in (Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE)
    )
    silent = (worked[:, numbers] <= 0) & (np.asarray(refused) <= 0)
    seen_s = recent.seconds()[: MINUTE + 1] - view.lag_s
    quiet_s = np.maximum(0.0, np.where(silent, seen_s[:, None], 0).max(axis=0))
    idle = (base.seconds[numbers] - base.active[numbers] + 1) / (base.seconds[numbers] + 2)
    scores = -quiet_s * np.log10(np.clip(idle, 1e-3, 1))
    odd = (scores >= view.threshold) & (view.rate[numbers] * quiet_s >= LEAST_SILENT)
    odd &= _users_come(view) | np.isin(numbers, view.cast.entry)
    odd &= ~_replaced(view, numbers)
    return [
        Finding(
            int(numbers[at]), Signal.MISSING, float(scores[at]), float(quiet_s[at]), 0.0, 0.0,
            float(view.rate[numbers[at]]), "1/s", value=0.0,
        )
        for at in np.flatnonzero(odd)
    ]  # fmt: skip


def _replaced(view: View, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the series are silent because another version of the same thing gets their calls."""
    calls = view.recent.of(Cell.COUNT)[SURGE_WINDOW]
    alive = np.bincount(view.cast.place, calls, len(view.cast.place) + 1)
    return np.asarray(alive[view.cast.place[numbers]] > 0)


def _users_come(view: View) -> bool:
    """Whether the services that nobody calls still get a good part of their usual traffic."""
    now = view.recent.of(Cell.COUNT)[SURGE_WINDOW, view.cast.entry].sum()
    usual = view.rate[view.cast.entry].sum() * max(1.0, WINDOWS_S[SURGE_WINDOW] - view.lag_s)
    return bool(now >= USERS_COME * usual)


def spread(view: View, numbers: NDArray[np.int64], usual: Array, waves: float = WAVES) -> Array:
    """(n,) standard deviation of the calls of each series in a window that usually has `usual` of them.

    Args:
        waves: How much what is expected differs from one moment to another, as a share of it.
    """
    base = view.base
    busy = np.clip(base.active[numbers] / np.maximum(base.seconds[numbers], 1), 0.01, 1)  # seconds with a call
    clusters = view.rate[numbers] * (1 / busy - 1)
    return np.asarray(np.sqrt(usual + usual * clusters + (waves * usual) ** 2 + 1))


def _surge(view: View) -> list[Finding]:
    """Far more calls than usual."""
    span_s = WINDOWS_S[SURGE_WINDOW]
    seen = view.recent.of(Cell.COUNT)[SURGE_WINDOW] + view.recent.of(Cell.REFUSED_LOCAL)[SURGE_WINDOW]
    usual = view.rate * span_s
    numbers = np.flatnonzero(view.warm & view.cast.calls & (seen >= 2 * usual) & (seen - usual >= LEAST_MORE))
    if not len(numbers):
        return []
    calls, expected = seen[numbers].astype(np.float64), usual[numbers].astype(np.float64)
    z = (calls - expected) / spread(view, numbers, expected)
    return [
        Finding(
            int(numbers[at]), Signal.SURGE, float(z[at] ** 2 / 4.6), span_s, calls[at], calls[at],
            float(view.rate[numbers[at]]), "1/s", value=float(calls[at] / span_s),
        )
        for at in np.flatnonzero(z >= _rare(view))
    ]  # fmt: skip


def _drop(view: View) -> list[Finding]:
    """Far fewer calls than usual, but some."""
    span_s = WINDOWS_S[DROP_WINDOW] - view.lag_s
    seen = np.asarray(sum(view.recent.of(cell)[DROP_WINDOW] for cell in ATTEMPTS))
    usual = view.rate * span_s
    few = (seen <= usual / 2) & (usual - seen >= LEAST_LESS) & (view.recent.of(Cell.COUNT)[1] > 0)
    numbers = np.flatnonzero(view.warm & view.cast.arriving & few)
    if not len(numbers) or view.recent.seconds()[DROP_WINDOW] < WINDOWS_S[DROP_WINDOW] - 5:
        return []
    calls, expected = seen[numbers].astype(np.float64), usual[numbers].astype(np.float64)
    z = (expected - calls) / spread(view, numbers, calls)
    return [
        Finding(
            int(numbers[at]), Signal.DROP, float(z[at] ** 2 / 4.6), span_s, calls[at], calls[at],
            float(view.rate[numbers[at]]), "1/s", value=float(calls[at] / span_s),
        )
        for at in np.flatnonzero(z >= _rare(view))
    ]  # fmt: skip


def _rare(view: View) -> float:
    """Standard deviations that about the highest of so many series reaches by chance."""
    return max(3.0, float(np.sqrt(2 * np.log(max(view.live, 1)))))
