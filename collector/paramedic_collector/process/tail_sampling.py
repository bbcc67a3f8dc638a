"""`tail_sampling`: forwards the traces that are worth keeping, whole, once enough of each has come.

    spans --by trace--> pending --`decision_wait` later--> policies --> kept or dropped --> late spans follow

A trace that any drop policy means is dropped; else any policy that holds keeps it. The exemplars of open incidents
are kept whatever the policies say. At most `num_traces` wait: one more decides the oldest one early, which is counted.
"""

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from paramedic_collector.config.model import Processor
from paramedic_collector.otlp import Signal
from paramedic_collector.process.policies import Policy, Trace

if TYPE_CHECKING:
    from google.protobuf.message import Message

_REQUEST_SPANS: Final = 1_000  # a request is full from here on


class KeepTraces:
    """The traces that must be kept: exemplars of open incidents. Any thread may replace them."""

    def __init__(self) -> None:
        self._ids: frozenset[bytes] = frozenset()

    def replace(self, ids: Collection[bytes]) -> None:
        """Args: ids: Trace ids of 16 bytes; those of before are no longer kept."""
        self._ids = frozenset(ids)

    def __contains__(self, trace_id: bytes) -> bool:
        return trace_id in self._ids


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much, with the Collector's defaults and names.

    Args:
        root_wait_s: Seconds after the root span; 0 to wait as long as for any other.
        largest_bytes: A trace that grows beyond this is dropped; 0 for any size.
    """

    wait_s: float = 30.0
    root_wait_s: float = 0.0
    traces: int = 50_000
    kept_cache: int = 50_000  # decisions that late spans follow
    dropped_cache: int = 50_000
    largest_bytes: int = 0


class TailSampling(Processor):
    """Keeps spans back until their trace is decided; used by one thread.

    Args:
        keeps: One that holds is enough.
        drops: One that holds overrules all of `keeps`.
        always: Traces that overrule everything.
    """

    def __init__(
        self, name: str, keeps: tuple[Policy, ...], drops: tuple[Policy, ...], always: KeepTraces, limits: Limits
    ) -> None:
        self.name, self._keeps, self._drops, self._always, self._limits = name, keeps, drops, always, limits
        self._pending: dict[bytes, Trace] = {}  # in the order of their first spans
        self._deadlines: list[tuple[float, bytes]] = []  # a heap; entries of decided traces are skipped
        self._decided = {True: OrderedDict[bytes, None](), False: OrderedDict[bytes, None]()}
        self.decided_early = 0  # traces, since more than `num_traces` waited
        self.too_large = 0  # traces that were dropped for their size

    def process(self, signal: Signal, request: "Message", now: float) -> list["Message"]:
        released: list[Any] = []
        for trace_id, groups in _by_trace(request).items():
            verdict = self._verdict(trace_id)
            if verdict is None:
                released += self._wait(trace_id, groups, now)
            elif verdict:
                released += groups
        return list(_requests(released))

    def due(self, now: float) -> list["Message"]:
        """The traces whose time has come; infinity asks for a decision on all of them."""
        released: list[Any] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, trace_id = heapq.heappop(self._deadlines)
            if trace_id in self._pending:
                released += self._decide(trace_id)
        return list(_requests(released))

    def waits_since(self) -> float | None:
        return next((trace.first_at for trace in self._pending.values()), None)

    def alone(self) -> "TailSampling":
        return TailSampling(self.name, self._keeps, self._drops, self._always, self._limits)

    def _verdict(self, trace_id: bytes) -> bool | None:
        """What was decided about a trace; None when nothing was."""
        for verdict, cache in self._decided.items():
            if trace_id in cache:
                cache.move_to_end(trace_id)
                return verdict or trace_id in self._always
        return None

    def _wait(self, trace_id: bytes, groups: list[Any], now: float) -> list[Any]:
        """Adds to a trace that is pending; gives what had to be decided to make room."""
        released: list[Any] = []
        trace = self._pending.get(trace_id)
        if trace is None:
            if len(self._pending) >= self._limits.traces:
                self.decided_early += 1
                released = self._decide(next(iter(self._pending)))
            trace = self._pending[trace_id] = Trace(trace_id, now)
            heapq.heappush(self._deadlines, (now + self._limits.wait_s, trace_id))
        trace.groups += groups
        trace.spans += sum(len(inner.spans) for group in groups for inner in group.scope_spans)
        if self._limits.root_wait_s and _has_root(groups):
            heapq.heappush(self._deadlines, (now + self._limits.root_wait_s, trace_id))
        if self._limits.largest_bytes:
            trace.size_bytes += sum(group.ByteSize() for group in groups)
            if trace.size_bytes > self._limits.largest_bytes:
                self.too_large += 1
                released += self._decide(trace_id, too_large=True)
        return released

    def _decide(self, trace_id: bytes, *, too_large: bool = False) -> list[Any]:
        trace = self._pending.pop(trace_id)
        keep = trace_id in self._always or (not too_large and self._worth_it(trace))
        cache = self._decided[keep]
        cache[trace_id] = None
        while len(cache) > (self._limits.kept_cache if keep else self._limits.dropped_cache):
            cache.popitem(last=False)
        return trace.groups if keep else []

    def _worth_it(self, trace: Trace) -> bool:
        if any(policy(trace) for policy in self._drops):
            return False
        return any(policy(trace) for policy in self._keeps)


def _by_trace(request: Any) -> dict[bytes, list[Any]]:
    """The spans of a request by their trace, each with its resource and scope."""
    found: dict[bytes, list[Any]] = {}
    for group in request.resource_spans:
        mine: dict[bytes, Any] = {}
        for inner in group.scope_spans:
            into: dict[bytes, Any] = {}
            for span in inner.spans:
                if span.trace_id not in into:
                    into[span.trace_id] = _room(mine, group, inner, span.trace_id)
                into[span.trace_id].append(span)
        for trace_id, part in mine.items():
            found.setdefault(trace_id, []).append(part)
    return found


def _room(mine: dict[bytes, Any], group: Any, inner: Any, trace_id: bytes) -> Any:
    """Where the spans of one trace, resource and scope go."""
    if trace_id not in mine:
        mine[trace_id] = ResourceSpans(resource=group.resource, schema_url=group.schema_url)
    return mine[trace_id].scope_spans.add(scope=inner.scope, schema_url=inner.schema_url).spans


def _has_root(groups: Iterable[Any]) -> bool:
    return any(not any(span.parent_span_id) for group in groups for inner in group.scope_spans for span in inner.spans)


def _requests(groups: list[Any]) -> Iterator["Message"]:
    request, spans = ExportTraceServiceRequest(), 0
    for group in groups:
        request.resource_spans.append(group)
        spans += sum(len(inner.spans) for inner in group.scope_spans)
        if spans >= _REQUEST_SPANS:
            yield request
            request, spans = ExportTraceServiceRequest(), 0
    if spans:
        yield request
