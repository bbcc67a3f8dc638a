"""Which spans, log records and metrics an `include` or `exclude` means: every property that is given must match.

Match(services=["bot"], span_names=["chat"]).matches(signal, resource, scope, item)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from paramedic_collector.otlp import Signal
from paramedic_collector.process.values import find, plain, text_of

Test = Callable[[str], bool]
KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
PROPERTIES: Final = {  # what may be asked of each signal
    Signal.TRACES: ("services", "span_names", "span_kinds", "attributes", "resources"),
    Signal.METRICS: ("metric_names", "resources"),
    Signal.LOGS: ("log_bodies", "log_severity_texts", "attributes", "resources"),
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that must be there; `test` is None when any value will do."""

    key: str
    test: Callable[[Any], bool] | None = None  # of the plain value


@dataclass(frozen=True, slots=True)
class Match:
    """What must be true of an item; an empty property asks nothing.

    Args:
        texts: By property, the tests of which one must hold.
    """

    texts: dict[str, tuple[Test, ...]]
    attributes: tuple[Attribute, ...] = ()  # all of them
    resources: tuple[Attribute, ...] = ()  # all of them

    def asks(self) -> set[str]:
        """The properties that it looks at."""
        named = {name for name in ("attributes", "resources") if getattr(self, name)}
        return named | {name for name, tests in self.texts.items() if tests}

    def matches(self, signal: Signal, resource: Any, item: Any) -> bool:
        for name, tests in self.texts.items():
            text = _TEXTS[name](resource, item)
            if tests and not any(test(text) for test in tests):
                return False
        if not _all_there(self.resources, resource.attributes):
            return False
        return signal is Signal.METRICS or _all_there(self.attributes, item.attributes)


def strict(wanted: Any) -> Callable[[Any], bool]:
    """Equal, and of the same type: 1 is not true."""
    return lambda held: type(held) is type(wanted) and held == wanted


def _all_there(wanted: Iterable[Attribute], attributes: Any) -> bool:
    for one in wanted:
        value = find(attributes, one.key)
        if value is None or (one.test is not None and not one.test(plain(value))):
            return False
    return True


def _service(resource: Any, _: Any) -> str:
    value = find(resource.attributes, "service.name")
    return "" if value is None else text_of(plain(value))


_TEXTS: Final[dict[str, Callable[[Any, Any], str]]] = {
    "services": _service,
    "span_names": lambda _, span: str(span.name),
    "span_kinds": lambda _, span: f"SPAN_KIND_{KINDS[span.kind]}" if span.kind < len(KINDS) else "",
    "metric_names": lambda _, metric: str(metric.name),
    "log_bodies": lambda _, log: str(log.body.string_value),
    "log_severity_texts": lambda _, log: str(log.severity_text),
}
