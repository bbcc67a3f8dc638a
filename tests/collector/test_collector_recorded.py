"""Recorded spans and metrics as windows: compared with counting them one by one, and with themselves in other steps."""

import pytest
from recorded_kit import (
    NANO,
    merged,
    naive_counts,
    naive_gaps,
    naive_self_times,
    random_traces,
    recorded,
    windows,
)


def histogram(value):
    return (round(value["sum"] * NANO), value["zero"] + sum(value["count"]))


@pytest.fixture(scope="module", params=[1, 2])
def traces(request, tmp_path_factory):
    spans = random_traces(request.param)
    return spans, recorded(tmp_path_factory.mktemp("set"), spans=spans)


def test_calls_and_errors_are_those_of_counting_one_by_one(traces):
    spans, found = traces
    counted = {
        (ts, service, operation, kind): (row["count"], sum(one["count"] for one in row["errors"]))
        for (ts, service, operation, kind, *_), row in windows(found.batches(), "op").items()
    }
    assert counted == naive_counts(spans)


def test_self_times_are_those_of_an_independent_reading(traces):
    spans, found = traces
    rows = windows(found.batches(), "op")
    assert {key[:4]: histogram(row["self_time"]) for key, row in rows.items()} == naive_self_times(spans)


def test_gaps_are_those_of_an_independent_reading(traces):
    spans, found = traces
    rows = windows(found.batches(), "edge")
    assert {key[:3]: histogram(row["gap"]) for key, row in rows.items() if row["gap"]} == naive_gaps(spans)


@pytest.mark.parametrize("every_s", [2, 7, 30, 60, 600])
def test_the_length_of_a_batch_changes_nothing_that_is_counted(traces, every_s):
    _, found = traces
    by_second, longer = list(found.batches()), list(found.batches(every_s=every_s))
    for family in ("op", "edge", "callee"):
        assert merged(by_second, family).equals(merged(longer, family))
    assert longer[0].watermark - by_second[0].watermark == every_s - 1
