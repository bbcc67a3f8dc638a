"""What the recorder makes of calls, fed by a guard and a call that are as small as can be."""

import os
import select
import signal
import sys
import threading

import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality

from paramedic.telemetry.genai import names_of
from paramedic.telemetry.recorder import FOLD_EACH, Recorder
from paramedic.telemetry.runtime import Dropped, dropped
from paramedic.telemetry.tables import FORGOTTEN_AFTER_S, MOST_SERIES, Instrument, Tables
from paramedic.testing import Clock

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 64,
}
OLD = {"gen_ai.client.operation.duration", "gen_ai.client.token.usage", "gen_ai.client.operation.time_to_first_chunk"}
NEW = {
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.client.inference.operation.input_tokens",
    "gen_ai.client.inference.operation.output_tokens",
}


class Guard:
    def __init__(self, name="llm", peer="aurora", zone=""):
        self.key = self.name, self.peer, self.zone = name, peer, zone


class Call:
    span = None

    def __init__(self, said=None, useless_as=None, first_token_s=None):
        self.said, self.useless_as, self.first_token_s = said, useless_as, first_token_s


GUARD = Guard()


def points(recorder):
    """By metric: by attributes, the point of a histogram or the value of a counter."""
    return {
        metric.name: {
            tuple(sorted(point.attributes.items())): getattr(point, "value", point) for point in metric.data.data_points
        }
        for metric in recorder.take()
    }


def attributes(found, metric):
    return [dict(about) for about in found[metric]]


def test_a_call_is_a_point_with_who_was_called_and_what_became_of_it():
    recorder = Recorder()
    recorder.ended(Guard("orders", "orders-api", "eu-1b"), Call(), "worked", None, 0.25)
    recorder.ended(GUARD, Call(), "failed", "503", 1.5)
    recorder.ended(GUARD, Call(useless_as="empty"), "useless", None, 0.75)
    found = points(recorder)["paramedic.call.duration"]
    told = [dict(about) for about in found]
    assert told == [
        {
            "paramedic.guard": "orders",
            "service.peer.name": "orders-api",
            "paramedic.peer.zone": "eu-1b",
            "paramedic.decision": "worked",
        },
        {
            "paramedic.guard": "llm",
            "service.peer.name": "aurora",
            "paramedic.decision": "failed",
            "error.type": "503",
        },
        {
            "paramedic.guard": "llm",
            "service.peer.name": "aurora",
            "paramedic.decision": "useless",
            "paramedic.useless": "empty",
        },
    ]
    assert [(point.count, point.sum, point.min, point.max) for point in found.values()] == [
        (1, 0.25, 0.25, 0.25),
        (1, 1.5, 1.5, 1.5),
        (1, 0.75, 0.75, 0.75),
    ]


def test_each_export_holds_what_came_since_the_last_one():
    moments = iter([100, 200, 300, 400])
    recorder = Recorder(now_ns=lambda: next(moments))
    for seconds in (0.5, 1.5):
        recorder.ended(GUARD, Call(), "worked", None, seconds)
    (first,) = recorder.take()
    recorder.ended(GUARD, Call(), "worked", None, 4.0)
    (second,) = recorder.take()
    assert recorder.take() == []
    assert first.data.aggregation_temporality is AggregationTemporality.DELTA
    spans = [(p.start_time_unix_nano, p.time_unix_nano, p.count, p.sum) for p in first.data.data_points]
    assert spans == [(100, 200, 2, 2.0)]
    spans = [(p.start_time_unix_nano, p.time_unix_nano, p.count, p.sum) for p in second.data.data_points]
    assert spans == [(200, 300, 1, 4.0)]


def test_a_call_of_a_model_is_told_in_the_deployed_names_unless_the_new_ones_are_asked_for():
    seen = {}
    for opt_in in ("", "gen_ai_latest_experimental", "http,gen_ai_latest_experimental/dup"):
        recorder = Recorder(names_of(opt_in))
        recorder.ended(GUARD, Call(CHAT, first_token_s=0.3), "worked", None, 2.0)
        seen[opt_in] = set(points(recorder)) - {"paramedic.call.duration"}
    assert list(seen.values()) == [OLD, NEW, OLD | NEW]


