"""Finer than features: what a suspect's series show against the usual, each between about -1 and 1.

Shifts are powers of two as a part of MOST_SHIFT; shares and excesses are as they are; counts are logarithms.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis import compare
from paramedic_detector.diagnosis.compare import MOST_SHIFT, counted
from paramedic_detector.diagnosis.gauges import GROUPS, gauge_measures
from paramedic_detector.diagnosis.reading import Numbers, Reading
from paramedic_detector.diagnosis.versions import version_measures
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.series.slots import BUCKETS, DURATION, FIRST_TOKEN, SELF_TIME, Cell
from paramedic_detector.values import Alert, Signal

COUNT_SCALE: Final = 6.0  # natural logarithms: about 400 calls or seconds are 1
SERVED: Final = frozenset({"server", "consumer"})
MEASURES: Final = (
    "calls", "bad", "age", "usual_known",
    "calls_shift", "users_shift", "per_call_shift", "served_shift", "loop_shift",
    "p50_shift", "p90_shift", "slow_share", "own_p50_shift", "own_share", "gap_p50_shift", "gap_share",
    "first_token_shift", "first_token_share", "tokens_shift", "cost_shift", "spend_shift", "in_flight_shift",
    "fail_more", "useless_more", "own_fail_more", "below_fail_more", "breaker_share", "bulkhead_share",
    "deadline_share", "useless_empty", "useless_cut", "useless_refused", "useless_unsure",
    "zones_hurt", "callers_hurt", "callees_hurt", "callees_slow",
    "grows", "full", *(f"gauge_{name}" for name in GROUPS),
    "log_shift", "log_new", "version_new", "version_guilt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a reading speak of a target."""

    edges: Numbers  # calls to it, by caller
    served: Numbers  # calls that it served, as it says
    own: Numbers  # all of its own spans
    asked: Numbers  # spans of its callers that call it: with model, tokens and cost
    inward: Numbers  # calls that its callers served
    users: Numbers  # calls that users made
    below: Numbers  # calls that it makes
    gauges: Numbers
    logs: Numbers

    @classmethod
    def of(cls, target: Target, reading: Reading) -> "Rows":
        peer, zone, topology = target.peer, target.zone, reading.topology

        def here(key: SeriesKey) -> bool:
            return not zone or key.part("zone") in ("", zone)

        def served(key: SeriesKey) -> bool:
            return key.part("kind") in SERVED

        callers = topology.callers(Target(peer))
        return cls(
            edges=reading.rows("edge", "callee", peer, here),
            served=reading.rows("op", "service", peer, lambda key: served(key) and here(key)),
            own=reading.rows("op", "service", peer, here),
            asked=reading.rows("op", "peer", peer),
            inward=_joined([reading.rows("op", "service", caller, served) for caller in callers]),
            users=_joined([reading.rows("op", "service", one, served) for one in topology.entry_services()]),
            below=reading.rows("edge", "caller", peer),
            gauges=reading.rows("gauge", "service", peer),
            logs=reading.rows("log", "service", peer),
        )

    @property
    def calls(self) -> Numbers:
        """Calls to it, as well as is known."""
        return self.edges if len(self.edges) else self.served


def measures_of(
    target: Target, rows: Rows, mine: Sequence[Alert], alerts: Sequence[Alert], reading: Reading
) -> dict[str, float]:
    """All of MEASURES for one target.

    Args:
        mine: The alerts about it, of all alerts of the incident.
    """
    found = dict.fromkeys(MEASURES, 0.0)
    found |= _amounts(rows, reading)
    found |= _rates(target, rows, reading)
    found |= _times(rows, reading)
    found |= _outcomes(rows, reading)
    found |= _around(target, alerts, reading)
    found |= gauge_measures(reading, rows.gauges)
    found |= _logs(rows, mine, reading)
    found |= version_measures(rows.served if len(rows.served) else rows.own, reading)
    return found


def _amounts(rows: Rows, reading: Reading) -> dict[str, float]:
    during, usual = reading.during, reading.usual
    return {
        "calls": _log(counted(during, rows.calls, Cell.COUNT)),
        "bad": _log(counted(during, rows.calls, Cell.ERRORS, Cell.USELESS)),
        "age": _log(max(0.0, reading.now - reading.onset)),
        "usual_known": _log(counted(usual, rows.calls, Cell.COUNT)),
    }


def _rates(target: Target, rows: Rows, reading: Reading) -> dict[str, float]:
    tried = (Cell.COUNT, Cell.REFUSED_LOCAL)
    asked = rows.asked if len(rows.asked) else rows.own
    tools = reading.rows("op", "service", target.peer, _is_tool)
    turns = rows.served if len(rows.served) else rows.users
    spent = rows.calls if not len(asked) else asked
    shifts = {
        "calls_shift": compare.rate_shift(reading, rows.calls, *tried),
        "users_shift": compare.rate_shift(reading, rows.users, *tried),
        "served_shift": compare.rate_shift(reading, rows.served, Cell.COUNT),
        "per_call_shift": compare.per_shift(reading, rows.edges, rows.inward if len(rows.inward) else rows.users),
        "loop_shift": compare.per_shift(reading, tools, turns) if len(tools) else 0.0,
        "tokens_shift": compare.each_shift(reading, asked, Cell.TOKENS),
        "cost_shift": compare.each_shift(reading, asked, Cell.COST),
        "spend_shift": compare.each_shift(reading, spent, Cell.TOKENS) + compare.rate_shift(reading, spent, *tried),
        "in_flight_shift": compare.each_shift(reading, rows.edges, Cell.IN_FLIGHT, Cell.IN_FLIGHT_SAID),
    }
    return {name: float(np.clip(shift / MOST_SHIFT, -1, 1)) for name, shift in shifts.items()}


