"""One zone of a peer, or all of it: which of its members are hurt, and which are well."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

LOOK_BACK_S: Final = 2.0  # before the onset: it is known to a second or two
MEMBER: Final = 5.0  # how far, in log-odds, one hurt zone lies over its whole peer, while another zone is well
ANOTHER: Final = 2.0  # less for each further zone that is hurt
HURT_SHARE: Final = 0.3  # of bad calls
ENOUGH: Final = 3  # good calls of a member that is well


@dataclass(frozen=True, slots=True)
class Member:
    """A target that may be the cause."""

    target: Target
    kind: str
    weight: float  # log-odds against the other candidates


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
    """The hurt zones of a peer that has several; empty when it has not, or when none is hurt."""
    zones = topology.members(peer)
    if len(zones) < 2:
        return []
    hurt = [zone for zone in zones if is_hurt(Target(peer=peer, zone=zone), alerts)]
    if not hurt:
        return []
    well = [zone for zone in zones if zone not in hurt and is_well(Target(peer=peer, zone=zone), table, now, onset)]
    share = weight + (MEMBER if well else -MEMBER / 2) - ANOTHER * (len(hurt) - 1)
    return [Member(Target(peer=peer, zone=zone), "zone", share) for zone in hurt]


def is_hurt(target: Target, alerts: Sequence[Alert]) -> bool:
    """Whether an alert blames this very member."""
    return any(
        blamed(alert) == target
        and (alert.signal not in (Signal.SURGE, Signal.MISSING, Signal.DROP) or _is_silence(alert))
        for alert in alerts
    )


def is_well(target: Target, table: SeriesTable, now: float, onset: float) -> bool:
    """Whether it has calls since the onset, and they are fine."""
    calls = table.totals(SeriesKey("edge", ("*", target.peer, target.zone)), onset - LOOK_BACK_S, now + 1)
    local = calls.refused.get("breaker", 0) + calls.refused.get("bulkhead", 0)
    return calls.good >= ENOUGH and calls.bad + local < HURT_SHARE * (calls.count + local)


def _is_silence(alert: Alert) -> bool:
    return alert.signal is Signal.MISSING and alert.key.family == "op" and alert.key.part("kind") == "server"
