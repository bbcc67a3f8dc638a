"""Merging windows: in any order, in any pieces, with the same result to the last bit."""

import random
from itertools import pairwise

import pyarrow as pa
import pytest
from collector_kit import T0, folded, naive_bucket, new_tables, random_spans
from hypothesis import given, settings
from hypothesis import strategies as st

from paramedic_collector.merge import merge, merge_all
from paramedic_collector.windows import SCHEMAS


def windows_of(spans, family="op"):
    return folded(family, spans, new_tables())


def rows(batch):
    return sorted((sorted(row.items(), key=lambda item: item[0]) for row in batch.to_pylist()), key=repr)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 60), max_size=5), family=st.sampled_from(["op", "edge"])
)
def test_however_spans_are_split_and_ordered_the_windows_are_the_same(seed, cuts, family):
    spans = random_spans(seed, 60)
    edges = [0, *sorted(cuts), 60]
    pieces = [windows_of(spans[a:b], family) for a, b in pairwise(edges) if b > a]
    random.Random(seed).shuffle(pieces)
    merged = merge_all(pieces)
    merged.validate(full=True)
    assert rows(merged) == rows(merge_all([windows_of(spans, family)]))


@settings(max_examples=12, deadline=None)
@given(seeds=st.tuples(*[st.integers(0, 10_000)] * 3))
def test_merging_is_associative_and_commutative(seeds):
    a, b, c = (windows_of(random_spans(seed, 25)) for seed in seeds)
    assert merge(merge(a, b), c).equals(merge(a, merge(b, c)))
    assert merge(a, b).equals(merge(b, a))


def callee(**values):
    blank = {"ts": T0, "callee": "aurora", "zone": "", "count": 1, "errors": [], "refused": [], "probes": 0,
             "probe_errors": 0, "useless": [], "duration": None, "exemplars": [], "in_flight": None,
             "oldest_s": None, "gap": None}  # fmt: skip
    return pa.RecordBatch.from_pylist([blank | values], schema=SCHEMAS["callee"])


def histogram(scale, buckets, total=1.0, zero=0):
    return {"scale": scale, "zero": zero, "sum": total, "index": list(buckets), "count": list(buckets.values())}


def test_a_finer_histogram_goes_down_to_the_coarser_scale():
    fine = callee(duration=histogram(3, {-9: 1, -8: 2, -1: 4, 0: 8, 15: 1}, 2.5, zero=1))
    coarse = callee(duration=histogram(1, {-3: 10, 3: 20}, 0.5))
    (row,) = merge(fine, coarse).to_pylist()
    assert row["duration"] == histogram(1, {-3: 11, -2: 2, -1: 4, 0: 8, 3: 21}, 3.0, zero=1)


@settings(max_examples=50, deadline=None)
@given(index=st.integers(-400, 400), fine=st.integers(0, 6), coarse=st.integers(-2, 6))
def test_shifting_keeps_a_value_in_a_bucket_that_holds_it(index, fine, coarse):
    """Compared with the bucket that the middle of the fine bucket has at the coarse scale."""
    fine, coarse = max(fine, coarse), min(fine, coarse)
    other = callee(duration=histogram(coarse, {100_000: 1}))
    (row,) = merge(callee(duration=histogram(fine, {index: 1})), other).to_pylist()
    middle = 2.0 ** ((index + 0.5) * 2.0**-fine)
    assert row["duration"]["index"][0] == naive_bucket(middle * 1_000_000_000, coarse)


def test_nothing_said_about_calls_in_flight_stays_unsaid():
    (row,) = merge(callee(), callee()).to_pylist()
    assert (row["in_flight"], row["oldest_s"], row["gap"]) == (None, None, None)


def test_calls_in_flight_add_up_and_the_oldest_is_the_oldest():
    (row,) = merge(merge(callee(in_flight=2, oldest_s=1.5), callee()), callee(in_flight=3, oldest_s=0.5)).to_pylist()
    assert (row["in_flight"], row["oldest_s"]) == (5, 1.5)


def test_counts_by_key_add_up_and_come_out_sorted():
    a = callee(errors=[{"key": "503", "count": 2}, {"key": "timeout", "count": 1}])
    b = callee(errors=[{"key": "429", "count": 5}, {"key": "503", "count": 1}])
    (row,) = merge(a, b).to_pylist()
    assert [(one["key"], one["count"]) for one in row["errors"]] == [("429", 5), ("503", 3), ("timeout", 1)]


def test_the_best_exemplars_survive_and_none_comes_twice():
    def shown(span, rank, duration):
        return {"trace_id": "ab" * 16, "span_id": f"{span:016x}", "rank": rank, "duration_s": duration, "note": ""}

    a = callee(exemplars=[shown(1, 2, 0.5), shown(2, 0, 9.0), shown(3, 0, 8.0), shown(4, 0, 7.0)])
    b = callee(exemplars=[shown(1, 2, 0.5), shown(5, 2, 0.6), shown(6, 1, 0.1), shown(7, 0, 8.5)])
    (row,) = merge(a, b).to_pylist()
    assert [int(one["span_id"], 16) for one in row["exemplars"]] == [5, 1, 6, 2]


def test_windows_of_different_families_are_refused():
    with pytest.raises(ValueError, match="one family"):
        merge(windows_of(random_spans(1, 20), "op"), windows_of(random_spans(1, 20), "edge"))
    with pytest.raises(ValueError, match="one family"):
        merge_all([])
