"""Backends that break, hang, leave and come back, and forwarding that is stopped and started."""

import logging
import threading

import pytest
from forward_kit import Say, in_turn, one_span, until
from forward_node import names, towards

from paramedic_collector.config.model import FileExporter
from paramedic_collector.intake import Intake, Reply
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Limits
from paramedic_collector.redact import Redactor


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
