"""Metrics made by hand, and a collector's memory of them that gives its windows as plain rows."""

from collector_kit import NANO, T0, batches, new_tables, pairs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from paramedic_collector.counters import Counters
from paramedic_collector.metrics import MetricFold, points_of
from paramedic_collector.parts import whole

TEMPORALITY = {"delta": 1, "cumulative": 2, "updown": 2}


def _where(second, attributes, start):
    times = {"time_unix_nano": int((T0 + second) * NANO), "start_time_unix_nano": 0}
    if start is not None:
        times["start_time_unix_nano"] = int((T0 + start) * NANO)
    return times | {"attributes": pairs(attributes or {})}


def number(name, kind, value, second=0, attributes=None, *, start=None, unit="", flags=0):
    """A gauge, or a sum: "delta", "cumulative" or "updown". Seconds are counted from T0."""
    metric = Metric(name=name, unit=unit)
    data = metric.gauge if kind == "gauge" else metric.sum
    said = {} if value is None else {"as_int" if isinstance(value, int) else "as_double": value}
    data.data_points.add(**said, **_where(second, attributes, start), flags=flags)
    if kind != "gauge":
        data.aggregation_temporality, data.is_monotonic = TEMPORALITY[kind], kind != "updown"
    return metric


def histogram(name, counts, bounds, second=0, attributes=None, *, kind="delta", start=None, unit="s", **more):
    """Explicit bounds; `sum` and `count` are made up from the buckets unless they are given."""
    metric = Metric(name=name, unit=unit)
    metric.histogram.aggregation_temporality = TEMPORALITY[kind]
    values = {"count": sum(counts), "sum": float(sum(counts))} | more
    buckets = {"bucket_counts": counts, "explicit_bounds": bounds}
    metric.histogram.data_points.add(**buckets, **values, **_where(second, attributes, start))
    return metric


def exponential(name, counts, second=0, attributes=None, *, offset=0, scale=3, kind="delta", start=None, **more):
    metric = Metric(name=name, unit="s")
    metric.exponential_histogram.aggregation_temporality = TEMPORALITY[kind]
    values = {"count": sum(counts) + more.get("zero_count", 0), "sum": 1.0} | more
    point = metric.exponential_histogram.data_points.add(scale=scale, **values, **_where(second, attributes, start))
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    return metric


def summary(name, count, total, quantiles, second=0, *, unit="s"):
    metric = Metric(name=name, unit=unit)
    point = metric.summary.data_points.add(count=count, sum=total, **_where(second, {}, None))
    for quantile, value in quantiles.items():
        point.quantile_values.add(quantile=quantile, value=value)
    return metric


def message(*metrics, scope="tests", instance="bot-1", service="support-bot", **resource):
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add()
    named = {"service.name": service} if service is not None else {}
    of.resource.attributes.extend(pairs(named | {"service.instance.id": instance} | resource))
    where = of.scope_metrics.add()
    where.scope.name = scope
    where.metrics.extend(metrics)
    return request


class Folded:
    """One collector's memory of metrics; gives rows as dicts."""

    def __init__(self):
        self.counters, self.tables = Counters(), new_tables()
        self.fold = MetricFold(self.tables, self.counters)

    def __call__(self, *messages, family="gauge", now=T0):
        parts = [one for one in self.fold.fold(points_of(messages), now) if one.family == family]
        return whole(parts, self.tables).to_pylist() if parts else []

    def batches(self, *messages):
        """Record batches of all families."""
        return batches(self.fold.fold(points_of(messages), T0), self.tables)

    def sums(self, *metrics, **options):
        """Of metrics of one message: what each series grew by, or its level."""
        return {row["metric"]: row["sum"] for row in self(message(*metrics, **options))}
