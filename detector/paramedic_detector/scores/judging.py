"""The one test behind all shares of bad calls: errors, useless answers, slow calls.

    candidates x windows --[an effect that is felt]--> the most telling window --[exact tail]--> findings

Only the few series with anything bad in them get here. For each, the window that says most is picked by a bound that
costs little, and only that one is asked for the exact chance: thousands of series may fail at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.baselines import Flags, Numbers
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.recent import MINUTE, WINDOWS_S
from paramedic_detector.scores.tails import MOST_CALLS, surprise
from paramedic_detector.scores.view import KEEP, SUSPICIOUS, View
from paramedic_detector.values import Signal

RARE_CALLS: Final = 4.0  # a series with fewer calls in a minute is looked at over longer windows
EXACT: Final = 2000  # so many series get an exact chance in one step; the rest goes by the bound
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Bad calls and calls of some series.

    Attributes:
        numbers: (n,) the series.
        bad, calls: (windows, n).
        usual_bad, usual_calls: (n,) of the history.
        known: (n,) whether a history stands behind it.
        probes: (windows, n) of the bad ones, those that were let through on purpose.
        slow_bucket: (n,) for times: above which bucket a call is bad.
    """

    numbers: Numbers
    bad: NDArray[np.float32]
    calls: NDArray[np.float32]
    usual_bad: Array
    usual_calls: Array
    known: Flags
    probes: NDArray[np.float32] | None = None
    slow_bucket: NDArray[np.int16] | None = None
    channel: int | None = None
    clumps: Flags | None = None  # (windows, n) windows so short that calls in them would come in clumps
    weigh_as_one: Array | None = None  # (n,) calls that weigh as one; 1 when not given


def judge(
    view: View, signal: Signal, cells: Cells, *, effect: float, least_bad: int, less: float = 0.0
) -> list[Finding]:
    """The findings among some series.

    Args:
        effect: The share of bad calls must be this much above the usual, and twice it.
        least_bad: Fewer bad calls are no incident, whatever their share.
        less: Decades of surprise that are asked less than usual, because the effect asked is large.
    """
    if not len(cells.numbers):
        return []
    usual = cells.usual_bad / np.maximum(cells.usual_calls, 1)
    held = view.held[cells.numbers]
    odd = _odd(cells, usual, held, effect)
    some = np.asarray(odd.any(axis=0), bool)
    if not some.any():
        return []
    window, score = _best_windows(cells, odd, some, least_bad)
    at = np.arange(len(cells.numbers))
    bad = cells.bad[window, at]
    view.base.suspect(cells.numbers[some & (score >= SUSPICIOUS)], view.now)
    alone = np.zeros(len(at), bool) if cells.probes is None else bad - cells.probes[window, at] < least_bad
    enough = some & np.where(held, score >= KEEP, (score >= view.threshold - less) & (bad >= least_bad) & ~alone)
    return [
        Finding(
            int(cells.numbers[one]), signal, float(score[one]), float(WINDOWS_S[window[one]]), float(bad[one]),
            float(cells.calls[window[one], one]), float(usual[one]), "ratio",
            slow_bucket=int(cells.slow_bucket[one]) if cells.slow_bucket is not None else None,
            channel=cells.channel, held=bool(held[one]),
        )
        for one in np.flatnonzero(enough)
    ]  # fmt: skip


def _odd(cells: Cells, usual: Array, held: Flags, effect: float) -> Flags:
    """(windows, n) where there is an effect that somebody would feel."""
    share = cells.bad / np.maximum(cells.calls, 1)
    felt = (share >= np.maximum(2 * usual, usual + effect)) | (share >= 0.99)
    odd = (cells.bad >= np.where(held, 1, 2)) & felt & cells.known
    odd[MINUTE + 1 :] &= cells.calls[MINUTE] < RARE_CALLS
    if cells.clumps is not None:
        odd &= ~cells.clumps
    return np.asarray(odd)


def _best_windows(cells: Cells, odd: Flags, some: Flags, least_bad: int) -> tuple[NDArray[np.int64], Array]:
    """For each series the window that says most, and what it says: -log10 of its chance."""
    bound = np.where(odd, _bound(cells), -1.0)
    bound = np.where(
        odd & (cells.bad >= least_bad * _weight(cells)), bound + 1e6, bound
    )  # those that may alert come first
    window = bound.argmax(axis=0)
    score = bound[window, np.arange(len(window))] % 1e6
    exact = np.flatnonzero(some)
    if len(exact) > EXACT:
        exact = exact[np.argsort(-score[exact], kind="stable")[:EXACT]]
    k, n = cells.bad[window[exact], exact].astype(np.float64), cells.calls[window[exact], exact].astype(np.float64)
    score[exact] = surprise(k, np.maximum(n, k), cells.usual_bad[exact], cells.usual_calls[exact])
    weight = np.broadcast_to(_weight(cells), len(window))[exact]
    score[exact] *= np.minimum(n / weight, MOST_CALLS) / np.clip(n, 1, MOST_CALLS)
    return window, score


def _weight(cells: Cells) -> Array | float:
    return 1.0 if cells.weigh_as_one is None else cells.weigh_as_one


def _bound(cells: Cells) -> Array:
    """(windows, n) decades by which the share of bad calls is unlikely, as if the usual were known exactly."""
    share = np.clip(cells.bad / np.maximum(cells.calls, 1), 1e-6, 1 - 1e-6).astype(np.float64)
    p = (cells.usual_bad + 1) / (cells.usual_calls + 2)
    gain = share * np.log(share / p) + (1 - share) * np.log((1 - share) / (1 - p))
    return np.asarray(np.minimum(cells.calls / _weight(cells), MOST_CALLS) * np.maximum(gain, 0) / np.log(10))
