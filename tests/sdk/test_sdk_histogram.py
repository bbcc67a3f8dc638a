"""Our histogram beside the one of the OpenTelemetry SDK, fed with the same values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Histogram as HistogramKind
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from paramedic.telemetry.histogram import MOST_BUCKETS, Histogram, index_of

durations = st.floats(1e-7, 1e7)
values = st.lists(st.one_of(durations, st.just(0.0), st.integers(0, 10**6)), min_size=1, max_size=60)


def of_the_sdk(values):
    """What OpenTelemetry makes of them."""
    reader = InMemoryMetricReader(
        preferred_temporality={HistogramKind: AggregationTemporality.DELTA},
        preferred_aggregation={HistogramKind: ExponentialBucketHistogramAggregation()},
    )
    recorded = MeterProvider([reader], shutdown_on_exit=False).get_meter("test").create_histogram("wait")
    for value in values:
        recorded.record(value)
    return reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]


def filled(buckets):
    return {buckets.offset + at: count for at, count in enumerate(buckets.bucket_counts) if count}


def of(values, batch=7):
    ours = Histogram()
    for at in range(0, len(values), batch):
        ours.add(values[at : at + batch])
    return ours


@given(values, st.integers(1, 60))
def test_it_is_the_histogram_of_the_sdk(values, batch):
    ours, theirs = of(values, batch), of_the_sdk(values)
    assert (ours.count, ours.least, ours.most, ours.zero) == (theirs.count, theirs.min, theirs.max, theirs.zero_count)
    assert ours.sum == pytest.approx(theirs.sum, rel=1e-12)
    assert ours.scale == theirs.scale
    assert ours.buckets == filled(theirs.positive)


@given(st.lists(st.floats(5e-324, 1.7e308), min_size=1, max_size=40))
def test_whatever_the_range_it_keeps_every_value_in_few_buckets(values):
    ours = of(values)
    offset, counts = ours.dense()
    assert len(counts) <= MOST_BUCKETS
    assert sum(counts) == len(values)
    assert {offset + at: count for at, count in enumerate(counts) if count} == ours.buckets
    assert offset in ours.buckets
    assert offset + len(counts) - 1 in ours.buckets


@pytest.mark.parametrize(("apart", "scale"), [(MOST_BUCKETS - 1, 20), (MOST_BUCKETS, 19), (2 * MOST_BUCKETS, 18)])
def test_it_gets_coarser_when_the_buckets_do_not_fit_and_not_before(apart, scale):
    """The oracle is the SDK again: two values that lie so many of the finest buckets apart."""
    values = [2.0 ** ((bucket + 0.5) / 2**20) for bucket in (0, apart)]
    assert of(values, batch=1).scale == of_the_sdk(values).scale == scale


@given(st.lists(durations, min_size=1, max_size=40), st.randoms())
def test_neither_order_nor_batches_matter(values, dice):
    mixed = list(values)
    dice.shuffle(mixed)
    one, other = of(values, batch=len(values)), of(mixed, batch=3)
    assert (one.scale, one.buckets) == (other.scale, other.buckets)


@pytest.mark.parametrize("exponent", [-20, -1, 0, 1, 13])
def test_the_upper_end_of_a_bucket_belongs_to_it(exponent):
    end = 2.0**exponent
    assert index_of(end) + 1 == index_of(math.nextafter(end, math.inf)) or index_of(end * 1.000001) == index_of(end) + 2
    assert index_of(end) == (exponent << 20) - 1


def test_one_value_has_the_finest_scale_and_only_zeros_have_none():
    assert of([0.3]).scale == 20
    only_zeros = of([0.0, 0.0])
    assert (only_zeros.scale, only_zeros.dense(), only_zeros.zero, only_zeros.most) == (0, (0, []), 2, 0.0)
