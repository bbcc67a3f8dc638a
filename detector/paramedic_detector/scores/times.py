"""Calls that take too long, each series by the time that blames the right one.

    op: self-time, where it is known, else the whole duration      -> OWN_TIME, SLOW
    edge, callee: the gap on the way, where it is known, else ...  -> GAP, SLOW
    streams: time to the first token                               -> FIRST_TOKEN

A whole duration makes every caller of a slow callee look slow; self-time and gap keep them quiet. Calls are asked
twice: how many are above the limit of their series, and how many far above it, where hardly any healthy one ever is.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from paramedic_detector.scores.baselines import WARM_SECONDS, Numbers
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.histories import LEAST
from paramedic_detector.scores.judging import Cells, judge
from paramedic_detector.scores.recent import FAR, MINUTE, WINDOWS_S
from paramedic_detector.scores.view import View
from paramedic_detector.series.slots import BUCKETS, CHANNELS, DURATION, FIRST_TOKEN, SELF_TIME, Cell
from paramedic_detector.values import Signal

LEAST_SLOW: Final = 3  # calls
SLOW_SHARE: Final = 0.5  # most calls must be slow: some always are
FAR_SHARE: Final = 0.2  # or so many, when they are far above the limit: what is lost on the way is sent again, late
LEAST_FAR: Final = 5  # calls
LARGE_EFFECT: Final = 1.0  # decades: that most calls are slow is seldom chance
ENOUGH: Final = 10.0  # calls that a window must usually hold: more in less time are a clump, one thing that happened
KNOWN_SHARE: Final = 0.5  # self-time and gap speak for a series when so many of its calls have one


def borrow_limits(view: View) -> None:
    """Give series that have no history of their own the limits of the thing that they are a new version of."""
    times, size = view.base.times, view.size
    young = np.flatnonzero((view.cast.elder != np.arange(size)) & (times.calls[DURATION, :size] < LEAST))
    for channel in range(CHANNELS) if len(young) else ():
        own = times.calls[channel, young] < LEAST
        times.limit[channel, young[own]] = times.limit[channel, view.cast.elder[young[own]]]


def slow_calls(view: View) -> list[Finding]:
    """What is found in every channel."""
    times, size = view.base.times, view.size
    blames = times.calls[SELF_TIME, :size] >= KNOWN_SHARE * np.maximum(times.calls[DURATION, :size], 1)
    blames = np.where(times.calls[DURATION, :size] >= LEAST, blames, blames[view.cast.elder])
    found = _found(view, SELF_TIME, view.cast.calls & blames)
    found += _found(view, DURATION, view.cast.calls & ~blames)
    return found + _found(view, FIRST_TOKEN, view.cast.calls)


def _found(view: View, channel: int, of: np.ndarray) -> list[Finding]:
    slow = view.recent.slow(channel)
    numbers = np.flatnonzero((slow[-1] >= np.where(view.held, 1, 2)) & of & ~view.cold)
    if not len(numbers):
        return []
    times, source = view.base.times, _source(view, numbers, channel)
    cells = Cells(
        numbers, slow[:, numbers], view.recent.timed(channel)[:, numbers],
        times.slow[channel, source].astype(np.float64), times.calls[channel, source].astype(np.float64),
        times.warm(channel, source) & (view.base.seconds[source] >= WARM_SECONDS),
        slow_bucket=times.limit[channel, source], channel=channel, clumps=_clumps(view, numbers),
        weigh_as_one=view.base.clumps.witnesses(channel, source),
    )  # fmt: skip
    found = _judged(view, cells)
    very = view.recent.very_slow(channel)[:, numbers]
    some = very[-1] > 0
    if some.any():
        far = replace(
            cells, bad=very, usual_bad=times.very_slow[channel, source].astype(np.float64),
            slow_bucket=np.minimum(times.limit[channel, source] + FAR, BUCKETS - 1).astype(np.int16),
        )  # fmt: skip
        found += _judged(view, _of(far, some))
        found += _judged(view, _of(far, some), share=FAR_SHARE, least=LEAST_FAR, less=0.0)
    best = {(one.number, one.signal): one for one in sorted(found, key=lambda one: one.score)}
    return list(best.values())


def _judged(
    view: View, cells: Cells, share: float = SLOW_SHARE, least: int = LEAST_SLOW, less: float = LARGE_EFFECT
) -> list[Finding]:
    """The findings, by what the channel means for each series.

    Args:
        share, least, less: What `judge` asks: how many of the calls are slow, and how sure that must be.
    """
    if cells.channel != SELF_TIME:
        signal = Signal.SLOW if cells.channel == DURATION else Signal.FIRST_TOKEN
        return judge(view, signal, cells, effect=share, least_bad=least, less=less)
    ops = view.cast.ops[cells.numbers]
    return [
        finding
        for signal, mine in ((Signal.OWN_TIME, ops), (Signal.GAP, ~ops))
        for finding in judge(view, signal, _of(cells, mine), effect=share, least_bad=least, less=less)
    ]


def _source(view: View, numbers: Numbers, channel: int) -> Numbers:
    return np.where(view.base.times.warm(channel, numbers), numbers, view.cast.elder[numbers])


def _clumps(view: View, numbers: Numbers) -> np.ndarray:
    """(windows, n) which windows are too short to judge times in; a minute never is."""
    minute = view.recent.of(Cell.COUNT)[MINUTE, numbers] / WINDOWS_S[MINUTE]
    rate = np.where(view.warm[numbers], np.minimum(view.rate[numbers], minute), minute)
    short = rate * np.array(WINDOWS_S)[:, None] < ENOUGH
    short[MINUTE:] = False
    return np.asarray(short)


def _of(cells: Cells, mine: np.ndarray) -> Cells:
    return Cells(
        cells.numbers[mine], cells.bad[:, mine], cells.calls[:, mine], cells.usual_bad[mine], cells.usual_calls[mine],
        cells.known[mine], slow_bucket=None if cells.slow_bucket is None else cells.slow_bucket[mine],
        channel=cells.channel, clumps=None if cells.clumps is None else cells.clumps[:, mine],
        weigh_as_one=None if cells.weigh_as_one is None else cells.weigh_as_one[mine],
    )  # fmt: skip