def _times(rows: Rows, reading: Reading) -> dict[str, float]:
    calls, own = _each(rows.calls), _by_operation(rows.served, reading)
    # A service without self-times that calls nobody spends all of its duration itself.
    channel = SELF_TIME if _has(reading, rows.served, SELF_TIME) or len(rows.below) else DURATION
    gaps = _each(rows.edges)
    asked = _each(rows.asked)
    shifts = {
        "p50_shift": compare.quantile_shift(reading, calls, DURATION, 0.5),
        "p90_shift": compare.quantile_shift(reading, calls, DURATION, 0.9),
        "own_p50_shift": compare.quantile_shift(reading, own, channel, 0.5),
        "gap_p50_shift": compare.quantile_shift(reading, gaps, SELF_TIME, 0.5),
        "first_token_shift": compare.quantile_shift(reading, asked, FIRST_TOKEN, 0.5),
    }
    return {name: shift / MOST_SHIFT for name, shift in shifts.items()} | {
        "slow_share": compare.slow_share(reading, calls, DURATION),
        "own_share": compare.slow_share(reading, own, channel),
        "gap_share": compare.slow_share(reading, gaps, SELF_TIME),
        "first_token_share": compare.slow_share(reading, asked, FIRST_TOKEN),
    }


def _outcomes(rows: Rows, reading: Reading) -> dict[str, float]:
    bad, tried = (Cell.ERRORS,), (Cell.COUNT, Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE)
    named = ("empty", "cut", "refused")
    useless = {f"useless_{kind}": compare.kind_share(reading, rows.calls, "useless", (kind,)) for kind in named}
    return useless | {
        "useless_unsure": compare.kind_share(reading, rows.calls, "useless", UNSURE),
        "fail_more": compare.share_more(reading, rows.calls, bad),
        "useless_more": compare.share_more(reading, rows.calls, (Cell.USELESS,)),
        "own_fail_more": compare.share_more(reading, rows.served, bad),
        "below_fail_more": compare.share_more(reading, rows.below, bad),
        "breaker_share": max(0.0, compare.share_more(reading, rows.calls, (Cell.REFUSED_LOCAL,), tried)),
        "bulkhead_share": _refused(reading, rows.calls, "bulkhead"),
        "deadline_share": max(0.0, compare.share_more(reading, rows.calls, (Cell.REFUSED_DEADLINE,), tried)),
    }


UNSURE: Final = ("confidence", "unsure", "no_intent", "nomatch", "fallback")


def _refused(reading: Reading, rows: Numbers, by: str) -> float:
    during = reading.during
    found = sum(float(n[rows].sum()) for (group, kind), n in during.kinds.items() if (group, kind) == ("refused", by))
    return found / max(3.0, found + counted(during, rows, Cell.COUNT))


def _around(target: Target, alerts: Sequence[Alert], reading: Reading) -> dict[str, float]:
    """How much of what stands around the target is hurt, too."""
    topology = reading.topology
    harmed = [alert for alert in alerts if alert.signal not in (Signal.SURGE, Signal.MISSING, Signal.DROP)]
    blame = {blamed(alert) for alert in harmed}
    peers = {one.peer for one in blame}
    zones = topology.members(target.peer)
    callers, callees = topology.callers(target), topology.callees(target.peer)
    slow = {blamed(alert).peer for alert in harmed if alert.signal in (Signal.SLOW, Signal.GAP, Signal.OWN_TIME)}
    return {
        "zones_hurt": sum(Target(target.peer, zone) in blame for zone in zones) / max(1, len(zones)),
        "callers_hurt": sum(caller in peers for caller in callers) / max(1, len(callers)),
        "callees_hurt": sum(callee in peers for callee in callees) / max(1, len(callees)),
        "callees_slow": sum(callee in slow for callee in callees) / max(1, len(callees)),
    }


def _logs(rows: Rows, mine: Sequence[Alert], reading: Reading) -> dict[str, float]:
    bad = np.array([row for row in rows.logs if _is_bad(reading.key(int(row)))], np.int64)
    new = sum(alert.signal is Signal.LOG and not alert.usual for alert in mine)
    return {
        "log_shift": compare.rate_shift(reading, bad, Cell.COUNT) / MOST_SHIFT if len(bad) else 0.0,
        "log_new": min(1.0, new / 2),
    }


def _is_bad(key: SeriesKey) -> bool:
    return key.part("severity").upper()[:4] in ("WARN", "ERRO", "FATA", "CRIT")


def _is_tool(key: SeriesKey) -> bool:
    return key.part("operation").lower().startswith(("execute_tool", "tool"))


def _each(rows: Numbers) -> list[Numbers]:
    return [np.array([row], np.int64) for row in rows]


def _by_operation(rows: Numbers, reading: Reading) -> list[Numbers]:
    """Rows of the same operation, whatever the version: a new one is held against the old."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in rows:
        found[reading.key(int(row)).parts[:-1]].append(int(row))
    return [np.array(group, np.int64) for group in found.values()]


def _has(reading: Reading, rows: Numbers, channel: int) -> bool:
    low = channel * BUCKETS
    return bool(len(rows) and reading.usual.buckets[rows, low : low + BUCKETS].any())


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _log(count: float) -> float:
    return float(min(2.0, np.log1p(count) / COUNT_SCALE))
