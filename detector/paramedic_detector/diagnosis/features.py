"""What the calls to one possible cause show since the fault began: the features that a class is told by.

    alerts about it + its series since onset against the usual --> features, 0 to 1 (the words of taxonomy.yaml)
                                                               --> measures, finer (only the trained model reads them)

`vector` puts both in the order of `COLUMNS`, which is the input of the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.causes.sentences import kind_of
from paramedic_detector.diagnosis.compare import MOST_SHIFT
from paramedic_detector.diagnosis.measures import MEASURES, Rows, measures_of
from paramedic_detector.diagnosis.reading import DURING_S, LOOK_BACK_S, Reading
from paramedic_detector.diagnosis.taxonomy import FEATURES, KINDS
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import Cell, error_cell
from paramedic_detector.series.table import SeriesTable, Totals
from paramedic_detector.values import Alert, Signal

REFUSAL_COUNTS: Final = 0.3  # as evidence, of a failed call
REFUSALS_MOST: Final = 20
HANGING_MOST: Final = 10.0
SILENCE_COUNTS: Final = 4.0  # calls, as evidence
ALERT_COUNTS: Final = 2.0  # calls, as evidence, of an alert that counts no bad calls
ONE_VOTE: Final = 0.3  # share of bad calls from which a member is hurt, when it has enough
FELT_SHARE: Final = 0.3  # share of slow calls from which slowness counts without an alert
SHIFT: Final = (0.6, 1.6)  # powers of two between which "more than usual" goes from 0 to 1
BURST: Final = (1.0, 1.8)  # the same for users, who come in bursts of twice the usual and more
TRIES: Final = (0.8, 2.0)  # the same for calls a request: a client that tries three times is no storm
SURGE_SURE: Final = 10.0  # score of a surge of users that is no burst
FANOUT_SAYS: Final = 0.6
POOL_SAYS: Final = 0.5  # a pool that is used far more than usual may be far from full
_TYPES: Final = {
    Cell.SERVER_ERRORS: "server_errors",
    Cell.RATE_LIMITED: "rate_limited",
    Cell.AUTH: "auth",
    Cell.TIMEOUTS: "timeouts",
    Cell.CONNECTION: "connection",
    None: "other_errors",
}
_BREAKS: Final = ("readerror", "protocolerror", "writeerror", "brokenpipe", "reset", "incompleteread", "payload")
_NO_HARM: Final = frozenset({Signal.SURGE, Signal.MISSING, Signal.DROP})
_COUNTLESS: Final = frozenset(
    {Signal.GAUGE, Signal.DRIFT, Signal.COST, Signal.TOKENS, Signal.SHAPE, Signal.LOG, Signal.FLOW}
)
SIGNALS: Final = tuple(f"alert_{signal}" for signal in Signal if signal not in (Signal.SLO, Signal.OUTSIDE))
COLUMNS: Final = (*FEATURES, *MEASURES, *SIGNALS, *(f"kind_{kind}" for kind in KINDS))


@dataclass(frozen=True, slots=True)
class Facts:
    """The calls to a target since onset, and what they show."""

    calls: Totals
    features: dict[str, float]  # each 0 to 1
    measures: dict[str, float]  # each about -1 to 1
    signals: frozenset[Signal]  # of the alerts about it
    evidence: float  # bad calls, and what counts like them
    hurt: bool  # an alert blames it
    well: bool  # it has calls, and they are fine
    started: float | None  # its first alert began then


def kind_of_target(target: Target, topology: Topology) -> str:
    """What a target is: a zone when it names one of several, else a provider, a dependency or a service."""
    if target.zone and len(topology.members(target.peer)) > 1:
        return "zone"
    return kind_of(target.peer, topology)


def vector(facts: Facts, kind: str) -> NDArray[np.float64]:
    """(COLUMNS,) the input of the trained model."""
    told = {f"alert_{signal}": 1.0 for signal in facts.signals} | {f"kind_{kind}": 1.0}
    whole: Mapping[str, float] = facts.features | facts.measures | told
    return np.array([whole.get(name, 0.0) for name in COLUMNS], np.float64)


def facts_of(target: Target, alerts: Sequence[Alert], reading: Reading) -> Facts:
    """Read the calls to a target, as its callers count them, and what its own spans, gauges and logs say."""
    mine = [alert for alert in alerts if _about(alert, target)]
    rows = Rows.of(target, reading)
    calls = _calls_since(target, rows, reading)
    measures = measures_of(target, rows, mine, alerts, reading)
    features = _features(target, mine, calls, alerts, measures, reading)
    local = calls.refused.get("breaker", 0) + calls.refused.get("bulkhead", 0)
    hurt = any(alert.signal not in _NO_HARM for alert in mine) or features["silent"] > 0
    return Facts(
        calls=calls,
        features=features,
        measures=measures,
        signals=frozenset(alert.signal for alert in mine),
        evidence=_evidence(mine, calls, local, features, measures),
        hurt=hurt,
        well=not hurt and calls.good >= 3 and calls.bad + local < ONE_VOTE * (calls.count + local),
        started=min((alert.onset for alert in mine if alert.signal is not Signal.SURGE), default=None),
    )


def calls_to(target: Target, table: SeriesTable, t0: float, t1: float) -> Totals:
    """Calls to a target as its callers count them."""
    return table.totals(SeriesKey("edge", ("*", target.peer or "*", target.zone or "*")), t0, t1)


def _calls_since(target: Target, rows: Rows, reading: Reading) -> Totals:
    """Calls to a target since onset; those that it served when nobody is known to call it."""
    t0, t1 = max(reading.onset - LOOK_BACK_S, reading.now - DURING_S), reading.now + 1
    if len(rows.edges):
        return calls_to(target, reading.table, t0, t1)
    served = SeriesKey("op", (target.peer, "*", "server", "*", target.zone or "*", "*", "*"))
    return reading.table.totals(served, t0, t1)


def _evidence(
    mine: Sequence[Alert], calls: Totals, local: int, features: Mapping[str, float], measures: Mapping[str, float]
) -> float:
    countless = len({alert.signal for alert in mine} & _COUNTLESS)
    told = max(_hurt_calls(mine, s) for s in (Signal.SLOW, Signal.OWN_TIME, Signal.GAP, Signal.FIRST_TOKEN))
    seen = max(_felt(measures[name]) for name in ("slow_share", "own_share", "gap_share", "first_token_share"))
    return (
        calls.bad
        + min(_hurt_calls(mine, Signal.HANG), HANGING_MOST)
        + max(told, seen * calls.count)
        + REFUSAL_COUNTS * min(local, REFUSALS_MOST)
        + SILENCE_COUNTS * features["silent"]
        + ALERT_COUNTS * countless
    )


def _hurt_calls(alerts: Sequence[Alert], signal: Signal) -> float:
    return max((alert.hurt * alert.calls for alert in alerts if alert.signal is signal), default=0.0)


def _about(alert: Alert, target: Target) -> bool:
    """Whether an alert speaks of the target; one on a whole peer says nothing of one of its zones."""
    about = blamed(alert)
    return about.peer == target.peer and (not target.zone or about.zone == target.zone)


def _features(
    target: Target,
    mine: Sequence[Alert],
    calls: Totals,
    alerts: Sequence[Alert],
    measures: Mapping[str, float],
    reading: Reading,
) -> dict[str, float]:
    told: dict[Signal, float] = dict.fromkeys(Signal, 0.0)
    for alert in mine:
        signal = Signal.GAP if _waits_for_it(alert, reading.topology) else alert.signal
        told[signal] = max(told[signal], alert.hurt)
    signals = {alert.signal for alert in mine}
    tried = calls.count + sum(calls.refused.values())
    found = {
        "failing": calls.failed / calls.count if calls.count else 0.0,
        "hang": float(Signal.HANG in signals),
        "slow": max(told[Signal.SLOW], _felt(measures["slow_share"])),
        "refused": float(Signal.REFUSED in signals or calls.refused.get("breaker", 0) >= 0.2 * tried > 2),
        "bulkhead": min(1.0, calls.refused.get("bulkhead", 0) / 10),
        "silent": float(any(_is_silent(alert, target) for alert in mine)),
        "useless": max(told[Signal.USELESS], _felt(sum(calls.useless.values()) / max(calls.count, 3))),
        "own_time": max(told[Signal.OWN_TIME], _felt(measures["own_share"])),
        "gap": max(told[Signal.GAP], _felt(measures["gap_share"])),
        "first_token": max(told[Signal.FIRST_TOKEN], _felt(measures["first_token_share"])),
        "surge": max(_users_surge(alerts, reading.topology), _more(measures["users_shift"], BURST)),
        "one_member": float(bool(target.zone)),
        "new_version": measures["version_new"] * max(0.3, measures["version_guilt"]),
        "cost": max(0.6 * bool(signals & {Signal.COST, Signal.TOKENS}), _more(measures["tokens_shift"]),
                    _more(measures["cost_shift"])),
        "nlu": measures["useless_unsure"],
        "loop": max(_more(measures["loop_shift"]), FANOUT_SAYS * any(_is_step(alert) for alert in mine)),
        "retries": max(_more(measures["per_call_shift"], TRIES),
                       FANOUT_SAYS * any(a.signal is Signal.FANOUT and not _is_step(a) for a in mine)),
        "leak": max(float(Signal.DRIFT in signals), measures["grows"]),
        "full": max(measures["full"], POOL_SAYS * _felt(measures["gauge_pool"])),
        "busy": _felt(measures["gauge_cpu"]),
        "told_wrong": max(0.0, measures["log_shift"]),
        "broken": _broken(calls),
    }  # fmt: skip
    return found | _error_shares(calls)


def _felt(share: float) -> float:
    return share if share >= FELT_SHARE else 0.0


def _more(shift: float, between: tuple[float, float] = SHIFT) -> float:
    """0 to 1 for what is more than usual, between two powers of two; the shift is a part of MOST_SHIFT of them."""
    least, full = between
    return float(np.clip((shift * MOST_SHIFT - least) / (full - least), 0, 1))


def _error_shares(calls: Totals) -> dict[str, float]:
    shares = dict.fromkeys(_TYPES.values(), 0.0)
    for error_type, count in calls.errors.items():
        shares[_TYPES[error_cell(error_type)]] += count / calls.failed
    # A failing share far below that of useless answers or slow calls is not what is wrong.
    weight = min(1.0, calls.failed / max(1.0, 0.1 * calls.count))
    return {name: share * weight for name, share in shares.items()}


def _broken(calls: Totals) -> float:
    """Share of the failed calls whose connection stood and then broke; one that was refused does not count."""
    count = sum(n for kind, n in calls.errors.items() if any(word in kind.lower() for word in _BREAKS))
    return count / calls.failed if calls.failed else 0.0


def _is_silent(alert: Alert, target: Target) -> bool:
    key = alert.key
    return alert.signal is Signal.MISSING and key.family == "op" and key.part("kind") == "server" and bool(target.zone)


def _waits_for_it(alert: Alert, topology: Topology) -> bool:
    """Whether it is about time that a caller's span spends on the way: its own, less what the callee's spans tell."""
    key = alert.key
    calls = alert.signal is Signal.OWN_TIME and key.family == "op" and key.part("kind") == "client"
    return calls and key.part("peer") in topology.services


def _users_surge(alerts: Sequence[Alert], topology: Topology) -> float:
    """0 to 1: how sure it is that users send far more than usual."""
    entries = topology.entry_services()
    scores = [one.score for one in alerts if one.signal is Signal.SURGE and one.key.part("service") in entries]
    return min(1.0, max(scores, default=0.0) / SURGE_SURE)


def _is_step(alert: Alert) -> bool:
    """Whether it is about calls a request of a step inside a service, such as a tool of an agent."""
    return alert.signal is Signal.FANOUT and alert.key.family == "op"
