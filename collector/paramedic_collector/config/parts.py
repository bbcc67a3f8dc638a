"""The components of `otel-config.yaml` that the embedded collector has, and what each may be told.

COMPONENTS[section][type] -> reader(settings) -> what the configuration needs of it
"""

import re
from collections.abc import Callable
from typing import Any, Final

from paramedic_collector.config.model import Receiver, Server
from paramedic_collector.receive.addresses import Endpoint, parse_endpoint

SECTIONS: Final = ("receivers", "processors", "exporters", "connectors", "extensions")
HAND_OFF: Final = "paramedic"  # the name that makes an otlp exporter the in-process hand-off
ELSEWHERE: Final = "run this file with the OpenTelemetry Collector in front of `paramedic collector`"
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|0")


class Settings:
    """The settings of one component; what is wrong goes into `mistakes`, with the place where it stands."""

    def __init__(self, where: str, values: Any, mistakes: list[str]) -> None:
        self.where, self.mistakes = where, mistakes
        if values is not None and not isinstance(values, dict):
            self.wrong("", f"expected a map, got {values!r}")
        self.values: dict[Any, Any] = values if isinstance(values, dict) else {}

    def wrong(self, key: str, message: str) -> None:
        self.mistakes.append(f"{self.where}::{key}: {message}" if key else f"{self.where}: {message}")

    def only(self, *keys: str) -> None:
        """Refuse keys that are not known: a misspelt one would be ignored in silence."""
        for key in self.values:
            if key not in keys:
                self.wrong("", f'unknown key "{key}" (valid values: [{" ".join(keys)}])')

    def inner(self, key: str) -> "Settings":
        return Settings(f"{self.where}::{key}", self.values.get(key), self.mistakes)

    def whole(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.wrong(key, f"must be a whole number of at least 0, got {value!r}")
            return default
        return value

    def duration(self, key: str) -> str:
        value = self.values.get(key, "0")
        text = str(value)
        if not _DURATION.fullmatch(text):
            self.wrong(key, f"must be a duration like 200ms or 1s, got {value!r}")
        return text

    def endpoint(self, default: str) -> Endpoint | None:
        value = self.values.get("endpoint", default)
        setting = f"{self.where.replace('::', '.')}.endpoint in otel-config.yaml"
        try:
            return parse_endpoint(str(value), setting)
        except ValueError as error:
            self.wrong("endpoint", str(error))
            return None


def read_component(section: str, name: str, kind: str, values: Any, mistakes: list[str]) -> Any:
    """What the configuration needs of one component."""
    return COMPONENTS[section][kind](name, Settings(f"{section}::{name}", values, mistakes))


def _otlp_receiver(name: str, settings: Settings) -> Receiver:
    settings.only("protocols")
    protocols = settings.inner("protocols")
    protocols.only("grpc", "http")
    if not protocols.values:
        settings.wrong("", "must specify at least one protocol when using the OTLP receiver")
    grpc, http = protocols.inner("grpc"), protocols.inner("http")
    grpc.only("endpoint", "max_recv_msg_size_mib")
    http.only("endpoint", "max_request_body_size")
    grpc_limit = (grpc.whole("max_recv_msg_size_mib", 4) or 4) << 20
    http_limit = http.whole("max_request_body_size", 20 << 20) or 20 << 20
    at_grpc = grpc.endpoint("localhost:4317") if "grpc" in protocols.values else None
    at_http = http.endpoint("localhost:4318") if "http" in protocols.values else None
    return Receiver(
        name,
        grpc=Server(at_grpc, grpc_limit) if at_grpc else None,
        http=Server(at_http, http_limit) if at_http else None,
    )


def _memory_limiter(_name: str, settings: Settings) -> int:
    """Bytes; 0 when nothing was said."""
    settings.only("check_interval", "limit_mib", "spike_limit_mib")
    if settings.duration("check_interval") in ("0", "0s"):
        settings.wrong("", "'check_interval' must be greater than zero")
    limit, spike = settings.whole("limit_mib", 0), settings.whole("spike_limit_mib", 0)
    if not limit:
        settings.wrong("", "'limit_mib' must be greater than zero")
    elif spike >= limit:
        settings.wrong("", "'spike_limit_mib' must be smaller than 'limit_mib'")
    return limit << 20


def _batch(_name: str, settings: Settings) -> int:
    """Accepted for the sake of the other engine; nothing here needs it."""
    settings.only("timeout", "send_batch_size", "send_batch_max_size")
    settings.duration("timeout")
    size, largest = settings.whole("send_batch_size", 8192), settings.whole("send_batch_max_size", 0)
    if largest and largest < size:
        settings.wrong("", "send_batch_max_size must be greater or equal to send_batch_size")
    return 0


def _otlp_exporter(name: str, settings: Settings) -> None:
    """The hand-off; its address is for the other engine."""
    if name.partition("/")[2] != HAND_OFF:
        settings.wrong(
            "",
            f'the collector inside paramedic forwards to nobody yet: it has "otlp/{HAND_OFF}", its own hand-off, '
            f'and "debug"; {ELSEWHERE}',
        )
        return
    settings.only("endpoint", "tls", "compression", "timeout", "retry_on_failure", "sending_queue", "headers")
    if "endpoint" in settings.values and settings.values["endpoint"] is not None:
        settings.endpoint("")


def _debug_exporter(_name: str, settings: Settings) -> None:
    settings.only("verbosity", "sampling_initial", "sampling_thereafter", "use_internal_logger", "output_paths")
    verbosity = settings.values.get("verbosity", "basic")
    if verbosity not in ("basic", "normal", "detailed"):
        settings.wrong("verbosity", f"must be basic, normal or detailed, got {verbosity!r}")


COMPONENTS: Final[dict[str, dict[str, Callable[[str, Settings], Any]]]] = {
    "receivers": {"otlp": _otlp_receiver},
    "processors": {"memory_limiter": _memory_limiter, "batch": _batch},
    "exporters": {"otlp": _otlp_exporter, "otlp_grpc": _otlp_exporter, "debug": _debug_exporter},
    "connectors": {},
    "extensions": {},
}
