"""What `init` was told: by its arguments, else by the environment, else nothing.

A mistake is a warning and the default is used: a bot never fails to start because of its telemetry.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from paramedic.contract.credentials import Platform, find_platform
from paramedic.policy.shedding import check_criticality

log = logging.getLogger("paramedic")

HTTP, GRPC = "http/protobuf", "grpc"
_PORTS = {HTTP: 4318, GRPC: 4317}
_SIGNALS = ("", "TRACES_", "METRICS_", "LOGS_")
_SWITCHED = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process records and whom it listens to."""

    service: str
    version: str
    zone: str
    criticality: str  # class of its calls when nobody says otherwise; empty when it has none
    platform: Platform | None
    disabled: bool  # OTEL_SDK_DISABLED: no telemetry
    protocol: str  # HTTP or GRPC
    endpoint: str | None  # base address that paramedic adds; None: as OTEL_EXPORTER_OTLP_* say
    address: str  # of the collector, for people
    spans_to: str  # "otlp", "console" or "none"
    metrics_to: str
    events_to: str
    timeout_s: float  # of one export
    spans_each_ms: float
    counters_each_ms: float
    events_each_ms: float
    redacts: bool  # what is private is taken out before anything is sent
    exception_messages: bool  # the text of exceptions may be sent
    opt_in: str  # OTEL_SEMCONV_STABILITY_OPT_IN


def read_settings(service: str | None, version: str | None, zone: str | None, env: Mapping[str, str]) -> Settings:
    """Arguments before environment, environment before defaults."""
    told = _resource_attributes(env)
    service = service or env.get("OTEL_SERVICE_NAME") or told.get("service.name") or env.get("PARAMEDIC_SERVICE") or ""
    if not service:
        log.warning("paramedic.init() was given no service name; set service= or OTEL_SERVICE_NAME")
        service = "unknown_service"
    platform = _platform(service, env)
    protocol = _protocol(env)
    endpoint = _endpoint(platform, protocol, env)
    told_where = {signal: env.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT") for signal in _SIGNALS}
    exports = {signal: bool(endpoint or told_where[""] or told_where[signal]) for signal in _SIGNALS}
    return Settings(
        service=service,
        version=version or told.get("service.version", ""),
        zone=zone or told.get("cloud.availability_zone", ""),
        criticality=_criticality(told.get("service.criticality", "")),
        platform=platform,
        disabled=env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        protocol=protocol,
        endpoint=endpoint,
        address=endpoint or next(filter(None, told_where.values()), f"localhost:{_PORTS[protocol]}"),
        spans_to=_exporter("OTEL_TRACES_EXPORTER", exports["TRACES_"], env),
        metrics_to=_exporter("OTEL_METRICS_EXPORTER", exports["METRICS_"], env),
        events_to=_exporter("OTEL_LOGS_EXPORTER", exports["LOGS_"], env),
        timeout_s=_number("OTEL_EXPORTER_OTLP_TIMEOUT", 2.0, env),
        spans_each_ms=_number("OTEL_BSP_SCHEDULE_DELAY", 1000.0, env),
        counters_each_ms=_number("OTEL_METRIC_EXPORT_INTERVAL", 5000.0, env),
        events_each_ms=_number("OTEL_BLRP_SCHEDULE_DELAY", 1000.0, env),
        redacts=_switch("PARAMEDIC_REDACT", True, env),
        exception_messages=_switch("PARAMEDIC_EXCEPTION_MESSAGES", False, env),
        opt_in=env.get("OTEL_SEMCONV_STABILITY_OPT_IN", ""),
    )


def _criticality(told: str) -> str:
    try:
        return check_criticality("the service, service.criticality of OTEL_RESOURCE_ATTRIBUTES,", told)
    except ValueError as error:
        log.warning("%s; it is ignored", error)
        return ""


def _platform(service: str, env: Mapping[str, str]) -> Platform | None:
    try:
        platform = find_platform(service, env)
    except ValueError as error:
        log.warning("%s; this bot runs without its platform", error)
        return None
    if platform is not None and urlsplit(platform.url).scheme not in ("http", "https"):
        log.warning(
            "PARAMEDIC_URL must begin with http:// or https://, got %r; this bot runs without its platform",
            platform.url,
        )
        return None
    return platform


def _protocol(env: Mapping[str, str]) -> str:
    """OTLP over HTTP by default: it starts faster than gRPC, brings no threads of its own and survives a fork."""
    protocol = env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or HTTP
    if protocol not in _PORTS:
        log.warning("OTEL_EXPORTER_OTLP_PROTOCOL must be %s or %s, got %r; %s is used", HTTP, GRPC, protocol, HTTP)
        return HTTP
    return protocol


def _endpoint(platform: Platform | None, protocol: str, env: Mapping[str, str]) -> str | None:
    """Where the platform of this bot listens; None when OTEL_EXPORTER_OTLP_* says it, or nobody does."""
    if env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or platform is None:
        return None
    named = env.get("PARAMEDIC_OTLP_HTTP" if protocol == HTTP else "PARAMEDIC_OTLP_GRPC")
    host = urlsplit(platform.url).hostname or "localhost"
    return f"http://{named}" if named else f"http://{host}:{_PORTS[protocol]}"


def _exporter(name: str, exports: bool, env: Mapping[str, str]) -> str:
    told = [part.strip().lower() for part in env.get(name, "").split(",") if part.strip()]
    unknown = [part for part in told if part not in ("otlp", "console", "none")]
    if unknown:
        log.warning("%s must be otlp, console or none, got %r; it is ignored", name, ",".join(unknown))
    known = [part for part in told if part not in unknown]
    return known[0] if known else "otlp" if exports else "none"


def _resource_attributes(env: Mapping[str, str]) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",") if "=" in part)
    return {name.strip(): value.strip() for name, value in pairs}


def _number(name: str, default: float, env: Mapping[str, str]) -> float:
    told = env.get(name)
    if not told:
        return default
    try:
        value = float(told)
    except ValueError:
        value = 0.0
    if not value > 0:
        log.warning("%s must be a number above 0, got %r; %s is used", name, told, default)
        return default
    return value


def _switch(name: str, default: bool, env: Mapping[str, str]) -> bool:
    told = env.get(name, "").strip().lower()
    if told and told not in _SWITCHED:
        log.warning("%s must be on or off, got %r; %s is used", name, env[name], "on" if default else "off")
    return _SWITCHED.get(told, default)
