"""What the OpenTelemetry SDK exports, instrument by instrument, becomes windows."""

import math
import random
import time

import pytest
from collector_kit import NANO, new_tables
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from paramedic_collector.decode import parse
from paramedic_collector.metrics import MetricFold, points_of
from paramedic_collector.otlp import Signal
from paramedic_collector.parts import whole

DELTA, CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE
INSTRUMENTS = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter)


class Bot:
    """A process with a MeterProvider, and one collector's memory of what it exports."""

    def __init__(self, temporality=CUMULATIVE, *, fold=None, views=(), **resource):
        self.reader = InMemoryMetricReader(preferred_temporality=dict.fromkeys(INSTRUMENTS, temporality))
        resource = {"service.name": "support-bot", "service.instance.id": "bot-1", **resource}
        self.provider = MeterProvider([self.reader], Resource(resource), views=views)
        self.meter = self.provider.get_meter("tests", "1.0")
        self.fold = fold or MetricFold(new_tables())

    def export(self):
        """The rows of the gauge family, by metric."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        message = parse(Signal.METRICS, encode_metrics(data).SerializeToString()).message
        parts = [one for one in self.fold.fold(points_of([message]), time.time()) if one.family == "gauge"]
        found = {}
        for row in whole(parts, self.fold.tables).to_pylist() if parts else []:
            assert row["metric"] not in found, "one export says one thing of a series"
            found[row["metric"]] = row
        return found

    def sums(self):
        return {metric: row["sum"] for metric, row in self.export().items()}


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
@pytest.mark.parametrize("step", [3, 0.25])
def test_a_counter_gives_what_was_added_since_the_last_export(temporality, step):
    bot = Bot(temporality)
    jobs = bot.meter.create_counter("jobs")
    jobs.add(4 * step, {"queue": "a"})
    assert bot.sums() == {"jobs": 4 * step}  # a bot that has just started: all of it is news
    jobs.add(step, {"queue": "a"})
    jobs.add(2 * step, {"queue": "b"})  # a stream that was not there before
    assert bot.sums() == {"jobs": 3 * step}
    assert bot.sums().get("jobs", 0) == 0


def test_an_up_down_counter_gives_its_level():
    bot = Bot()
    connections = bot.meter.create_up_down_counter("connections")
    levels = []
    for change in (5, -2, -4):
        connections.add(change)
        levels += bot.sums().values()
    assert levels == [5, 3, -1]


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_observable_instruments_are_read_by_their_kind(temporality):
    total = iter([10, 16])
    bot = Bot(temporality)
    bot.meter.create_observable_counter("handled", [lambda _options: [Observation(next(total))]])
    bot.meter.create_observable_gauge("queue.depth", [lambda _options: [Observation(7, {"q": "a"}), Observation(2.5)]])
    first, second = bot.export(), bot.export()
    assert [first["handled"]["sum"], second["handled"]["sum"]] == [10, 6]
    depth = second["queue.depth"]
    assert (depth["count"], depth["sum"], depth["min"], depth["max"]) == (2, 9.5, 2.5, 7)
    assert depth["distribution"] is None


def histogram_bot(temporality, exponential, unit="s", **options):
    views = []
    if exponential:
        views = [View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation(**options))]
    bot = Bot(temporality, views=views)
    return bot, bot.meter.create_histogram("wait", unit=unit)


@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_a_histogram_gives_count_sum_and_the_shape_of_what_is_new(temporality, exponential):
    bot, wait = histogram_bot(temporality, exponential)
    for value in (3.0, 4.0, 0.0):
        wait.record(value)
    bot.export()
    for value in (30.0, 40.0, 40.0):
        wait.record(value, {"zone": "b"} if value == 30.0 else {})
    found = bot.export()
    assert {metric: row["sum"] for metric, row in found.items()} == {"wait.count": 3, "wait.sum": 110.0}
    shape = found["wait.count"]["distribution"]
    assert (shape["zero"], sum(shape["count"]), shape["sum"]) == (0, 3, 110.0)
    low, high = (2 ** (index / 8) for index in (shape["index"][0], shape["index"][-1] + 1))
    assert 25 <= low < high <= 50  # the explicit bounds are 25 and 50
    assert found["wait.sum"]["distribution"] is None


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_an_exponential_histogram_loses_nothing_but_scale(temporality):
    """The oracle puts each value into its bucket of the windows' own scale."""
    dice = random.Random(5)
    bot, wait = histogram_bot(temporality, True, max_size=160, max_scale=20)
    bot.export()
    for spread in (0.1, 6.0, 3.0):  # from narrow, at a fine scale, to wide: the stream coarsens on its way
        values = [math.exp(dice.gauss(0, spread)) for _ in range(200)]
        for value in values:
            wait.record(value)
        shape = bot.export()["wait.count"]["distribution"]
        expected = {}
        for value in values:
            index = math.ceil(math.log2(value) * 2.0 ** shape["scale"]) - 1
            expected[index] = expected.get(index, 0) + 1
        assert dict(zip(shape["index"], shape["count"], strict=True)) == expected


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
@pytest.mark.parametrize("exponential", [False, True])
def test_times_become_seconds_by_their_unit(unit, factor, exponential):
    bot, wait = histogram_bot(CUMULATIVE, exponential, unit)
    bot.meter.create_gauge("age", unit=unit).set(2 * factor)
    for _ in range(4):
        wait.record(0.75 * factor)
    found = bot.export()
    assert found["wait.sum"]["sum"] == pytest.approx(3.0)
    assert found["age"]["sum"] == pytest.approx(2.0)
    shape = found["wait.count"]["distribution"]
    assert (shape["sum"], sum(shape["count"])) == (pytest.approx(3.0), 4)
    if exponential:
        assert shape["index"] == [math.ceil(math.log2(0.75) * 2 ** shape["scale"]) - 1]