def test_the_time_to_the_first_piece_is_what_the_call_measured_or_else_what_its_client_said():
    recorder = Recorder()
    recorder.ended(GUARD, Call({**CHAT, "gen_ai.response.time_to_first_chunk": 0.7}), "worked", None, 2.0)
    recorder.ended(
        GUARD, Call({**CHAT, "gen_ai.response.time_to_first_chunk": 0.7}, first_token_s=0.3), "worked", None, 2.0
    )
    (point,) = points(recorder)["gen_ai.client.operation.time_to_first_chunk"].values()
    assert (point.count, point.min, point.max) == (2, 0.3, 0.7)


def test_what_is_no_inference_keeps_its_name_under_the_new_ones():
    recorder = Recorder(names_of("gen_ai_latest_experimental"))
    recorder.ended(GUARD, Call({**CHAT, "gen_ai.operation.name": "embeddings"}), "worked", None, 2.0)
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} < set(points(recorder))


def test_tokens_are_counted_by_type_and_money_by_model():
    recorder = Recorder()
    said = {**CHAT, "gen_ai.usage.cache_read.input_tokens": 500, "paramedic.cost": 0.25}
    for _ in range(2):
        recorder.ended(GUARD, Call({**said, "gen_ai.response.model": "gpt-4o-2024"}), "worked", None, 2.0)
    found = points(recorder)
    usage = {dict(about)["gen_ai.token.type"]: p.sum for about, p in found["gen_ai.client.token.usage"].items()}
    assert usage == {"input": 1624, "output": 128, "cache_read": 1000}
    assert found["paramedic.cost"] == {(("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "gpt-4o")): 0.5}


@pytest.mark.parametrize("names", ["", "gen_ai_latest_experimental"])
def test_a_call_that_the_caller_gave_up_says_nothing_about_how_long_the_model_takes(names):
    recorder = Recorder(names_of(names))
    recorder.ended(GUARD, Call(CHAT), "cancelled", None, 0.1)
    found = points(recorder)
    assert not {"gen_ai.client.operation.duration", "gen_ai.client.inference.duration"} & set(found)
    assert attributes(found, "paramedic.call.duration")[0]["paramedic.decision"] == "cancelled"


def test_a_failed_inference_is_one_without_tokens_in_the_new_names():
    recorder = Recorder(names_of("gen_ai_latest_experimental"))
    said = {name: value for name, value in CHAT.items() if "usage" not in name}
    recorder.ended(GUARD, Call(said), "failed", "429", 0.1)
    found = points(recorder)
    ((about, count),) = found["gen_ai.client.inference.usage.input_tokens"].items()
    assert (count, dict(about)["gen_ai.token.modality"]) == (0, "unknown")
    assert attributes(found, "gen_ai.client.inference.duration")[0]["error.type"] == "429"


@pytest.mark.parametrize("nonsense", [{"gen_ai.operation.name": ["a", "b"]}, {**CHAT, "gen_ai.request.model": ["x"]}])
def test_a_call_that_says_nonsense_costs_the_other_calls_nothing(nonsense):
    recorder = Recorder()
    recorder.ended(GUARD, Call(CHAT), "worked", None, 1.0)
    recorder.ended(GUARD, Call(nonsense), "worked", None, 1.0)
    recorder.ended(GUARD, Call(useless_as=["not", "a", "word"]), "useless", None, 1.0)
    recorder.ended(GUARD, Call(CHAT), "worked", None, 1.0)
    found = points(recorder)
    assert sum(p.count for p in found["paramedic.call.duration"].values()) >= 2
    assert found["gen_ai.client.operation.duration"]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_what_is_no_length_of_time_is_dropped_and_counted(seconds):
    recorder, before = Recorder(), dropped.counts.get("metrics", 0)
    recorder.ended(GUARD, Call(), "worked", None, seconds)
    assert points(recorder) == {}
    assert dropped.counts["metrics"] == before + 1


def test_no_call_is_lost_or_counted_twice_while_threads_record_and_one_exports():
    recorder, each, threads = Recorder(), FOLD_EACH * 6 + 7, 6
    counted, done = [], threading.Event()

    def record(which):
        guard, call = Guard(f"llm.{which % 2}"), Call()
        for _ in range(each):
            recorder.ended(guard, call, "worked", None, 0.5)

    def export():
        while not done.is_set():
            counted.append(recorder.take())
        counted.append(recorder.take())

    workers = [threading.Thread(target=record, args=(which,)) for which in range(threads)]
    exporter = threading.Thread(target=export)
    switches_each_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads meet in the middle of everything
    try:
        for thread in (*workers, exporter):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        exporter.join()
    finally:
        sys.setswitchinterval(switches_each_s)
    totals = {}
    for metrics in counted:
        for point in (point for metric in metrics for point in metric.data.data_points):
            assert sum(point.positive.bucket_counts) == point.count
            guard = point.attributes["paramedic.guard"]
            totals[guard] = totals.get(guard, 0) + point.count
    assert totals == {"llm.0": each * 3, "llm.1": each * 3}


def test_nothing_that_was_dropped_is_forgotten_while_threads_drop():
    counted, switches_each_s = Dropped(), sys.getswitchinterval()
    threads = [threading.Thread(target=lambda: [counted.add("spans") for _ in range(20_000)]) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switches_each_s)
    assert counted.counts == {"spans": 80_000}


def test_between_two_exports_memory_is_bounded():
    recorder = Recorder()
    for _ in range(FOLD_EACH * 3):
        recorder.ended(GUARD, Call(), "worked", None, 0.5)
        assert len(recorder._heard) < FOLD_EACH
    assert points(recorder)["paramedic.call.duration"].popitem()[1].count == FOLD_EACH * 3


def test_more_series_than_the_bound_are_counted_together(caplog):
    recorder = Recorder(clock=Clock())
    for which in range(MOST_SERIES + 20):
        recorder.ended(Guard(f"g{which}"), Call(), "worked", None, 0.5)
    found = points(recorder)["paramedic.call.duration"]
    assert len(found) == MOST_SERIES + 1
    others = [point for about, point in found.items() if dict(about)["paramedic.guard"] == "_other"]
    assert [(point.count, set(point.attributes.values())) for point in others] == [(20, {"_other"})]
    assert caplog.text.count("has more than 500 series") == 1


def test_a_series_that_fell_silent_makes_room_for_another():
    clock, wait = Clock(), Instrument("wait", "s", "")
    tables = Tables(clock, most=2)
    for name in ("a", "b", "c"):
        tables.add(wait, (("name", name),), [1.0])
    clock.now += FORGOTTEN_AFTER_S - 1
    tables.add(wait, (("name", "a"),), [1.0])
    clock.now += 2
    tables.take()
    for name in ("a", "c", "d"):  # b fell silent: c takes its place
        tables.add(wait, (("name", name),), [1.0])
    ((_, series),) = tables.take()
    assert [dict(about)["name"] for about in series] == ["a", "c", "_other"]


def test_what_is_private_in_a_label_is_taken_out_of_it():
    recorder = Recorder(mask=lambda text: text.replace("anna@example.com", "[email]"))
    for _ in range(2):
        recorder.ended(Guard("anna@example.com"), Call(), "worked", None, 0.5)
    assert attributes(points(recorder), "paramedic.call.duration")[0]["paramedic.guard"] == "[email]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_with_nothing_even_if_a_thread_was_exporting():
    recorder = Recorder()
    recorder.ended(GUARD, Call(), "worked", None, 0.5)
    reading, writing = os.pipe()
    recorder._lock.acquire()  # as a thread of the parent may hold it
    child = os.fork()
    if child == 0:
        recorder.ended(Guard("child"), Call(), "worked", None, 0.5)
        names = [dict(about)["paramedic.guard"] for about in points(recorder)["paramedic.call.duration"]]
        os.write(writing, ",".join(names).encode())
        os._exit(0)
    recorder._lock.release()
    os.close(writing)
    if not select.select([reading], [], [], 10)[0]:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"child"
    assert attributes(points(recorder), "paramedic.call.duration")[0]["paramedic.guard"] == "llm"
    os.close(reading)
