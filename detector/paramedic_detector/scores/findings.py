"""One abnormal series looked at closely: does it still last, since when, and how to say it.

Finding (from the arrays) -> its last seconds one by one -> Alert, or None when it is over
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.series.slots import Cell, upper_edge_s
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

LOOK_BACK_S: Final = 64
OVER_AFTER_S: Final = 12  # an open incident without a bad call for this long is over, however few calls there were
FRESH_S: Final = 4  # what opens an incident has a bad call this young
STILL_LIKELY: Final = 0.02  # it is over when so many good calls in a row would be this unlikely
SLOW_SPREAD_S: Final = 3  # slow calls must end in so many different seconds: one stall is no slowness

Line = NDArray[np.float32]

_BAD: Final[dict[Signal, tuple[tuple[Cell, ...], tuple[Cell, ...]]]] = {
    Signal.ERRORS: ((Cell.ERRORS,), (Cell.RATE_LIMITED, Cell.AUTH)),
    Signal.RATE_LIMITED: ((Cell.RATE_LIMITED,), ()),
    Signal.AUTH: ((Cell.AUTH,), ()),
    Signal.USELESS: ((Cell.USELESS,), ()),
    Signal.REFUSED: ((Cell.REFUSED_LOCAL,), ()),
}
_VERBS: Final = {
    Signal.ERRORS: "failed",
    Signal.RATE_LIMITED: "were rate limited",
    Signal.AUTH: "were not authorised",
    Signal.USELESS: "answered nothing useful",
    Signal.REFUSED: "were refused by the caller's own breaker or bulkhead",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A series found abnormal in the arrays, before it is looked at closely."""

    number: int
    signal: Signal
    score: float
    window_s: float
    bad: float  # calls
    calls: float
    usual: float  # in `unit`
    unit: str
    value: float | None = None  # in `unit`; None: the share of bad calls
    slow_bucket: int | None = None
    held: bool = False  # belongs to an open incident


def alerts_of(findings: Sequence[Finding], table: SeriesTable, now: float) -> list[Alert]:
    """The alerts of one step, the most surprising first; what is already over is left out."""
    start = int(now) + 1 - LOOK_BACK_S
    numbers = sorted({finding.number for finding in findings})
    seconds = dict(zip(numbers, table.dense(numbers, start, LOOK_BACK_S), strict=True)) if numbers else {}
    limits = {one.number: one.slow_bucket for one in findings if one.slow_bucket is not None}
    slow = table.dense_slow(limits, start, LOOK_BACK_S) if limits else {}
    found = [
        _alert_of(one, seconds[one.number], slow.get(one.number) if one.signal is Signal.SLOW else None, table, now)
        for one in findings
    ]
    return sorted((alert for alert in found if alert), key=lambda alert: -alert.score)


def _alert_of(finding: Finding, seconds: Line, slow: Line | None, table: SeriesTable, now: float) -> Alert | None:
    """The alert, with onset and explanation; None when what was found is already over."""
    if finding.signal in (Signal.HANG, Signal.MISSING, Signal.SURGE):
        span_s = finding.value if finding.signal is Signal.HANG else finding.window_s
        return _alert(finding, table, now, onset=now - float(span_s or 0.0))
    bad, good = _bad_and_good(finding, seconds, slow)
    first, hit = _onset(bad, good, finding), np.flatnonzero(bad > 0)
    if not len(hit) or (finding.signal is Signal.SLOW and len(hit) < SLOW_SPREAD_S):
        return None
    last = max(first, int(hit[-1]))
    during = slice(first, last + 1)
    exact = replace(finding, bad=float(bad[during].sum()), calls=float((bad + good)[during].sum()))
    if not _lasts(exact, LOOK_BACK_S - 1 - last, float(good[last + 1 :].sum())):
        return None
    return _alert(exact, table, now, onset=float(int(now) + 1 - LOOK_BACK_S + first))


def _bad_and_good(finding: Finding, seconds: Line, slow: Line | None) -> tuple[Line, Line]:
    if slow is not None:
        return slow, np.maximum(seconds[:, Cell.COUNT] - slow, 0)
    plus, minus = _BAD[finding.signal]
    bad = seconds[:, list(plus)].sum(axis=1) - seconds[:, list(minus)].sum(axis=1)
    if finding.signal is Signal.REFUSED:
        return bad, seconds[:, Cell.COUNT] - seconds[:, Cell.ERRORS]
    return bad, seconds[:, Cell.COUNT] - bad


def _lasts(finding: Finding, age_s: int, good_since: float) -> bool:
    """Whether it goes on: so many good calls since the last bad one would be too unlikely if it did."""
    share = (finding.bad + 0.5) / (finding.calls + 1.0)
    return age_s <= (OVER_AFTER_S if finding.held else FRESH_S) and (1.0 - share) ** good_since >= STILL_LIKELY


def _onset(bad: Line, good: Line, finding: Finding) -> int:
    """The second from which a faulty series explains what was seen best (a change point by likelihood)."""
    share = min(max(finding.bad / max(finding.calls, 1.0), 0.02), 0.98)
    usual = min(max(finding.usual, 0.002), share / 2)
    gain = bad * np.log(share / usual) + good * np.log((1 - share) / (1 - usual))
    return int(np.argmax(np.cumsum(gain[::-1])[::-1]))


def _alert(finding: Finding, table: SeriesTable, now: float, onset: float) -> Alert:
    key = table.keys[finding.number]
    since_s = max(onset, now - LOOK_BACK_S)
    types = table.totals(key, since_s, now + 1).errors if finding.signal is not Signal.SURGE else {}
    share = finding.bad / finding.calls if finding.calls else 1.0
    hurt = {Signal.SURGE: 0.0, Signal.MISSING: 1.0}.get(finding.signal, share)
    return Alert(
        key=key,
        signal=finding.signal,
        at=now,
        onset=onset,
        score=finding.score,
        value=share if finding.value is None else finding.value,
        usual=finding.usual,
        unit=finding.unit,
        calls=round(finding.calls),
        hurt=min(1.0, max(0.0, hurt)),
        explanation=_sentence(finding, types, onset),
        error_types=types,
        exemplars=table.exemplars(finding.number),
    )


def _sentence(finding: Finding, types: dict[str, int], onset: float) -> str:
    since = f"since {datetime.fromtimestamp(onset, UTC):%H:%M:%S}"
    calls, value = round(finding.calls), finding.value or 0.0
    if finding.signal is Signal.HANG:
        return (
            f"{round(finding.bad)} calls are in flight and the oldest is {value:.1f} s old "
            f"(usually at most {finding.usual:.1f} s), {since}"
        )
    if finding.signal is Signal.MISSING:
        return f"no call for {finding.window_s:.0f} s (usual {finding.usual:.1f} a second), {since}"
    if finding.signal is Signal.SURGE:
        return f"{value:.1f} calls a second (usual {finding.usual:.1f})"
    share = f"{100 * finding.bad / max(finding.calls, 1):.0f} % of {calls} calls"
    if finding.signal is Signal.SLOW:
        limit_s = float(upper_edge_s(finding.slow_bucket or 0))
        return f"{share} took longer than {limit_s:.2g} s (usual {100 * finding.usual:.1f} %), {since}"
    mostly = f", mostly {max(types, key=lambda kind: types[kind])}" if types and finding.signal is Signal.ERRORS else ""
    return f"{share} {_VERBS[finding.signal]} (usual {100 * finding.usual:.1f} %){mostly}, {since}"
