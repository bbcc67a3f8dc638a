"""How fast an error budget burns, and which of the usual rules that breaks.

    burn rate = share of bad calls / budget          1 spends the month's budget in exactly a month

A rule asks two windows: the long one says that it matters, the short one that it still goes on. A total outage at
a 99 % objective would need 8.6 minutes to break the first rule, so one more looks for the sudden failure of many calls.

Time without windows is time without knowledge: it counts as neither good nor bad, a rule keeps its last verdict
through it, and a long window counts only as far as it was measured.

Source: The Site Reliability Workbook (Google), chapter 5, table 5-8; the 1 d row as in Sloth's google-30d windows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainc, betaincinv

from paramedic_detector.slo.objectives import Counted, Objective

HOUR_S: Final = 3600.0
SUDDEN_S: Final = (2.0, 5.0, 10.0, 20.0, 60.0)  # windows of the fast path
SUDDEN_SHARE: Final = (0.25, 0.5)  # of calls that are bad for certain: less is left to the windows, more is not asked
SUDDEN_BAD: Final = 5  # calls
SURE: Final = 0.999
LEAST_BAD: Final = 3  # calls; fewer break no rule
CHANCE: Final = 1e-3  # a rule needs bad calls that a service just at its target would hardly show
MOST_SCORE: Final = 30.0
Between = Callable[[float, float], Counted]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    name: str
    long_s: float
    short_s: float
    factor: float
    pages: bool  # somebody is to be woken; else it can wait for the morning


RULES: Final = (
    Rule("14.4x over 1 h", HOUR_S, 300.0, 14.4, pages=True),
    Rule("6x over 6 h", 6 * HOUR_S, 1800.0, 6.0, pages=True),
    Rule("3x over 1 d", 24 * HOUR_S, 2 * HOUR_S, 3.0, pages=False),
    Rule("1x over 3 d", 72 * HOUR_S, 6 * HOUR_S, 1.0, pages=False),
)
SUDDEN: Final = Rule("sudden failure", SUDDEN_S[-1], SUDDEN_S[1], 14.4, pages=True)


@dataclass(frozen=True, slots=True)
class Burn:
    """What a rule says about an objective now."""

    rule: Rule
    long: float | None  # burn rate over the long window; None without data
    short: float | None
    broken: bool | None  # None: the short window has no data, so what was said before still stands
    score: float = 0.0  # -log10 of the chance at a service that just meets its target


def rate(counted: Counted, objective: Objective) -> float | None:
    """Burn rate; None without calls."""
    share = counted.bad_share
    return None if share is None else share / objective.budget


def burns(objective: Objective, between: Between, now: float) -> tuple[Burn, ...]:
    """All rules, the fast path first.

    Args:
        between: Counts the objective's calls in [t0, t1), unix seconds.
    """
    return (_sudden(objective, between, now), *(_burn(rule, objective, between, now) for rule in RULES))


def _burn(rule: Rule, objective: Objective, between: Between, now: float) -> Burn:
    long, short = between(now - rule.long_s, now), between(now - rule.short_s, now)
    long_rate, short_rate = rate(long, objective), rate(short, objective)
    if short_rate is None or long_rate is None:
        return Burn(rule, long_rate, short_rate, broken=None)
    measured = min(1.0, long.seconds / rule.long_s)
    likely = _chance(long, objective)
    broken = (
        long_rate * measured >= rule.factor and short_rate >= rule.factor and long.bad >= LEAST_BAD and likely <= CHANCE
    )
    return Burn(rule, long_rate, short_rate, broken, _score(likely))


def _sudden(objective: Objective, between: Between, now: float) -> Burn:
    """Whether most calls fail since a moment ago, for certain, however few seconds that is."""
    needed = min(max(SUDDEN_SHARE[0], SUDDEN.factor * objective.budget), SUDDEN_SHARE[1])
    seen = [between(now - span_s, now) for span_s in SUDDEN_S]
    long, short = rate(seen[-1], objective), rate(seen[1], objective)
    if short is None:
        return Burn(SUDDEN, long, short, broken=None)
    sure = [one for one in seen if one.bad >= SUDDEN_BAD and _least_share(one) >= needed]
    broken = bool(sure) and short * objective.budget >= needed
    return Burn(SUDDEN, long, short, broken, max((_score(_chance(one, objective)) for one in sure), default=0.0))


def _least_share(counted: Counted) -> float:
    """The share of bad calls is at least this, with confidence SURE (Clopper and Pearson, 1934)."""
    return float(betaincinv(counted.bad, counted.good + 1, 1 - SURE)) if counted.bad > 0 else 0.0


def _chance(counted: Counted, objective: Objective) -> float:
    """Of so many bad calls, or more, at a service that just meets its target: the upper tail of a binomial."""
    return float(betainc(counted.bad, counted.good + 1, objective.budget)) if counted.bad > 0 else 1.0


def _score(chance: float) -> float:
    return float(min(MOST_SCORE, -np.log10(max(chance, 10.0**-MOST_SCORE))))


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the budget of an objective stands."""

    achieved: float | None  # share of good calls in the window; None without calls
    left: float | None  # share of the budget; below 0 when more is spent than there was
    coverage: float  # share of the window that was measured
    gone_in_s: float | None  # at the pace of the last hour; None when it is not shrinking, or already gone


def budget_of(objective: Objective, between: Between, now: float) -> Budget:
    """The budget over the objective's window.

    Traffic of the time that was not measured is taken to be like that which was, and as good as promised: neither a
    gift nor a debt.
    """
    seen, hour = between(now - objective.window_s, now), between(now - HOUR_S, now)
    coverage = min(1.0, seen.seconds / objective.window_s)
    if not seen.total or not coverage:
        return Budget(None, None, coverage, None)
    allowed = objective.budget * seen.total / coverage
    left = 1.0 - seen.bad / allowed
    pace = rate(hour, objective)
    shrinking = left > 0 and pace is not None and pace > 1.0
    gone_in_s = left * objective.window_s / (pace or 1.0) if shrinking else None
    return Budget(seen.good / seen.total, left, coverage, gone_in_s)
