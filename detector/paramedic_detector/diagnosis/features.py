"""What the calls to one possible cause show since the fault began: the features that a taxonomy weighs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import Cell, error_cell
from paramedic_detector.series.table import SeriesTable, Totals
from paramedic_detector.values import Alert, Signal

LOOK_BACK_S: Final = 2.0  # before the onset: it is known to a second or two
REFUSAL_COUNTS: Final = 0.3  # as evidence, of a failed call
REFUSALS_MOST: Final = 20
HANGING_MOST: Final = 10.0
SILENCE_COUNTS: Final = 4.0  # calls, as evidence
ONE_VOTE: Final = 0.3  # share of bad calls from which a member is hurt, when it has enough
_TYPES: Final = {
    Cell.SERVER_ERRORS: "server_errors",
    Cell.RATE_LIMITED: "rate_limited",
    Cell.AUTH: "auth",
    Cell.TIMEOUTS: "timeouts",
    Cell.CONNECTION: "connection",
    None: "other_errors",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The calls to a target since onset, and its features, each 0 to 1."""

    calls: Totals
    features: dict[str, float]
    evidence: float  # bad calls, and what counts like them
    hurt: bool  # an alert blames it
    well: bool  # it has calls, and they are fine
    started: float | None  # its first alert began then


def kind_of(peer: str, topology: Topology) -> str:
    """What a peer is: a model provider, a service that tells about itself, or a dependency that does not."""
    if peer in topology.providers:
        return "provider"
    return "service" if peer in topology.services and topology.callees(peer) else "dependency"


def facts_of(
    target: Target, alerts: Sequence[Alert], table: SeriesTable, topology: Topology, now: float, onset: float
) -> Facts:
    """Read the calls to a target, as its callers count them, and what its own spans say."""
    mine = [alert for alert in alerts if _about(alert, target)]
    calls = calls_to(target, table, onset - LOOK_BACK_S, now + 1)
    local = calls.refused.get("breaker", 0) + calls.refused.get("bulkhead", 0)
    features = _features(target, mine, calls, alerts, topology)
    evidence = (
        calls.bad
        + min(_hurt_calls(mine, Signal.HANG), HANGING_MOST)
        + _hurt_calls(mine, Signal.SLOW)
        + REFUSAL_COUNTS * min(local, REFUSALS_MOST)
        + SILENCE_COUNTS * features["silent"]
    )
    hurt = any(alert.signal not in (Signal.SURGE, Signal.MISSING) for alert in mine) or features["silent"] > 0
    bad = calls.bad + local
    return Facts(
        calls=calls,
        features=features,
        evidence=evidence,
        hurt=hurt,
        well=not hurt and calls.good >= 3 and bad < ONE_VOTE * (calls.count + local),
        started=min((alert.onset for alert in mine if alert.signal is not Signal.SURGE), default=None),
    )


def calls_to(target: Target, table: SeriesTable, t0: float, t1: float) -> Totals:
    """Calls to a target as its callers count them."""
    return table.totals(SeriesKey("edge", ("*", target.peer or "*", target.zone or "*")), t0, t1)


def _hurt_calls(alerts: Sequence[Alert], signal: Signal) -> float:
    return max((alert.hurt * alert.calls for alert in alerts if alert.signal is signal), default=0.0)


def _about(alert: Alert, target: Target) -> bool:
    """Whether an alert speaks of the target; one on a whole peer says nothing of one of its zones."""
    about = blamed(alert)
    return about.peer == target.peer and (not target.zone or about.zone == target.zone)


def _features(
    target: Target, mine: Sequence[Alert], calls: Totals, alerts: Sequence[Alert], topology: Topology
) -> dict[str, float]:
    signals = {alert.signal for alert in mine}
    slow = [alert for alert in mine if alert.signal is Signal.SLOW]
    found = {
        "failing": calls.failed / calls.count if calls.count else 0.0,
        "hang": float(Signal.HANG in signals),
        "slow": max((alert.hurt for alert in slow), default=0.0),
        "refused": float(Signal.REFUSED in signals),
        "bulkhead": min(1.0, calls.refused.get("bulkhead", 0) / 10),
        "silent": float(any(_is_silent(alert, target) for alert in mine)),
        "useless": max((alert.hurt for alert in mine if alert.signal is Signal.USELESS), default=0.0),
        "own_time": float(any(alert.key.family == "op" and alert.key.part("kind") == "server" for alert in slow)),
        "surge": float(any(_is_users_surge(alert, topology) for alert in alerts)),
        "one_member": float(bool(target.zone)),
        "cost": float(Signal.COST in signals),
        "leak": float(Signal.GAUGE in signals),
    }
    return found | _error_shares(calls)


def _error_shares(calls: Totals) -> dict[str, float]:
    shares = dict.fromkeys(_TYPES.values(), 0.0)
    for error_type, count in calls.errors.items():
        shares[_TYPES[error_cell(error_type)]] += count / calls.failed
    # A failing share far below that of useless answers or slow calls is not what is wrong.
    weight = min(1.0, calls.failed / max(1.0, 0.1 * calls.count))
    return {name: share * weight for name, share in shares.items()}


def _is_silent(alert: Alert, target: Target) -> bool:
    key = alert.key
    return alert.signal is Signal.MISSING and key.family == "op" and key.part("kind") == "server" and bool(target.zone)


def _is_users_surge(alert: Alert, topology: Topology) -> bool:
    return alert.signal is Signal.SURGE and alert.key.part("service") in topology.entry_services()
