"""Which line of a log follows which inside a span: compared with walking through each span's lines."""

import random
from collections import Counter

import pytest
from collector_kit import NANO, T0, batches, new_tables
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from paramedic_collector.counters import Counters
from paramedic_collector.decode import joined, parse
from paramedic_collector.flows import Flows
from paramedic_collector.intake import Taken
from paramedic_collector.join import Join
from paramedic_collector.logs import told
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame, Place
from paramedic_collector.windower import Windower
from paramedic_collector.windows import Resume


def line(text, at=0.0, trace=1, span=1, service="bot"):
    """A line `at` seconds after T0."""
    return (text, at, trace, span, service)


def payload(lines):
    request = ExportLogsServiceRequest()
    for text, at, trace, span, service in lines:
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = service
        record = resource.scope_logs.add().log_records.add(time_unix_nano=T0 * NANO + round(at * NANO))
        record.body.string_value = text
        record.trace_id, record.span_id = (trace.to_bytes(16, "big"), span.to_bytes(8, "big")) if trace else (b"", b"")
        if not span:
            record.span_id = b""
    return request.SerializeToString()


def said(lines, tables):
    return told(joined([parse(Signal.LOGS, payload(lines))]), tables).said()


def flows_of(parts, tables):
    """{(second after T0, service, template, next): count}"""
    rows = [row for batch in batches(parts, tables) for row in batch.to_pylist()]
    return Counter({(r["ts"] - T0, r["service"], r["template"], r["next"]): r["count"] for r in rows})


def flowed(*groups, every_s=1.0, **options):
    """Each group of lines comes a second after the one before; all is told in the end."""
    tables = new_tables()
    flows, now, found = Flows(tables, **options), 0.0, Counter()
    for group in groups:
        if group:
            flows.add(said(group, tables), now)
        found += flows_of(flows.close(now), tables)
        now += every_s
    return flows, found + flows_of(flows.close(now + 60), tables)


def test_each_line_counts_once_towards_what_follows_it_in_its_span():
    lines = [line("asked", 0.1), line("answered", 0.9), line("sent", 1.2)]
    assert flowed(lines)[1] == {
        (0, "bot", "asked", "answered"): 1,
        (0, "bot", "answered", "sent"): 1,
        (1, "bot", "sent", ""): 1,
    }


@pytest.mark.parametrize("seed", range(4))
def test_flows_are_those_of_walking_through_each_span(seed):
    """The lines come in any order, in up to five seconds; those of one span have moments of their own."""
    dice = random.Random(seed)
    lines = [
        line(dice.choice("abc"), at / 50, dice.randrange(1, 5), dice.randrange(3), dice.choice(["bot", "shop"]))
        for at in range(150)
    ]
    expected = Counter()
    for who in {one[2:] for one in lines if one[3]}:
        own = [one for one in lines if one[2:] == who]
        for one, after in zip(own, [*own[1:], ("",)], strict=True):
            expected[int(one[1]), one[4], one[0], after[0]] += 1
    dice.shuffle(lines)
    assert flowed(*(lines[at::5] for at in range(5)))[1] == expected


def test_lines_of_one_moment_stay_in_the_order_in_which_they_came():
    found = flowed([line("b"), line("a")], [line("c")])[1]
    assert found == {(0, "bot", "b", "a"): 1, (0, "bot", "a", "c"): 1, (0, "bot", "c", ""): 1}


def test_a_line_that_comes_after_the_wait_begins_anew():
    found = flowed([line("asked")], [], [], [], [], [], [line("answered", 6)])[1]
    assert found == {(0, "bot", "asked", ""): 1, (6, "bot", "answered", ""): 1}


def test_nothing_is_said_before_the_wait_is_over():
    tables = new_tables()
    flows = Flows(tables, wait_s=5.0)
    flows.add(said([line("asked"), line("answered", 1)], tables), 100.0)
    assert flows.close(104.9) == []
    assert flows_of(flows.close(105.0), tables).total() == 2
    assert flows.kept_bytes == 0


def test_numbers_in_a_line_make_no_new_flow():
    found = flowed([line("user 1 asked", trace=1), line("user 2 asked", trace=2)])[1]
    assert found == {(0, "bot", "user <n> asked", ""): 2}


def test_lines_without_a_span_have_no_flow():
    assert flowed([line("a", trace=0, span=0), line("b", span=0)])[1] == {}


def test_a_span_shared_by_two_services_has_a_flow_in_each():
    found = flowed([line("a"), line("x", 0.1, service="shop"), line("b", 0.2), line("y", 0.3, service="shop")])[1]
    assert {key[1:]: n for key, n in found.items()} == {
        ("bot", "a", "b"): 1, ("bot", "b", ""): 1, ("shop", "x", "y"): 1, ("shop", "y", ""): 1,
    }  # fmt: skip


def test_memory_is_bounded_by_letting_the_oldest_lines_go():
    groups = [[line(f"line {'x' * n}", second, span=second * 50 + n + 1) for n in range(50)] for second in range(4)]
    flows, found = flowed(*groups, limit_bytes=60 * 40)
    assert flows.evicted == 200 - 60
    assert found.total() == 60
    assert flows.kept_bytes == 0


class Life:
    """A collector's windows between two restarts, given every half second; it keeps what a consumer would."""

    def __init__(self, resume=None):
        tables = new_tables()
        self.windower = Windower("one", tables, Join(tables), Counters(), wait_s=1.0)
        self.resume, self.found = resume or Resume(), Counter()
        self.windower.resume(self.resume)

    def take(self, frame, now):
        self.keep(self.windower.take([frame], now))

    def refill(self, frame, now):
        self.windower.refill([frame], now)

    def give(self, now):
        self.keep(self.windower.give(now))

    def keep(self, given):
        for batch in given:
            if not self.resume.has(batch):
                self.resume = self.resume.after(batch)
                rows = batch.tables["flow"].to_pylist() if "flow" in batch.tables else []
                self.found += Counter({(r["ts"] - T0, r["template"], r["next"]): r["count"] for r in rows})


def frame(number, lines):
    parsed = parse(Signal.LOGS, payload(lines))
    return Taken(
        parsed, Place("1-a", number * 10, number * 10 + 10), 0, Frame(0.0, Signal.LOGS, parsed.trace_keys, b"")
    )


@pytest.mark.parametrize("dies_at", range(1, 17))
def test_every_line_counts_once_however_a_collector_dies(dies_at):
    """It dies between two batches; a new one takes up what its consumer lacks, in the time of the frames."""
    frames = [frame(number, [line("ask", number / 2), line("end", number / 2, span=9)]) for number in range(8)]
    moments = [T0 + step / 2 for step in range(17)]
    life = Life()
    for at, now in enumerate(moments[:dies_at]):
        if at < len(frames):
            life.take(frames[at], now)
        life.give(now)
    found, known = life.found, life.resume
    second = Life(known)
    for at, one in enumerate(frames):
        place = (one.place.segment, one.place.end)
        if place <= known.folded:
            second.refill(one, moments[at])
        else:
            second.take(one, moments[at])
            second.give(moments[at])
    for now in (T0 + 9, T0 + 30):
        second.give(now)
    assert (found + second.found).total() == 16
    assert (found + second.found)[3, "ask", ""] == 1
