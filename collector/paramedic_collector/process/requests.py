"""What is inside an OTLP request, whatever its signal.

    request: resource groups > scope groups > items (spans, metrics, log records) > parts (span events, data points)

Functions here know the names of the fields and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from paramedic_collector.otlp import Signal

_FIELDS: Final = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def resource_groups(signal: Signal, request: Any) -> Any:
    """The ResourceSpans, ResourceMetrics or ResourceLogs."""
    return getattr(request, _FIELDS[signal][0])


def scope_groups(signal: Signal, resource_group: Any) -> Any:
    return getattr(resource_group, _FIELDS[signal][1])


def items_of(signal: Signal, scope_group: Any) -> Any:
    """The spans, metrics or log records."""
    return getattr(scope_group, _FIELDS[signal][2])


def walk(signal: Signal, request: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Each item with its resource and its scope."""
    for resource_group in resource_groups(signal, request):
        for scope_group in scope_groups(signal, resource_group):
            for item in items_of(signal, scope_group):
                yield resource_group.resource, scope_group.scope, item


def points_of(metric: Any) -> Any:
    """The data points of a metric of any kind."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def carriers(signal: Signal, item: Any) -> Iterable[Any]:
    """What carries the attributes of an item: itself, or the points of a metric."""
    return points_of(item) if signal is Signal.METRICS else (item,)


def keep(repeated: Any, wanted: Callable[[Any], bool]) -> None:
    """Take out of a repeated field what is not wanted; the order stays."""
    unwanted = [place for place, one in enumerate(repeated) if not wanted(one)]
    if len(unwanted) == len(repeated):
        del repeated[:]
    for place in reversed(unwanted if len(repeated) else ()):
        del repeated[place]


def prune(signal: Signal, request: Any) -> bool:
    """Take out groups in which nothing is left; gives whether anything is left at all."""
    for resource_group in resource_groups(signal, request):
        keep(scope_groups(signal, resource_group), lambda group: bool(items_of(signal, group)))
    keep(resource_groups(signal, request), lambda group: bool(scope_groups(signal, group)))
    return bool(resource_groups(signal, request))