def test_bytes_and_requests_keep_their_unit():
    bot = Bot()
    bot.meter.create_gauge("size", unit="By").set(1000)
    bot.meter.create_gauge("open", unit="{request}").set(4)
    assert bot.sums() == {"size": 1000, "open": 4}


def test_a_restarted_bot_counts_from_zero_again():
    first = Bot()
    first.meter.create_counter("jobs").add(100)
    assert first.sums() == {"jobs": 100}
    second = Bot(fold=first.fold)
    second.meter.create_counter("jobs").add(120)  # more than before: only its start time tells
    assert second.sums() == {"jobs": 120}


def test_two_processes_of_one_name_do_not_look_like_restarts():
    first = Bot(process=1)
    second = Bot(process=2, fold=first.fold)
    counters = [bot.meter.create_counter("jobs") for bot in (first, second)]
    counters[0].add(1000)
    counters[1].add(10)
    assert [first.sums(), second.sums()] == [{"jobs": 1000}, {"jobs": 10}]
    for counter in counters:
        counter.add(1)
    assert [first.sums(), second.sums()] == [{"jobs": 1}, {"jobs": 1}]


def test_totals_that_the_system_kept_before_the_bot_lived_are_no_news():
    seconds = iter([86_400.0, 86_401.5])
    bot = Bot()
    bot.meter.create_observable_counter("process.cpu.time", [lambda _options: [Observation(next(seconds))]], unit="s")
    assert [bot.sums(), bot.sums()] == [{}, {"process.cpu.time": 1.5}]


def test_points_lie_in_the_second_in_which_they_were_taken():
    bot = Bot()
    bot.meter.create_gauge("depth").set(1)
    before = time.time_ns() // NANO
    (row,) = bot.export().values()
    assert before <= row["ts"] <= time.time_ns() // NANO
    assert (row["service"], row["instance"]) == ("support-bot", "bot-1")
