"""What an OTTL condition may read: the paths of each context.

A scene holds, by the name of its context, each message around the one that is looked at:
{"resource": Resource, "scope": InstrumentationScope, "span": Span, "spanevent": Span.Event}
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from paramedic_collector.otlp import Signal
from paramedic_collector.process.requests import points_of
from paramedic_collector.process.values import find, plain, text_of

Scene = Mapping[str, Any]

LEVELS: Final = {  # of a signal, the outermost first
    Signal.TRACES: ("resource", "scope", "span", "spanevent"),
    Signal.METRICS: ("resource", "scope", "metric", "datapoint"),
    Signal.LOGS: ("resource", "scope", "log"),
}
ALIASES: Final = {"instrumentation_scope": "scope"}

_KINDS: Final = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_METRIC_TYPES: Final = {None: 0, "gauge": 1, "sum": 2, "histogram": 3, "exponential_histogram": 4, "summary": 5}
_SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

ENUMS: Final[dict[str, int]] = (
    {f"SPAN_KIND_{name.upper()}": number for number, name in enumerate(_KINDS)}
    | {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "SEVERITY_NUMBER_UNSPECIFIED": 0}
    | {
        f"SEVERITY_NUMBER_{name}{step or ''}": 1 + 4 * place + max(step - 1, 0)
        for place, name in enumerate(_SEVERITIES)
        for step in (0, 2, 3, 4)
    }
    | {f"METRIC_DATA_TYPE_{(name or 'none').upper()}": number for name, number in _METRIC_TYPES.items()}
    | {
        "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
        "AGGREGATION_TEMPORALITY_DELTA": 1,
        "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
    }
)


def _same(*names: str) -> dict[str, Callable[[Any], Any]]:
    def reader(name: str) -> Callable[[Any], Any]:
        return lambda message: getattr(message, name)

    return {name: reader(name) for name in names}


def _id(name: str) -> dict[str, Callable[[Any], Any]]:
    return {f"{name}.string": lambda message: getattr(message, name).hex()}


def _of_data(name: str, missing: Any) -> dict[str, Callable[[Any], Any]]:
    def read(metric: Any) -> Any:
        kind = metric.WhichOneof("data")
        return getattr(getattr(metric, kind), name, missing) if kind else missing

    return {name: read}


def _number(kind: str) -> Callable[[Any], Any]:
    return lambda point: getattr(point, kind) if getattr(point, "as_int", None) is not None else None


FIELDS: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "resource": _same("dropped_attributes_count"),
    "scope": _same("name", "version", "dropped_attributes_count"),
    "span": {
        **_same("name", "kind", "trace_state", "start_time_unix_nano", "end_time_unix_nano", "flags"),
        **_same("dropped_attributes_count", "dropped_events_count", "dropped_links_count"),
        **_id("trace_id"),
        **_id("span_id"),
        **_id("parent_span_id"),
        "kind.string": lambda span: _KINDS[span.kind] if span.kind < len(_KINDS) else "",
        "status.code": lambda span: span.status.code,
        "status.message": lambda span: span.status.message,
    },
    "spanevent": _same("name", "time_unix_nano", "dropped_attributes_count"),
    "metric": {
        **_same("name", "description", "unit"),
        "type": lambda metric: _METRIC_TYPES[metric.WhichOneof("data")],
        **_of_data("aggregation_temporality", 0),
        **_of_data("is_monotonic", False),
    },
    "datapoint": {
        **_same("start_time_unix_nano", "time_unix_nano", "flags"),
        "value_int": _number("as_int"),
        "value_double": _number("as_double"),
        "count": lambda point: getattr(point, "count", None),
        "sum": lambda point: getattr(point, "sum", None),
    },
    "log": {
        **_same("time_unix_nano", "observed_time_unix_nano", "severity_number", "severity_text", "event_name"),
        **_same("flags", "dropped_attributes_count"),
        **_id("trace_id"),
        **_id("span_id"),
        "body": lambda log: plain(log.body),
        "body.string": lambda log: text_of(plain(log.body)),
    },
}


def attribute(message: Any, key: str) -> Any:
    """The plain value of an attribute; None when it is not there."""
    value = find(message.attributes, key)
    return None if value is None else plain(value)


def all_attributes(message: Any) -> dict[str, Any]:
    return {one.key: plain(one.value) for one in message.attributes}


def point_has(metric: Any, key: str, held: Any = None) -> bool:
    """Whether any point of a metric has that attribute, with that value if one is given."""
    values = [attribute(point, key) for point in points_of(metric)]
    return any(value is not None and (held is None or value == held) for value in values)
