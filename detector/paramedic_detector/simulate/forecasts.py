"""Forecasts of one run: was it foretold that something runs full, how early, and how often for nothing.

drift alerts --those close together are one forecast--> right: of what leaks | early: before it hurts
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from paramedic_detector.simulate.effects import LEAK_SLOWS, full_after_s
from paramedic_detector.simulate.plan import Plan
from paramedic_detector.values import Signal

APART_S: Final = 120.0  # a drift that was not told for so long and is told again is a new forecast
LogEntry = tuple[float, str, float]  # when, fingerprint, score


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What was foretold.

    Attributes:
        told: How many forecasts there were.
        right: Of them, those of something that did leak then.
        leaks: How many leaks there were.
        leads_s: For each leak that was foretold before it hurt, how long before.
    """

    told: int
    right: int
    leaks: int
    leads_s: tuple[float, ...]


NOTHING_TOLD: Final = Forecasts(0, 0, 0, ())


def forecasts_of(plan: Plan, log: Iterable[LogEntry]) -> Forecasts:
    """The forecasts of a run, from the log of its alerts."""
    told = _forecasts(log)
    leaks = [fault for fault in plan.faults if fault.kind == "leak"]
    right = [
        [
            at
            for at, service in told
            if service == leak.target and plan.start + leak.at_s <= at <= plan.start + leak.until_s
        ]
        for leak in leaks
    ]
    hurts = [plan.start + leak.at_s + LEAK_SLOWS * full_after_s(leak) for leak in leaks]
    leads = tuple(hurt - min(ats) for ats, hurt in zip(right, hurts, strict=True) if ats and min(ats) < hurt)
    return Forecasts(len(told), sum(map(len, right)), len(leaks), leads)


def _forecasts(log: Iterable[LogEntry]) -> Sequence[tuple[float, str]]:
    """When each began, and of which service."""
    last: dict[str, float] = {}
    found = []
    for at, fingerprint, _ in log:
        name, _, signal = fingerprint.rpartition("#")
        if signal != Signal.DRIFT:
            continue
        if at - last.get(name, float("-inf")) > APART_S:
            found.append((at, name.partition(":")[2].partition("/")[0]))
        last[name] = at
    return found
