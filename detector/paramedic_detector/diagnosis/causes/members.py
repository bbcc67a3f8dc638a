"""One zone of a peer, or all of it: which of its members are hurt, and whether the others share its trouble.

    calls to a zone, those that fail (or, where the hurt ones wait, take longer than nearly all did before): x of n
    does it look like the hurt ones or like before?   x ln(p_hurt / p_usual) + (n - x) ln((1 - p_hurt) / (1 - p_usual))

Without calls a zone says neither; a few good ones say little where only some calls fail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import upper_edge_s
from paramedic_detector.series.table import SeriesTable, Totals
from paramedic_detector.values import Alert, Signal

LOOK_BACK_S: Final = 2.0  # before the onset: it is known to a second or two
USUAL_S: Final = 600.0  # what is usual, before that
MOST: Final = 8.0  # nats for or against one zone that calls can show
WHOLE: Final = 1.0  # nats for the whole peer, when calls show nothing
LEVELS: Final = 3.0  # nats for one zone whose levels are far out, while those of others are not
ANOTHER: Final = 2.0  # nats against one zone for each further one that is hurt
SLOW_Q: Final = 0.95  # of usual durations: what takes longer is slow
USUAL_SHARE: Final = 0.07  # of calls that fail or are slow by chance
LEAST_SHARE: Final = 0.15  # of such calls where a zone is hurt
HELD: Final = 0.9  # of such calls where calls hang, or nobody calls any more: the bad ones do not end
FAILING: Final = frozenset(
    {Signal.ERRORS, Signal.RATE_LIMITED, Signal.AUTH, Signal.USELESS, Signal.REFUSED, Signal.MISSING}
)
WAITING: Final = frozenset({Signal.SLOW, Signal.OWN_TIME, Signal.GAP, Signal.HANG, Signal.FIRST_TOKEN})  # time tells


@dataclass(frozen=True, slots=True)
class Member:
    """A target that may be the cause."""

    target: Target
    kind: str
    weight: float  # log-odds against the other candidates


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls to a zone since the onset: how many, and how many of them failed or were slow."""

    calls: float
    bad: float


def members_of(
    peer: str,
    kind: str,
    weight: float,
    alerts: Sequence[Alert],
    table: SeriesTable,
    topology: Topology,
    now: float,
    onset: float,
) -> list[Member]:
    """A peer, and the hurt ones of its zones where it has several: they share its odds."""
    whole = Member(Target(peer=peer), kind, weight)
    zones = topology.members(peer)
    about = {zone: _about(Target(peer=peer, zone=zone), zones, alerts) for zone in zones} if len(zones) > 1 else {}
    hurt = [zone for zone, found in about.items() if found]
    if not hurt:
        return [whole]
    waits = any(alert.signal in WAITING for zone in hurt for alert in about[zone])
    limit_s = _limit_s(peer, table, onset) if waits else np.inf
    seen = {zone: _seen(peer, zone, limit_s, table, now, onset) for zone in zones}
    beside = _apart(hurt, about, seen) - ANOTHER * (len(hurt) - 1)
    whole_share = -float(np.log1p(len(hurt) * np.exp(beside)))
    found = [Member(Target(peer=peer, zone=zone), "zone", weight + beside + whole_share) for zone in hurt]
    return [*found, replace(whole, weight=weight + whole_share)]


def _apart(hurt: Sequence[str], about: dict[str, list[Alert]], seen: dict[str, Seen]) -> float:
    """Nats for a trouble of the hurt zones alone, by the calls to the others."""
    alerts = [alert for zone in hurt for alert in about[zone]]
    if all(alert.key.family == "gauge" for alert in alerts):
        return LEVELS  # no call tells of a level, and each instance has its own
    if not any(alert.signal in FAILING | WAITING for alert in alerts):
        return -WHOLE  # nor of what is spent, or asked too often
    calls, bad = (sum(getattr(seen[zone], name) for zone in hurt) for name in ("calls", "bad"))
    share = (bad + 0.5) / (calls + 1)
    if any(alert.signal in (Signal.HANG, Signal.REFUSED, Signal.MISSING) for alert in alerts):
        share = max(share, HELD)
    share = min(max(share, LEAST_SHARE), 0.98)
    others = [one for zone, one in seen.items() if zone not in hurt]
    alike = sum(one.bad for one in others) * np.log(share / USUAL_SHARE)
    alike += sum(one.calls - one.bad for one in others) * np.log((1 - share) / (1 - USUAL_SHARE))
    return float(np.clip(-alike, -MOST, MOST)) - WHOLE


def _about(target: Target, zones: Sequence[str], alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts that blame this very member."""
    return [
        alert
        for alert in alerts
        if _member_of(alert, zones) == target
        and (alert.signal not in (Signal.SURGE, Signal.MISSING, Signal.DROP) or _is_silence(alert))
    ]


def _member_of(alert: Alert, zones: Sequence[str]) -> Target:
    """Whom it blames; an instance that is named after one zone stands there."""
    about = blamed(alert)
    if about.zone or alert.key.family != "gauge":
        return about
    named = [zone for zone in zones if zone in alert.key.part("instance")]
    return replace(about, zone=named[0]) if len(named) == 1 else about


def _limit_s(peer: str, table: SeriesTable, onset: float) -> float:
    """What nearly all calls to a peer took at most, before the onset; infinity where nobody knows."""
    end = onset - LOOK_BACK_S
    return table.totals(SeriesKey("edge", ("*", peer, "*")), end - USUAL_S, end).quantile_s(SLOW_Q) or np.inf


def _seen(peer: str, zone: str, limit_s: float, table: SeriesTable, now: float, onset: float) -> Seen:
    calls = table.totals(SeriesKey("edge", ("*", peer, zone)), onset - LOOK_BACK_S, now + 1)
    local = calls.refused.get("breaker", 0) + calls.refused.get("bulkhead", 0)
    return Seen(calls.count + local, min(calls.count, max(calls.bad, _slow(calls, limit_s))) + local)


def _slow(calls: Totals, limit_s: float) -> float:
    return float(calls.buckets[upper_edge_s(np.arange(len(calls.buckets))) > limit_s * 1.001].sum())


def _is_silence(alert: Alert) -> bool:
    return alert.signal is Signal.MISSING and alert.key.family == "op" and alert.key.part("kind") == "server"
