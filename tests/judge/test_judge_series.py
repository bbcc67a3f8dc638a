"""The table of what happened: merging, reading, fading, surviving."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_rows import T0, batch, edge, op, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.slots import DURATION, LOWEST, Cell, bucket_of, error_cell, upper_edge_s
from paramedic_detector.series.table import SeriesTable


def test_partial_rows_of_one_second_add_up():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, 3, errors={"503": 1})], T0 - 2))
    table.add(batch([row(edge(), T0, 2, errors={"503": 1, "timeout": 1})], T0))
    totals = table.totals(edge(), T0, T0 + 1)
    assert (totals.count, totals.errors, totals.good) == (5, {"503": 2, "timeout": 1}, 2)


def test_a_row_that_is_late_goes_to_its_own_second():
    table = SeriesTable()
    table.add(batch([row(edge(), T0 + 9, 1)], T0 + 8))
    table.add(batch([row(edge(), T0 + 1, 4)], T0 + 8))
    assert table.totals(edge(), T0 + 1, T0 + 2).count == 4
    assert table.totals(edge(), T0 + 2, T0 + 10).count == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=20), st.randoms())
def test_the_order_of_arrival_does_not_matter(parts, random):
    shuffled = list(parts)
    random.shuffle(shuffled)
    tables = [SeriesTable(), SeriesTable()]
    for table, order in zip(tables, (parts, shuffled), strict=True):
        for second, count in order:
            table.add(batch([row(edge(), T0 + second, count)], T0 + 6))
    seen = [[table.totals(edge(), T0 + s, T0 + s + 1).count for s in range(6)] for table in tables]
    assert seen[0] == seen[1]
    assert sum(seen[0]) == sum(count for _, count in parts)


def test_a_star_sums_over_whatever_stands_there():
    table = SeriesTable()
    table.add(batch([row(edge(zone="a"), T0, 1), row(edge(zone="b"), T0, 2), row(edge(callee="orders"), T0, 40)], T0))
    assert table.totals(edge(zone="*"), T0, T0 + 1).count == 3
    assert table.totals(SeriesKey("edge", ("*", "*", "*")), T0, T0 + 1).count == 43
    table.add(batch([row(edge(zone="c"), T0, 4)], T0))
    assert table.totals(edge(zone="*"), T0, T0 + 1).count == 7, "a series that came later is found, too"


def test_refused_calls_are_apart_and_useless_ones_are_not_errors():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, 5, refused={"breaker": 2, "command": 7}, useless={"empty": 1})], T0))
    totals = table.totals(edge(), T0, T0 + 1)
    assert (totals.count, totals.failed, totals.bad, totals.good) == (5, 0, 1, 4)
    assert totals.refused == {"breaker": 2, "command": 7}


def test_levels_are_not_known_until_somebody_says_them():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, 5)], T0))
    assert table.totals(edge(), T0, T0 + 1).in_flight is None
    table.add(batch([row(edge(), T0 + 1, in_flight=3, oldest_s=2.5), row(edge(), T0 + 1, in_flight=-1)], T0 + 1))
    totals = table.totals(edge(), T0, T0 + 2)
    assert (totals.in_flight, totals.oldest_s) == (2, 2.5)


def test_nobody_in_flight_is_a_known_zero():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, in_flight=0, oldest_s=0.0)], T0))
    assert table.totals(edge(), T0, T0 + 1).in_flight == 0


def test_a_line_has_none_where_there_is_no_data():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, 4, errors={"503": 1}), row(edge(), T0 + 2, 2)], T0 + 2))
    assert table.line(edge(), "error_ratio", T0, T0 + 4) == [(T0, 0.25), (T0 + 1, None), (T0 + 2, 0.0), (T0 + 3, None)]
    assert table.line(edge(callee="nobody"), "calls_per_s", T0, T0 + 1) == [(T0, None)]


def test_a_line_has_at_most_the_points_asked_for():
    table = SeriesTable()
    table.add(batch([row(edge(), T0 + s, 2) for s in range(800)], T0 + 800))
    points = table.line(edge(), "calls_per_s", T0, T0 + 800, points=400)
    assert len(points) == 400
    assert {value for _, value in points} == {2.0}


def test_an_unknown_measure_names_those_there_are():
    with pytest.raises(ValueError, match=r"measure must be one of calls_per_s.*got 'speed'"):
        SeriesTable().line(edge(), "speed", T0, T0 + 1)


@given(st.floats(0.001, 200))
def test_a_quantile_is_at_most_a_bucket_off(seconds):
    assert seconds <= float(upper_edge_s(int(bucket_of(seconds)))) <= seconds * 2 ** (1 / 8) * 1.0001


def test_a_coarser_histogram_lands_in_the_middle_of_its_buckets():
    table = SeriesTable()
    coarse = {"scale": 0, "zero": 0, "sum": 3.0, "index": [0], "count": [2]}  # two values in (1, 2] s
    table.add(batch([row(edge(), T0, 2, duration=coarse)], T0))
    assert 1.0 < table.totals(edge(), T0, T0 + 1).quantile_s(0.5) <= 2.0


def test_error_types_fall_into_the_groups_that_diagnosis_weighs():
    groups = {
        "429": Cell.RATE_LIMITED, "RateLimitError": Cell.RATE_LIMITED, "401": Cell.AUTH, "503": Cell.SERVER_ERRORS,
        "timeout": Cell.TIMEOUTS, "ReadTimeout": Cell.TIMEOUTS, "ConnectError": Cell.CONNECTION,
        "RemoteProtocolError": Cell.CONNECTION, "ValueError": None, "404": None,
    }  # fmt: skip
    assert {name: error_cell(name) for name in groups} == groups


def test_the_slowest_collector_holds_the_watermark_until_it_is_stale():
    table = SeriesTable()
    table.add(batch([], T0 + 10, collector="one"))
    table.add(batch([], T0 + 7, collector="two"))
    assert table.watermark == T0 + 7
    table.add(batch([], T0 + 60, collector="one"))
    assert table.watermark == T0 + 60


def test_history_ends():
    table = SeriesTable(history_s=100)
    for s in range(300):
        table.add(batch([row(edge(), T0 + s, 1)], T0 + s))
    assert table.totals(edge(), T0, T0 + 300).count in range(99, 103)


def test_a_full_table_loses_resolution_and_no_calls():
    table = SeriesTable(history_s=600, capacity=300)
    for s in range(500):
        table.add(batch([row(edge(), T0 + s, 1)], T0 + s))
    assert table.totals(edge(), T0, T0 + 500).count == 500
    assert len(table.slots(T0, T0 + 500)) < 340
    assert table.line(edge(), "calls_per_s", T0 + 490, T0 + 500) == [(T0 + 490 + s, 1.0) for s in range(10)]


def test_old_seconds_are_kept_by_tens():
    table = SeriesTable(history_s=2000)
    for s in range(0, 1800, 60):
        table.add(batch([row(edge(), T0 + s + n, 1) for n in range(60)], T0 + s + 60))
    assert table.totals(edge(), T0, T0 + 1800).count == 1800
    assert [slot.span_s for slot in table.slots(T0 + 100, T0 + 130)] == [10, 10, 10]
    assert {slot.span_s for slot in table.slots(T0 + 1000, T0 + 1800)} == {1}
    table.add(batch([row(edge(), T0 + 105, 5)], T0 + 1800))
    assert table.totals(edge(), T0 + 100, T0 + 110).count == 15, "what comes very late still finds its place"


def test_a_reference_leaves_out_what_is_past():
    table = SeriesTable()
    rows = [row(edge(), T0 + s, 2, seconds=2.0 if 40 <= s < 50 else 0.1) for s in range(100)]
    table.add(batch([*rows, *(row(op("bot"), T0 + s, 1) for s in range(100))], T0 + 100))
    whole = table.reference(T0, T0 + 100)
    number = table.number(edge())
    assert (whole.seconds, whole.sums()[number, Cell.COUNT]) == (100, 200)
    less = table.reference(T0, T0 + 100, past=[(T0 + 39.5, T0 + 50), (T0 + 98, T0 + 500)])
    assert (less.seconds, less.sums()[number, Cell.COUNT]) == (87, 174)
    buckets = less.buckets([number, table.number(op("bot"))], DURATION)
    assert buckets.sum(axis=1).tolist() == [174, 87]
    assert np.flatnonzero(buckets[0]).tolist() == [int(bucket_of(0.1))]


def test_a_batch_of_many_seconds_can_be_lived_through_second_by_second():
    rows = [row(edge(), T0 + s, s + 1, errors={"503": 1}) for s in range(60)] + [row(op("bot"), T0 + 7, 3)]
    table, at_once = SeriesTable(), SeriesTable()
    whole = batch(rows, T0 + 60)
    at_once.add(whole)
    slots = table.read(whole)
    assert [slot.ts for slot in slots] == sorted(slot.ts for slot in slots)
    for second in range(60):
        for slot in [slot for slot in slots if slot.ts == T0 + second]:
            table.take(slot)
        table.advance(whole.collector, T0 + second + 1)
        assert table.totals(edge(), T0, T0 + 100).count == sum(range(1, second + 2))
    assert table.watermark == at_once.watermark
    assert np.array_equal(table.sums(T0, T0 + 60), at_once.sums(T0, T0 + 60))


def test_batches_that_were_decoded_together_give_what_each_gives_alone():
    def told(second):
        rows = [row(edge(), T0 + second, second + 1, errors={"503": 1}), row(edge(), T0 + second - 1, 2)]
        rows += [row(op("bot"), T0 + second, 3)] if second % 3 else []
        rows += [row(edge(callee="late"), T0 + second, 1)] if second >= 20 else []
        return replace(batch(rows, T0 + second + 1), sequence=second)

    batches = [told(second) for second in range(30)]
    alone, together = SeriesTable(), SeriesTable()
    for place, one in enumerate(batches):
        alone.add(one)
        if place in (2, 20):
            together.add(one)  # what is new is not known before its time
            assert together.read_ahead(batches[place + 1 :]) == (17 if place == 2 else 9)
            assert together.size == alone.size
        else:
            together.add(one)
        assert together.keys == alone.keys
        assert np.array_equal(together.sums(T0 - 1, T0 + 60), alone.sums(T0 - 1, T0 + 60))
    assert together.checkpoint() == alone.checkpoint()


def test_the_journal_tells_what_arrived_since_and_when_that_is_too_much():
    table = SeriesTable()
    assert table.arrivals(0) == ([], 0)
    table.add(batch([row(edge(), T0, 2), row(op("bot"), T0, 1)], T0))
    slots, place = table.arrivals(0)
    assert sum(slot.cells.amount[slot.cells.code == Cell.COUNT].sum() for slot in slots) == 3
    table.add(batch([row(edge(), T0 + 1, 2)], T0))
    later, place = table.arrivals(place)
    assert [slot.ts for slot in later] == [T0 + 1]
    for _ in range(5000):
        table.take(later[0])
    assert table.arrivals(place).slots is None


def test_too_many_series_are_counted_and_left_out():
    table = SeriesTable(most_series=3)
    table.add(batch([row(edge(callee=f"c{n}"), T0, 1) for n in range(5)], T0))
    assert (table.size, table.dropped_series) == (3, 2)


def test_a_checkpoint_brings_everything_back():
    table = SeriesTable()
    table.add(
        batch([row(edge(), T0 + s, 3, errors={"503": 1}, in_flight=2, oldest_s=1.0) for s in range(200)], T0 + 200)
    )
    table.add(batch([row(op("bot"), T0 + 7, 3)], T0 + 200))
    back = SeriesTable.restore(table.checkpoint())
    assert back.watermark == table.watermark
    for key in (edge(), op("bot"), edge(zone="*")):
        a, b = table.totals(key, T0, T0 + 200), back.totals(key, T0, T0 + 200)
        assert (a.count, a.errors, a.in_flight, a.oldest_s) == (b.count, b.errors, b.in_flight, b.oldest_s)
        assert np.array_equal(a.buckets, b.buckets)


def test_what_is_no_checkpoint_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="not a checkpoint of series"):
        SeriesTable.restore(b"garbage")


def test_rows_that_hold_no_histogram_and_no_lists_are_fine():
    table = SeriesTable()
    table.add(batch([row(edge(), T0, in_flight=1, oldest_s=0.5, errors=None, refused=None, useless=None)], T0))
    assert table.totals(edge(), T0, T0 + 1).count == 0


def test_buckets_cover_what_calls_take():
    assert float(upper_edge_s(0)) < 0.001
    assert LOWEST < 0
    assert float(upper_edge_s(167)) > 120
