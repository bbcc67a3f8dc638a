"""Calls that end badly: errors of all kinds, useless answers, refusals by the caller's own breaker."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic_detector.scores.baselines import Numbers
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.judging import Array, Cells, judge
from paramedic_detector.scores.recent import MINUTE, Floats, Recent
from paramedic_detector.scores.view import View
from paramedic_detector.series.slots import Cell
from paramedic_detector.values import Signal

LEAST_BAD: Final = 4  # calls; fewer are no incident, whatever their share
EFFECT: Final = 0.05  # the share of bad calls must be this much above the usual, and twice it
STRANGER_AFTER_S: Final = 60  # with this much data overall, a series without a history is judged by a weak prior
STRANGER: Final = (1.0, 50.0)  # one bad call of fifty
BROKEN_FROM_BIRTH: Final = 0.25  # a series this bad while it warms up does not learn that as its usual
_LASTING: Final = 3  # a stranger is judged when it was called in this window


@dataclass(frozen=True, slots=True)
class Ratio:
    """A signal that is a share of bad calls: which cell is bad, less which, of which."""

    signal: Signal
    bad: Cell
    less: tuple[Cell, ...] = ()
    of: tuple[Cell, ...] = (Cell.COUNT,)

    def bad_of(self, recent: Recent, window: int | slice) -> Floats:
        return np.asarray(recent.of(self.bad)[window] - sum(recent.of(cell)[window] for cell in self.less))

    def calls_of(self, recent: Recent, window: int | slice) -> Floats:
        return np.asarray(sum(recent.of(cell)[window] for cell in self.of))

    def usual(self, sums: Floats) -> tuple[Array, Array]:
        """(n,) bad calls and calls of histories (n, CELLS)."""
        bad = sums[:, self.bad] - sums[:, list(self.less)].sum(axis=1)
        return np.maximum(bad, 0).astype(np.float64), sums[:, list(self.of)].sum(axis=1).astype(np.float64)


RATIOS: Final = (
    Ratio(Signal.ERRORS, Cell.ERRORS, less=(Cell.RATE_LIMITED, Cell.AUTH)),
    Ratio(Signal.RATE_LIMITED, Cell.RATE_LIMITED),
    Ratio(Signal.AUTH, Cell.AUTH),
    Ratio(Signal.USELESS, Cell.USELESS),
    Ratio(Signal.REFUSED, Cell.REFUSED_LOCAL, of=(Cell.COUNT, Cell.REFUSED_LOCAL)),
)


def bad_calls(view: View) -> list[Finding]:
    """What is found in every ratio."""
    return [finding for ratio in RATIOS for finding in _found(view, ratio)]


def _found(view: View, ratio: Ratio) -> list[Finding]:
    bad = ratio.bad_of(view.recent, -1)
    numbers = np.flatnonzero((bad >= np.where(view.held, 1, 2)) & view.cast.calls)
    if not len(numbers):
        return []
    every, recent = slice(None), view.recent
    bad, calls = ratio.bad_of(recent, every)[:, numbers], ratio.calls_of(recent, every)[:, numbers]
    _quarantine_the_broken(view, numbers, bad[MINUTE], calls[MINUTE])
    source, warm = _source(view, numbers)
    usual_bad, usual_calls = ratio.usual(view.base.sums[source])
    probes = recent.of(Cell.PROBE_ERRORS)[:, numbers] if ratio.of == (Cell.COUNT,) else None
    cells = Cells(
        numbers, bad, calls, np.where(warm, usual_bad, STRANGER[0]), np.where(warm, usual_calls, STRANGER[1]),
        warm | _strangers(view, numbers), probes,
    )  # fmt: skip
    return judge(view, ratio.signal, cells, effect=EFFECT, least_bad=LEAST_BAD)


def _source(view: View, numbers: Numbers) -> tuple[Numbers, np.ndarray]:
    """Which series tells what is usual for each, and whether it knows enough to do so."""
    source = np.where(view.warm[numbers], numbers, view.cast.elder[numbers])
    return source, view.warm[source]


def _strangers(view: View, numbers: Numbers) -> np.ndarray:
    base = view.base
    old = base.started is not None and view.now - base.started > STRANGER_AFTER_S
    called = (view.recent.of(Cell.COUNT)[_LASTING, numbers] > 0) & (base.last_call[numbers] > 0)
    return np.asarray(old & called & ~view.cast.inner[numbers])


def _quarantine_the_broken(view: View, numbers: Numbers, bad: Floats, calls: Floats) -> None:
    broken = numbers[~view.warm[numbers] & ~view.cast.inner[numbers] & (bad >= 3) & (bad > BROKEN_FROM_BIRTH * calls)]
    if len(broken):
        view.base.suspect(broken, view.now)
