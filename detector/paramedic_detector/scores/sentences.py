"""An alert in one plain sentence: what was seen, what is usual, since when."""

from datetime import UTC, datetime
from typing import Final, Protocol

from paramedic_detector.series.slots import upper_edge_s
from paramedic_detector.values import Signal

_VERBS: Final = {
    Signal.ERRORS: "failed",
    Signal.RATE_LIMITED: "were rate limited",
    Signal.AUTH: "were not authorised",
    Signal.USELESS: "answered nothing useful",
    Signal.REFUSED: "were refused by the caller's own breaker or bulkhead",
}
_TOOK: Final = {
    Signal.SLOW: "took longer than {limit}",
    Signal.OWN_TIME: "spent more than {limit} in the service itself",
    Signal.GAP: "spent more than {limit} between caller and callee",
    Signal.FIRST_TOKEN: "waited longer than {limit} for the first token",
}


class Seen(Protocol):
    """What a sentence needs to know of a finding."""

    @property
    def window_s(self) -> float: ...
    @property
    def bad(self) -> float: ...
    @property
    def calls(self) -> float: ...
    @property
    def usual(self) -> float: ...
    @property
    def value(self) -> float | None: ...
    @property
    def slow_bucket(self) -> int | None: ...


def sentence(signal: Signal, seen: Seen, types: dict[str, int], onset: float) -> str:
    """The explanation of an alert; `types` are the error types seen since its onset."""
    since = f"since {datetime.fromtimestamp(onset, UTC):%H:%M:%S}"
    value = seen.value or 0.0
    if signal is Signal.HANG:
        return (
            f"{round(seen.bad)} calls are in flight and the oldest is {value:.1f} s old "
            f"(usually at most {seen.usual:.1f} s), {since}"
        )
    if signal is Signal.MISSING:
        return f"no call for {seen.window_s:.0f} s (usual {seen.usual:.1f} a second), {since}"
    if signal in (Signal.SURGE, Signal.DROP):
        return f"{value:.2g} calls a second (usual {seen.usual:.2g})"
    if signal is Signal.FANOUT:
        return f"{value:.2g} times for each request (usual {seen.usual:.2g}), {since}"
    if signal is Signal.TOKENS:
        return f"{value:.0f} tokens a call over {round(seen.calls)} calls (usual {seen.usual:.0f}), {since}"
    share = f"{100 * seen.bad / max(seen.calls, 1):.0f} % of {round(seen.calls)} calls"
    usual = f"(usual {100 * seen.usual:.1f} %)"
    if signal in _TOOK:
        limit_s = float(upper_edge_s(seen.slow_bucket or 0))
        limit = f"{limit_s:.2g} s" if limit_s >= 1 else f"{1000 * limit_s:.2g} ms"
        return f"{share} {_TOOK[signal].format(limit=limit)} {usual}, {since}"
    mostly = f", mostly {max(types, key=lambda kind: types[kind])}" if types and signal is Signal.ERRORS else ""
    return f"{share} {_VERBS[signal]} {usual}{mostly}, {since}"
