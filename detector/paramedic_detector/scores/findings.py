"""Abnormal series looked at closely: does it still last, since when, and how to say it.

Finding (from the arrays) -> its last seconds one by one -> Alert, or None when it is over
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.sentences import sentence
from paramedic_detector.series.slots import DURATION, Cell
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Exemplar, Signal

LOOK_BACK_S: Final = 64
LONG_LOOK_BACK_S: Final = 184  # for findings in windows longer than a minute
OVER_AFTER_S: Final = 12  # an open incident without a bad call for this long is over, however few calls there were
FRESH_S: Final = 4  # what opens an incident has a bad call this young
OVER_AFTER_CALLS: Final = 3.0  # of a series that is called seldom: time for so many
FRESH_CALLS: Final = 1.0
STILL_LIKELY: Final = 0.02  # it is over when so many good calls in a row would be this unlikely
SLOW_SPREAD_S: Final = 3  # slow calls must end in so many different seconds: one stall is no slowness
MOST: Final = 500  # alerts of one step
SHOWN: Final = 100  # of them, those with example spans
TIMED: Final = frozenset({Signal.SLOW, Signal.OWN_TIME, Signal.GAP, Signal.FIRST_TOKEN})
_COUNTED: Final = frozenset(
    {Signal.MISSING, Signal.SURGE, Signal.DROP, Signal.TOKENS, Signal.FANOUT}
)  # not a share of bad calls

Line = NDArray[np.float32]

_BAD: Final[dict[Signal, tuple[tuple[Cell, ...], tuple[Cell, ...]]]] = {
    Signal.ERRORS: ((Cell.ERRORS,), (Cell.RATE_LIMITED, Cell.AUTH)),
    Signal.RATE_LIMITED: ((Cell.RATE_LIMITED,), ()),
    Signal.AUTH: ((Cell.AUTH,), ()),
    Signal.USELESS: ((Cell.USELESS,), ()),
    Signal.REFUSED: ((Cell.REFUSED_LOCAL,), ()),
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
    channel: int | None = None  # of `slow_bucket`
    held: bool = False  # belongs to an open incident


@dataclass(frozen=True, slots=True)
class _Seen:
    """A finding that lasts, with its onset."""

    finding: Finding
    onset: float


def alerts_of(findings: Sequence[Finding], table: SeriesTable, now: float) -> list[Alert]:
    """The alerts of one step, the most surprising first; what is already over is left out."""
    if not findings:
        return []
    best = sorted(findings, key=lambda finding: -finding.score)[:MOST]
    seen = [one for finding in best if finding.signal in _COUNTED or finding.signal is Signal.HANG
            for one in [_Seen(finding, _began(finding, now))]]  # fmt: skip
    for back_s in (LOOK_BACK_S, LONG_LOOK_BACK_S):
        calls = [f for f in best if (f.signal in _BAD or f.signal in TIMED) and _look_back_s(f) == back_s]
        seen += _looked_at(calls, table, now, back_s) if calls else []
    return _described(sorted(seen, key=lambda one: -one.finding.score), table, now)


def _look_back_s(finding: Finding) -> int:
    return LOOK_BACK_S if finding.window_s <= LOOK_BACK_S else LONG_LOOK_BACK_S


def _began(finding: Finding, now: float) -> float:
    """A hang began with its oldest call; traffic changed when its window began."""
    span_s = finding.value if finding.signal is Signal.HANG else finding.window_s
    return now - float(span_s or 0.0)


def _looked_at(findings: Sequence[Finding], table: SeriesTable, now: float, back_s: int) -> list[_Seen]:
    """Those of the findings that go on, each with the second from which it explains what was seen best."""
    start = int(now) + 1 - back_s
    shares = [one for one in findings if one.signal in _BAD]
    numbers = sorted({one.number for one in shares})
    seconds = dict(zip(numbers, table.dense(numbers, start, back_s), strict=True)) if numbers else {}
    timed = [one for one in findings if one.signal in TIMED]
    times = table.timed([(one.number, one.channel or DURATION, one.slow_bucket or 0) for one in timed], start, back_s)
    lines = [_bad_and_good(one, seconds[one.number]) for one in shares]
    lines += [(slow, calls - slow) for slow, calls, _ in times]
    began = [None] * len(shares) + [first for *_, first in times]
    found = []
    for one, (bad, good), first in zip([*shares, *timed], lines, began, strict=True):
        seen = _lasting(one, bad, good, now, first)
        found += [seen] if seen else []
    return found


def _bad_and_good(finding: Finding, seconds: Line) -> tuple[Line, Line]:
    plus, minus = _BAD[finding.signal]
    bad = seconds[:, list(plus)].sum(axis=1) - seconds[:, list(minus)].sum(axis=1)
    if finding.signal is Signal.REFUSED:
        return bad, seconds[:, Cell.COUNT] - seconds[:, Cell.ERRORS]
    return bad, seconds[:, Cell.COUNT] - bad


def _lasting(finding: Finding, bad: Line, good: Line, now: float, began: Line | None) -> _Seen | None:
    """The finding by its seconds, with its onset; None when it is over."""
    seconds, hit = len(bad), np.flatnonzero(bad > 0)
    if not len(hit) or (began is not None and not finding.held and len(hit) < SLOW_SPREAD_S):
        return None
    first, last = _onset(bad, good, finding), int(hit[-1])
    if first > last:
        return None  # so many good calls that no fault explains the bad ones
    during = slice(first, last + 1)
    exact = replace(finding, bad=float(bad[during].sum()), calls=float((bad + good)[during].sum()))
    if not _lasts(exact, seconds - 1 - last, float(good[last + 1 :].sum())):
        return None
    start = int(now) + 1 - seconds
    onset = float(start + first)
    if began is not None:  # a slow call began before it ended
        onset = min(onset, start + float(began[hit[hit >= first][0]])) if (hit >= first).any() else onset
    return _Seen(exact, onset)


def _lasts(finding: Finding, age_s: int, good_since: float) -> bool:
    """Whether it goes on: so many good calls since the last bad one would be too unlikely if it did."""
    share = (finding.bad + 0.5) / (finding.calls + 1.0)
    between_s = finding.window_s / max(finding.calls, 1.0)  # two calls
    patience_s = max(OVER_AFTER_S, OVER_AFTER_CALLS * between_s) if finding.held else max(
        FRESH_S, FRESH_CALLS * between_s
    )  # fmt: skip
    return age_s <= patience_s and (1.0 - share) ** good_since >= STILL_LIKELY


def _onset(bad: Line, good: Line, finding: Finding) -> int:
    """The second from which a faulty series explains what was seen best (a change point by likelihood)."""
    share = min(max(finding.bad / max(finding.calls, 1.0), 0.02), 0.98)
    usual = min(max(finding.usual, 0.002), share / 2)
    gain = bad * np.log(share / usual) + good * np.log((1 - share) / (1 - usual))
    return (
        len(gain) - 1 - int(np.argmax(np.cumsum(gain[::-1])))
    )  # the latest of equals: seconds without a call say nothing


def _described(seen: Sequence[_Seen], table: SeriesTable, now: float) -> list[Alert]:
    since = {one.finding.number: now + 1 for one in seen if one.finding.signal not in _COUNTED}
    for one in seen:
        if one.finding.number in since:
            since[one.finding.number] = min(since[one.finding.number], max(one.onset, now - LONG_LOOK_BACK_S))
    errors = table.errors_since(since)
    shown = table.examples([one.finding.number for one in seen[:SHOWN]])
    return [_alert(one, table, now, errors.get(one.finding.number, {}), shown) for one in seen]


def _alert(
    seen: _Seen, table: SeriesTable, now: float, types: dict[str, int], shown: Mapping[int, tuple[Exemplar, ...]]
) -> Alert:
    finding = seen.finding
    share = finding.bad / finding.calls if finding.calls else 1.0
    hurt = {Signal.SURGE: 0.0, Signal.DROP: 0.0, Signal.TOKENS: 0.0, Signal.FANOUT: 0.0, Signal.MISSING: 1.0}.get(
        finding.signal, share
    )
    return Alert(
        key=table.keys[finding.number],
        signal=finding.signal,
        at=now,
        onset=seen.onset,
        score=finding.score,
        value=share if finding.value is None else finding.value,
        usual=finding.usual,
        unit=finding.unit,
        calls=round(finding.calls),
        hurt=min(1.0, max(0.0, hurt)),
        explanation=sentence(finding.signal, finding, types, seen.onset),
        error_types=types if finding.signal not in _COUNTED else {},
        exemplars=shown.get(finding.number, ()),
    )
