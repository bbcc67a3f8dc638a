"""Forwarding from a real flight recorder to real backends, which refuse, hang, break, leave and come back."""

import logging
import ssl
import threading
import time

import grpc
import pytest
from forward_kit import (
    GrpcBackend,
    HttpBackend,
    Say,
    make_certificates,
    one_log,
    one_span,
    record,
    spans_of,
    until,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from paramedic_collector.config.model import ClientTls, FileExporter, OtlpExporter, Pipeline, Retry
from paramedic_collector.counters import Counters
from paramedic_collector.forward.forwarder import Forwarder
from paramedic_collector.forward.tls import TlsError
from paramedic_collector.intake import Intake, Reply
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Limits, Recorder
from paramedic_collector.redact import Redactor

PLAIN = ClientTls(insecure=True)
QUICK = Retry(initial_s=0.02, most_s=0.05, give_up_s=0)


class Node:
    """A recorder and its forwarder, as one process has them."""

    def __init__(self, folder, *exporters, processors=(), limits=None, signal=Signal.TRACES):
        self.recorder = Recorder(folder, limits, clock=time.time)
        self.counters = Counters()
        pipeline = Pipeline("traces", signal, processors=processors, exporters=exporters)
        self.forwarder = Forwarder([pipeline], self.recorder, self.counters)
        self.forwarder.start()

    def record(self, *names):
        record(self.recorder, *(one_span(name) for name in names))

    def total(self, name, **labels):
        return self.counters.total(f"otelcol_exporter_{name}", **labels)

    def stop(self):
        self.forwarder.stop()
        self.recorder.close()


@pytest.fixture
def node(tmp_path):
    """Makes nodes on one folder; each new one takes the place of the one before."""
    made = []

    def make(*exporters, **settings):
        for one in made:
            one.stop()
        made.append(Node(tmp_path / "recorder", *exporters, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(params=["http", "grpc"])
def backend(request):
    one = HttpBackend() if request.param == "http" else GrpcBackend()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def web():
    one = HttpBackend()
    one.start()
    yield one
    one.stop()


def towards(backend, **settings):
    """The exporter that a configuration would have for a backend."""
    settings = {"retry": QUICK, "tls": PLAIN, "timeout_s": 5.0} | settings
    if isinstance(backend, HttpBackend):
        return OtlpExporter("otlp_http/backend", "http", backend.url, **settings)
    return OtlpExporter("otlp_grpc/backend", "grpc", backend.target, **settings)


def busy(backend, retry_s=None):
    if isinstance(backend, HttpBackend):
        return Say(503, {"retry-after": str(retry_s)} if retry_s else {})
    return Say(code="UNAVAILABLE", retry_s=retry_s)


def wrong(backend):
    return Say(400) if isinstance(backend, HttpBackend) else Say(code="INVALID_ARGUMENT")


def too_much(backend):
    return Say(413) if isinstance(backend, HttpBackend) else Say(code="RESOURCE_EXHAUSTED")


def in_turn(*answers):
    """One after the other, then success."""
    left = list(answers)
    return lambda got: left.pop(0) if left else Say()


def names(count, prefix="s"):
    return [f"{prefix}{number}" for number in range(count)]


def test_what_is_recorded_arrives_in_order_and_is_counted(node, backend):
    one = node(towards(backend, headers=(("X-Team", "bots"),)))
    one.record(*names(50))
    until(lambda: len(backend.spans) == 50, "all arrive")
    assert backend.spans == names(50)
    assert backend.requests[0].headers["x-team"] == "bots"
    until(lambda: one.total("sent_spans", exporter=f"otlp_{kind(backend)}/backend") == 50, "they are counted")
    assert one.total("send_failed_spans") == 0


def kind(backend):
    return "http" if isinstance(backend, HttpBackend) else "grpc"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_http_sends_protobuf_in_each_compression_to_the_signals_path(node, web, compression):
    node(towards(web, compression=compression)).record("a")
    until(lambda: web.spans == ["a"], "it arrives")
    headers = web.requests[0].headers
    assert headers.get("content-encoding", "none") == compression
    assert (headers["content-type"], headers["path"]) == ("application/x-protobuf", "/v1/traces")


def test_a_signal_may_have_an_url_of_its_own(node, web):
    node(towards(web, urls={Signal.TRACES: f"{web.url}/custom/traces"})).record("a")
    until(lambda: web.spans == ["a"], "it arrives")
    assert web.requests[0].headers["path"] == "/custom/traces"


def test_only_frames_of_the_pipelines_signal_are_sent(node, web):
    one = node(towards(web))
    record(one.recorder, one_log("decoy"), signal=Signal.LOGS)
    one.record("a")
    until(lambda: web.spans == ["a"], "the span arrives")
    assert {got.signal for got in web.requests} == {Signal.TRACES}


def test_a_busy_backend_is_asked_again_after_the_pause_that_it_wants(node, backend):
    backend.decide = in_turn(busy(backend, retry_s=1), busy(backend))
    one = node(towards(backend))
    one.record("a")
    until(lambda: backend.spans == ["a"], "it arrives")
    first, second, third = (got.at for got in backend.requests)
    assert second - first >= 1 > third - second
    assert one.counters.total("paramedic_exporter_retries") == 2


def test_a_pause_that_a_backend_wants_holds_for_the_next_request_too(node, web):
    web.decide = in_turn(Say(429, {"retry-after": "1"}))
    one = node(towards(web, retry=Retry(enabled=False)))
    one.record("a")
    until(lambda: one.total("send_failed_spans", reason="gave_up") == 1, "the first is given up")
    one.record("b")
    until(lambda: web.spans == ["b"], "the second arrives")
    assert web.requests[1].at - web.requests[0].at >= 1


def test_what_will_never_be_taken_is_dropped_counted_and_told_once(node, backend, caplog):
    backend.decide = lambda got: wrong(backend) if spans_of(got.message)[0].name.startswith("bad") else Say()
    one = node(towards(backend))
    for number, name in enumerate(("bad0", "good0", "bad1", "good1")):
        one.record(name)
        until(lambda n=number: one.total("sent_spans") + one.total("send_failed_spans") > n, "it is done with")
    assert backend.spans == ["good0", "good1"]
    assert len(backend.requests) == 4
    assert one.total("send_failed_spans", reason="refused") == 2
    told = [record.getMessage() for record in caplog.records if "are lost" in record.getMessage()]
    assert len(told) == 1
    assert "backend" in told[0]
    assert "1 spans are lost (refused)" in told[0]


def test_items_of_a_partial_success_are_counted_as_rejected_and_never_sent_again(node, backend, caplog):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = 1, "too old"
    backend.decide = in_turn(Say(body=response.SerializeToString()))
    one = node(towards(backend))
    record(one.recorder, one_span("a") + one_span("b"))
    until(lambda: one.total("sent_spans") == 1, "one is taken")
    one.record("c")
    until(lambda: one.total("sent_spans") == 2, "the next one too")
    assert one.total("send_failed_spans", reason="rejected") == 1
    assert len(backend.requests) == 2
    assert "too old" in caplog.text


def test_a_request_that_is_too_large_is_cut_until_its_parts_are_taken(node, backend):
    """One span alone is over the limit; nothing else is lost with it."""
    backend.decide = lambda got: too_much(backend) if got.message.ByteSize() > 10_000 else Say()
    one = node(towards(backend, compression="none"))
    small = names(20)
    parts = [one_span(name, text="x" * 4000) for name in small]
    parts.insert(7, one_span("huge", text="x" * 20_000))
    record(one.recorder, b"".join(parts))
    until(lambda: one.total("sent_spans") == 20, "all but one are taken")
    assert backend.spans == small
    assert one.total("send_failed_spans", reason="too_large") == 1


def test_a_backend_without_quota_is_not_asked_for_each_item(node, backend):
    """It calls a tiny request too much: that is no matter of size."""
    backend.decide = lambda got: too_much(backend)
    one = node(towards(backend))
    record(one.recorder, b"".join(one_span(name) for name in names(1000)))
    until(lambda: one.total("send_failed_spans", reason="refused") == 1000, "all are given up")
    assert len(backend.requests) < 20


def test_a_real_limit_of_grpc_is_met_and_remembered(node):
    backend = GrpcBackend(most_bytes=100_000)
    backend.start()
    one = node(towards(backend, compression="none"))
    for number in range(40):
        record(one.recorder, one_span(f"s{number}", text="x" * 20_000))
    until(lambda: one.total("sent_spans") == 40, "all are taken")
    backend.stop()
    assert backend.spans == names(40)


@pytest.mark.parametrize("answer", [Say(reset=True), Say(hang=True), Say(502), Say(504)])
def test_after_a_broken_connection_or_a_silent_backend_it_is_sent_again(node, web, answer):
    web.decide = in_turn(answer)
    node(towards(web, timeout_s=0.3)).record("a")
    until(lambda: web.spans == ["a"], "it arrives")


def test_a_backend_that_comes_and_goes_misses_nothing(node, backend, caplog):
    caplog.set_level(logging.INFO)
    one = node(towards(backend))
    one.record(*names(5, "before"))
    until(lambda: len(backend.spans) == 5, "it works")
    backend.stop()
    one.record(*names(5, "down"))
    until(lambda: one.counters.total("paramedic_exporter_retries") >= 2, "it is tried again")
    backend.start()
    until(lambda: len(backend.spans) == 10, "what came meanwhile arrives")
    assert backend.spans == names(5, "before") + names(5, "down")
    until(lambda: "answers again" in caplog.text, "it is told")
    assert caplog.text.count("waits on disk") == 1


def test_a_request_is_given_up_when_its_time_is_over(node, backend):
    backend.decide = lambda got: (
        busy(backend) if got is backend.requests[0] or spans_of(got.message)[0].name == "a" else Say()
    )
    one = node(towards(backend, retry=Retry(initial_s=0.02, give_up_s=0.2)))
    one.record("a")
    until(lambda: one.total("send_failed_spans", reason="gave_up") == 1, "it is given up")
    one.record("b")
    until(lambda: backend.spans == ["b"], "the next one arrives")


def test_a_backlog_goes_out_as_few_requests(node, backend):
    backend.stop()
    one = node(towards(backend))
    one.record(*names(300))
    backend.start()
    until(lambda: len(backend.spans) == 300, "all arrive")
    assert backend.spans == names(300)
    assert len(backend.requests) < 30


def test_a_hanging_backend_does_not_slow_what_comes_in(node, backend):
    """Nothing was answered, and all was accepted."""
    backend.decide = lambda got: Say(hang=True)
    one = node(towards(backend, timeout_s=60))
    intake = Intake(one.recorder, Redactor(), one.counters, limit_bytes=1 << 30)
    intake.accept(Signal.TRACES, one_span("first"), "http")
    until(lambda: backend.requests, "it hangs")
    replies = {intake.accept(Signal.TRACES, one_span(name), "http").reply for name in names(200)}
    assert replies == {Reply.ACCEPTED}
    assert (len(backend.requests), backend.taken, one.total("sent_spans")) == (1, [], 0)
    backend.decide = lambda got: Say()
    backend.let_go.set()
    until(lambda: "s199" in backend.spans, "all arrive in the end")
    assert backend.spans[-200:] == names(200)


def test_it_stops_at_once_while_the_backend_hangs_and_goes_on_after_the_next_start(node, backend):
    backend.decide = lambda got: Say(hang=True)
    one = node(towards(backend, timeout_s=600))
    one.record(*names(10))
    until(lambda: backend.requests, "it hangs")
    stopper = threading.Thread(target=one.stop)
    stopper.start()
    stopper.join(10)  # a timeout is 600 s
    assert not stopper.is_alive()
    backend.decide = lambda got: Say()
    backend.let_go.set()
    node(towards(backend))
    until(lambda: "s9" in backend.spans, "the rest arrives")
    assert backend.spans[-10:] == names(10)


def test_what_was_delivered_is_not_sent_again_after_a_restart(node, backend):
    one = node(towards(backend))
    one.record(*names(10, "old"))
    until(lambda: one.total("sent_spans") == 10, "all are sent")
    node(towards(backend)).record("new")
    until(lambda: "new" in backend.spans, "the new one arrives")
    assert backend.spans == [*names(10, "old"), "new"]


def test_a_backlog_beyond_the_limit_loses_its_oldest_and_says_so(node, web, caplog):
    web.stop()
    small = Limits(age_s=900, total_bytes=20_000, segment_bytes=2000)
    one = node(towards(web, queue_bytes=10_000), limits=small)
    one.record("first")
    one.record(*names(400))
    until(lambda: one.counters.total("paramedic_exporter_retries"), "the first one is under way")
    one.recorder.sweep()
    web.start()
    until(lambda: "s399" in web.spans, "the newest arrives")
    arrived = [name for name in web.spans if name.startswith("s")]
    assert arrived == names(400)[-len(arrived) :] or arrived[0] == "s0"
    lost = int(one.counters.as_dict()["otelcol_exporter_enqueue_failed_requests"])
    assert lost == 400 - len(arrived) + ("first" not in web.spans)
    assert lost > 0
    assert "bytes behind" in caplog.text
    assert (
        'otelcol_exporter_queue_capacity{exporter="otlp_http/backend",pipeline="traces"} 10000' in one.counters.text()
    )


def test_a_slow_backend_does_not_hold_up_another_exporter(node, web, tmp_path):
    web.decide = lambda got: Say(hang=True)
    file = FileExporter("file", str(tmp_path / "spans.json"))
    one = node(towards(web, timeout_s=60), file)
    one.record(*names(10))
    until(lambda: one.total("sent_spans", exporter="file") == 10, "the file has all")
    assert one.total("sent_spans", exporter="otlp_http/backend") == 0
    assert len((tmp_path / "spans.json").read_text().splitlines()) == 10


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "grpc"])
def guarded(request, certificates):
    """A backend with TLS that asks for a client certificate."""
    made = certificates
    if request.param == "http":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        context.load_verify_locations(made.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        one = HttpBackend(context)
    else:
        files = [open(name, "rb").read() for name in (made.key, made.cert, made.ca)]  # noqa: SIM115
        one = GrpcBackend(grpc.ssl_server_credentials([(files[0], files[1])], files[2], True))
    one.start()
    yield one
    one.stop()


def test_a_backend_with_tls_takes_what_comes_with_the_right_certificates(node, guarded, certificates):
    made = certificates
    node(towards(guarded, tls=ClientTls(ca_file=made.ca, cert_file=made.client_cert, key_file=made.client_key))).record(
        "a"
    )
    until(lambda: guarded.spans == ["a"], "it arrives")


@pytest.mark.parametrize("what", ["no client certificate", "unknown authority", "plain text"])
def test_without_them_it_waits_and_sends_nothing(node, guarded, certificates, what):
    made = certificates
    settings = {
        "no client certificate": ClientTls(ca_file=made.ca),
        "unknown authority": ClientTls(cert_file=made.client_cert, key_file=made.client_key),
        "plain text": PLAIN,
    }[what]
    exporter = towards(guarded, tls=settings)
    if what == "plain text" and isinstance(guarded, HttpBackend):
        exporter = OtlpExporter("x", "http", guarded.url.replace("https", "http"), tls=settings, retry=QUICK)
    one = node(exporter)
    one.record("a")
    until(lambda: one.counters.total("paramedic_exporter_retries") >= 2, "it is tried again")
    assert guarded.requests == []


def test_http_may_skip_the_check_of_the_servers_certificate(node, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    backend = HttpBackend(context)
    backend.start()
    node(towards(backend, tls=ClientTls(skip_verify=True))).record("a")
    until(lambda: backend.spans == ["a"], "it arrives")
    backend.stop()


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_certificate_that_is_not_there_is_told_at_the_start(tmp_path, transport):
    missing = ClientTls(ca_file=str(tmp_path / "missing.pem"))
    exporter = OtlpExporter("otlp/x", transport, "https://localhost:1", tls=missing)
    recorder = Recorder(tmp_path / "recorder", clock=time.time)
    with pytest.raises(TlsError, match=r"exporter otlp/x: tls: cannot use .*missing\.pem: No such file"):
        Forwarder([Pipeline("traces", Signal.TRACES, exporters=(exporter,))], recorder, Counters())
    recorder.close()


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
