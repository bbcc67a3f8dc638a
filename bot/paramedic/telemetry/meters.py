"""What guards show each second, and what they have counted each five: read when asked, not written per call.

each second: calls in flight, age of the oldest, state of the breaker, budgets of retries
             (a hang is seen before it ends)
each 5 s:    calls by decision, telemetry and commands that were dropped
"""

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from paramedic.contract.attributes import (
    BREAKER_STATE,
    DECISION,
    DROPPED,
    GUARD,
    IN_FLIGHT,
    OLDEST_S,
    PEER,
    PEER_ZONE,
    RETRY_BUDGET,
)
from paramedic.guards.registry import Key, registry
from paramedic.guards.sharing import retry_budgets
from paramedic.telemetry.runtime import dropped

CALLS = "paramedic.calls"


def add_gauges(meter: Meter) -> None:
    """The gauges of each second."""
    meter.create_observable_gauge(IN_FLIGHT, [_in_flight], "{call}", "calls begun and not ended")
    meter.create_observable_gauge(OLDEST_S, [_oldest], "s", "age of the oldest call in flight")
    meter.create_observable_gauge(BREAKER_STATE, [_breaker], "", "0 closed, 1 half open, 2 open, 3 open by command")
    meter.create_observable_gauge(RETRY_BUDGET, [_retry_budgets], "{token}", "what is left for retries of a peer")


def add_counters(meter: Meter) -> None:
    """The counters of each five seconds."""
    meter.create_observable_counter(CALLS, [_calls], "{call}", "guarded calls by what became of them")
    meter.create_observable_counter(DROPPED, [_dropped], "{item}", "what of paramedic's own was dropped")


def _in_flight(_: CallbackOptions) -> Iterable[Observation]:
    totals: dict[Key, int] = {}
    for guard in registry.guards():
        totals[guard.key] = totals.get(guard.key, 0) + guard.in_flight()[0]
    return [Observation(total, _about(key)) for key, total in totals.items()]


def _oldest(_: CallbackOptions) -> Iterable[Observation]:
    ages: dict[Key, float] = {}
    for guard in registry.guards():
        ages[guard.key] = max(ages.get(guard.key, 0.0), guard.in_flight()[1])
    return [Observation(age, _about(key)) for key, age in ages.items()]


def _breaker(_: CallbackOptions) -> Iterable[Observation]:
    states: dict[Key, int] = {}
    for guard in registry.guards():
        states[guard.key] = max(states.get(guard.key, 0), int(guard.state))
    return [Observation(state, _about(key)) for key, state in states.items()]


def _retry_budgets(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(tokens, {PEER: peer}) for peer, tokens in retry_budgets.left().items()]


def _calls(_: CallbackOptions) -> Iterable[Observation]:
    for (key, decision), count in registry.counts().items():
        yield Observation(count, {**_about(key), DECISION: decision})


def _dropped(_: CallbackOptions) -> Iterable[Observation]:
    yield Observation(
        dropped.counts.get("spans", 0), {f"{DROPPED}.what": "spans"}
    )  # from 0 on: there is always a point
    for what, count in list(dropped.counts.items()):
        if what == "spans":
            continue
        yield Observation(count, {f"{DROPPED}.what": what})


def _about(key: Key) -> dict[str, str]:
    guard, peer, zone = key
    return {GUARD: guard, PEER: peer, PEER_ZONE: zone}
