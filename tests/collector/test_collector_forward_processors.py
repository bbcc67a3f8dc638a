"""What processors change and keep back on the way to a backend."""

import time

from forward_kit import one_span, record, spans_of, until
from forward_node import towards
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Upper:
    """A processor that changes names, drops what is called "drop" and fails for "fail"."""

    name = "upper"

    def __init__(self):
        self.seen = []

    def process(self, signal, request, now):
        self.seen.append(request)
        for span in spans_of(request):
            if span.name == "fail":
                raise ValueError("as the test wants it")
            span.name = span.name.upper()
        return [] if any(span.name == "DROP" for span in spans_of(request)) else [request]

    def due(self, now):
        return []

    def waits_since(self):
        return None

    def alone(self):
        return self


def test_processors_change_what_is_forwarded_and_nothing_unprocessed_goes_out(node, web):
    processor = Upper()
    one = node(towards(web), processors=(processor,))
    for number, name in enumerate(("a", "drop", "fail", "b")):
        one.record(name)
        until(lambda number=number: len(processor.seen) > number, "it is processed alone")
    until(lambda: web.spans == ["A", "B"], "what is left arrives")
    assert one.total("send_failed_spans", reason="failed") == 1


class Holder:
    """Keeps each trace until a span called "decide" of it comes; as tail_sampling does until time is up."""

    name = "holder"

    def __init__(self):
        self.held = {}

    def process(self, signal, request, now):
        out = []
        for span in spans_of(request):
            _, spans = self.held.setdefault(span.trace_id, (now, []))
            spans.append(span)
            if span.name.startswith("decide"):
                out += self.held.pop(span.trace_id)[1]
        return [_with(out)] if out else []

    def due(self, now):
        return []

    def waits_since(self):
        return min((since for since, _ in self.held.values()), default=None)

    def alone(self):
        return Holder()


def _with(spans):
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans)
    return message


def test_what_a_processor_keeps_back_is_read_again_after_a_restart(node, backend):
    """Only the trace of "a" is undecided; "b" is decided after it, so it comes twice, and nothing before it does."""
    one = node(towards(backend), processors=(Holder(),))
    for name, trace in (("z", b"z"), ("decide-z", b"z"), ("a", b"a"), ("b", b"b"), ("decide-b", b"b")):
        record(one.recorder, one_span(name, trace=trace * 16))
        time.sleep(0.002)  # frames are told apart by the time at which they were recorded
    until(lambda: "decide-b" in backend.spans, "b is decided")
    assert backend.spans == ["z", "decide-z", "b", "decide-b"]
    one = node(towards(backend), processors=(Holder(),))
    record(one.recorder, one_span("decide-a", trace=b"a" * 16))
    until(lambda: "decide-a" in backend.spans, "a is decided")
    assert backend.spans[4:] == ["b", "decide-b", "a", "decide-a"]
    one = node(towards(backend), processors=(Holder(),))
    record(one.recorder, one_span("decide-c", trace=b"c" * 16))
    until(lambda: "decide-c" in backend.spans, "the next start begins behind it")
    assert backend.spans[8:] == ["decide-c"]
