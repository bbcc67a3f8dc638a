"""What `tail_sampling` may ask of a whole trace: each policy says whether the trace is worth keeping.

Policy(trace) -> bool     latency(500), all_of([...]), no(policy), ...
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from paramedic_collector.process.filter import Rule
from paramedic_collector.process.ottl_values import OttlError
from paramedic_collector.process.values import find

STATUS_CODES: Final = ("UNSET", "OK", "ERROR")
_MS: Final = 1_000_000  # nanoseconds
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_64_BITS: Final = (1 << 64) - 1


@dataclass(slots=True)
class Trace:
    """What has come of a trace so far."""

    id: bytes
    first_at: float = math.inf  # seconds of the clock that `process` is given
    groups: list[Any] = field(default_factory=list)  # ResourceSpans with spans of this trace alone
    spans: int = 0
    size_bytes: int = 0

    def walk(self) -> Iterator[tuple[Any, Any, Any]]:
        """Each span with its resource and its scope."""
        for group in self.groups:
            for inner in group.scope_spans:
                for span in inner.spans:
                    yield group.resource, inner.scope, span


Policy = Callable[[Trace], bool]


def always(_: Trace) -> bool:
    return True


def status_code(names: Collection[str]) -> Policy:
    """Any span with one of these: UNSET, OK, ERROR."""
    codes = {STATUS_CODES.index(name) for name in names}
    return lambda trace: any(span.status.code in codes for _, _, span in trace.walk())


def latency(above_ms: int, at_most_ms: int = 0) -> Policy:
    """From the earliest start to the latest end; `at_most_ms` 0 for no upper bound."""

    def holds(trace: Trace) -> bool:
        times = [(span.start_time_unix_nano, span.end_time_unix_nano) for _, _, span in trace.walk()]
        took_ms = (max(end for _, end in times) - min(start for start, _ in times)) // _MS
        return above_ms < took_ms and (at_most_ms == 0 or took_ms <= at_most_ms)

    return holds


def probabilistic(percentage: float, salt: str = "") -> Policy:
    """A share of all trace ids, the same ones in every collector with that salt."""
    threshold = int(min(max(percentage / 100, 0.0), 1.0) * (1 << 64)) - (1 if percentage > 0 else 0)
    start = _fnv1a((salt or "default-hash-seed").encode(), _FNV_OFFSET)
    return lambda trace: _fnv1a(trace.id, start) <= threshold


def _fnv1a(data: bytes, value: int) -> int:
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _64_BITS
    return value


def attribute(key: str, kind: str, test: Callable[[Any], bool], *, invert: bool = False) -> Policy:
    """An attribute of a resource or of a span, of one type, for which the test holds.

    Args:
        kind: The field of AnyValue: "string_value", "int_value", "bool_value".
        invert: Keep what has no such attribute.
    """

    def there(carrier: Any) -> bool:
        value = find(carrier.attributes, key)
        return value is not None and value.WhichOneof("value") == kind and test(getattr(value, kind))

    def holds(trace: Trace) -> bool:
        return any(there(resource) or there(span) for resource, _, span in trace.walk()) is not invert

    return holds


def span_count(least: int, most: int = 0) -> Policy:
    """`most` 0 for no upper bound."""
    return lambda trace: least <= trace.spans and (most == 0 or trace.spans <= most)


def ottl_condition(spans: Collection[Rule], events: Collection[Rule]) -> Policy:
    """Any span, or any span event, for which one of its conditions holds."""

    def holds(trace: Trace) -> bool:
        for resource, scope, span in trace.walk():
            scene = {"resource": resource, "scope": scope, "span": span}
            if any(_holds(rule, scene) for rule in spans):
                return True
            if any(_holds(rule, {**scene, "spanevent": event}) for event in span.events for rule in events):
                return True
        return False

    return holds


def _holds(rule: Rule, scene: dict[str, Any]) -> bool:
    try:
        return rule.drops(scene)
    except OttlError:
        return False


def all_of(policies: Collection[Policy]) -> Policy:
    return lambda trace: all(policy(trace) for policy in policies)


def no(policy: Policy) -> Policy:
    return lambda trace: not policy(trace)
