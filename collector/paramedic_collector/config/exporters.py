"""Exporters: OTLP over gRPC or HTTP to the team's own backend, `file`, `debug`, and the hand-off to paramedic."""

import re
from typing import Final
from urllib.parse import urlsplit

from paramedic_collector.config.extensions import Bearer
from paramedic_collector.config.model import ClientTls, DebugExporter, FileExporter, OtlpExporter, Retry
from paramedic_collector.config.receivers import authenticator
from paramedic_collector.config.settings import ELSEWHERE, Settings
from paramedic_collector.otlp import Signal

_QUEUE_BYTES: Final = 256 << 20
_COMMON: Final = ("endpoint", "tls", "headers", "auth", "compression", "timeout", "retry_on_failure", "sending_queue")
_GRPC_IGNORED: Final = (
    "keepalive", "read_buffer_size", "write_buffer_size", "wait_for_ready", "balancer_name", "user_agent",
)  # fmt: skip
_HTTP_IGNORED: Final = (
    "read_buffer_size", "write_buffer_size", "max_idle_conns", "max_idle_conns_per_host", "max_conns_per_host",
    "idle_conn_timeout", "disable_keep_alives", "keepalive", "http2_read_idle_timeout", "http2_ping_timeout",
    "force_attempt_http2", "profiles_endpoint",
)  # fmt: skip
_HTTP_MISSING: Final = ("proxy_url", "cookies", "middlewares", "compression_params")
_TLS_MISSING: Final = (
    "ca_pem", "cert_pem", "key_pem", "include_system_ca_certs_pool", "min_version", "max_version", "cipher_suites",
    "curve_preferences", "reload_interval", "server_name_override", "tpm",
)  # fmt: skip
_HEADER: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COMPRESSIONS: Final = ("gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4", "none", "")


def otlp_grpc(name: str, settings: Settings, bearers: dict[str, Bearer]) -> OtlpExporter:
    found = _otlp_grpc(name, settings, bearers)
    if found.tls.skip_verify and not found.tls.insecure:
        settings.inner("tls").wrong(
            "insecure_skip_verify",
            "gRPC verifies whom it speaks to: name the backend's certificate as ca_file, or send with otlp_http",
        )
    return found


def _otlp_grpc(name: str, settings: Settings, bearers: dict[str, Bearer]) -> OtlpExporter:
    settings.only(*_COMMON, ignored=_GRPC_IGNORED, missing=("authority", "middlewares"))
    endpoint = settings.text("endpoint")
    target = re.sub(r"^https?://", "", endpoint)
    if not target:
        settings.wrong("", 'requires a non-empty "endpoint"')
    elif not target.startswith(("unix:", "dns:")) and not target.rpartition(":")[2].isdigit():
        settings.wrong("endpoint", f"must be host:port, got {endpoint!r}")
    return OtlpExporter(
        name,
        "grpc",
        target,
        headers=_headers(settings, bearers),
        compression=_compression(settings, ("gzip", "none")),
        tls=_tls(settings, plain=not endpoint.startswith("https://")),
        timeout_s=_timeout(settings, 5.0),
        retry=_retry(settings.inner("retry_on_failure")),
        queue_bytes=_queue(settings),
    )


def otlp_http(name: str, settings: Settings, bearers: dict[str, Bearer]) -> OtlpExporter:
    own = tuple(f"{signal}_endpoint" for signal in Signal)
    settings.only(*_COMMON, *own, "encoding", ignored=_HTTP_IGNORED, missing=_HTTP_MISSING)
    base = _url(settings, "endpoint")
    urls = {signal: url for signal in Signal if (url := _url(settings, f"{signal}_endpoint"))}
    if not base and not urls:
        settings.wrong("", "at least one endpoint must be specified")
    if settings.choice("encoding", ("proto", "json"), "proto") == "json":
        settings.wrong("encoding", f"the collector inside paramedic sends proto, not json: {ELSEWHERE}")
    return OtlpExporter(
        name,
        "http",
        base.rstrip("/"),
        urls,
        headers=_headers(settings, bearers),
        compression=_compression(settings, ("gzip", "zstd", "none")),
        tls=_tls(settings, plain=base.startswith("http://")),
        timeout_s=_timeout(settings, 30.0),
        retry=_retry(settings.inner("retry_on_failure")),
        queue_bytes=_queue(settings),
    )


def hand_off(settings: Settings, bearers: dict[str, Bearer]) -> None:
    """Checked like any other, since the other engine sends there; its endpoint alone may be missing."""
    before = len(settings.mistakes)
    _otlp_grpc("", settings, bearers)
    if settings.get("endpoint") is None:
        needless = f'{settings.where}: requires a non-empty "endpoint"'
        settings.mistakes[before:] = [one for one in settings.mistakes[before:] if one != needless]


def file(name: str, settings: Settings) -> FileExporter:
    missing = ("encoding", "compression_params", "group_by", "directory_permissions")
    known = ("path", "format", "compression", "rotation", "append", "create_directory")
    settings.only(*known, ignored=("flush_interval",), missing=missing)
    path, rotation = settings.text("path"), settings.inner("rotation")
    if not path:
        settings.wrong("", "path must be non-empty")
    if settings.truth("append") and settings.get("rotation") is not None:
        settings.wrong("", "append and rotation enabled at the same time is not supported")
    if settings.text("format", "json") not in ("json", "proto"):
        settings.wrong("format", "format type is not supported")
    if settings.text("compression") not in ("", "zstd"):
        settings.wrong("compression", "compression is not supported")
    rotation.only("max_megabytes", "max_backups", missing=("max_days", "localtime"))
    megabytes, backups = rotation.whole("max_megabytes", 100), rotation.whole("max_backups", 100)
    rotate_bytes = (megabytes or 100) << 20 if settings.has("rotation") else 0
    settings.truth("create_directory")
    return FileExporter(
        name, path, settings.text("format", "json"), settings.text("compression"), rotate_bytes, backups or 100
    )


def debug(name: str, settings: Settings) -> DebugExporter:
    ignored = ("sampling_initial", "sampling_thereafter", "use_internal_logger", "output_paths", "sending_queue")
    settings.only("verbosity", ignored=ignored)
    verbosity = settings.text("verbosity", "basic")
    if verbosity.lower() not in ("basic", "normal", "detailed"):
        settings.wrong("", f'verbosity level "{verbosity}" is not supported')
    return DebugExporter(name, verbosity.lower())


def _url(settings: Settings, key: str) -> str:
    url = settings.text(key)
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        settings.wrong(key, f"must be an http:// or https:// URL, got {url!r}")
    return url


def _headers(settings: Settings, bearers: dict[str, Bearer]) -> tuple[tuple[str, str], ...]:
    """Of a map, or of a list of {name, value}; values are secrets and are never shown."""
    given = settings.values.get("headers")
    found: dict[str, str] = {}
    if isinstance(given, list):
        for one in settings.maps("headers"):
            one.only("name", "value")
            if one.text("name") in found:
                settings.wrong("headers", f"duplicate keys in map-style list: [{one.text('name')}]")
            found[one.text("name")] = one.text("value")
    else:
        inner = settings.inner("headers")
        found = {str(name): inner.text(str(name)) for name in inner.values}
    for name, value in found.items():
        if not _HEADER.fullmatch(name) or any(ord(letter) < 32 for letter in value):
            settings.wrong("headers", f"{name!r} is no header that can be sent")
    bearer = authenticator(settings, bearers)
    if bearer is not None and bearer.tokens:
        found[bearer.header] = f"{bearer.scheme} {bearer.tokens[0]}".strip()
    return tuple(found.items())


def _compression(settings: Settings, have: tuple[str, ...]) -> str:
    text = settings.text("compression", "gzip")
    if text not in _COMPRESSIONS:
        settings.wrong("compression", f'unsupported compression type "{text}"')
    elif (text or "none") not in have:
        settings.wrong("compression", f"the collector inside paramedic has {', '.join(have)}, not {text}: {ELSEWHERE}")
    return text or "none"


def _tls(settings: Settings, *, plain: bool) -> ClientTls:
    """`plain`: whether the address allows plain text, which `insecure` then asks for."""
    tls = settings.inner("tls")
    tls.only("insecure", "insecure_skip_verify", "ca_file", "cert_file", "key_file", missing=_TLS_MISSING)
    cert, key = tls.text("cert_file"), tls.text("key_file")
    if bool(cert) != bool(key):
        tls.wrong("", "TLS configuration must include both certificate and key (CertFile/CertPem and KeyFile/KeyPem)")
    ca_file, insecure = tls.text("ca_file"), tls.truth("insecure")
    return ClientTls(insecure and plain and not ca_file, tls.truth("insecure_skip_verify"), ca_file, cert, key)


def _timeout(settings: Settings, default: float) -> float:
    found = settings.seconds("timeout", default)
    if found < 0:
        settings.wrong("timeout", "'timeout' must be non-negative")
    return found


def _retry(retry: Settings) -> Retry:
    retry.only("enabled", "initial_interval", "randomization_factor", "multiplier", "max_interval", "max_elapsed_time")
    names = ("initial_interval", "max_interval", "max_elapsed_time")
    seconds = [retry.seconds(name, default) for name, default in zip(names, (5.0, 30.0, 300.0), strict=True)]
    for name, value in zip(names, seconds, strict=True):
        if value < 0:
            retry.wrong("", f"'{name}' must be non-negative")
    initial_s, most_s, give_up_s = seconds
    randomization, multiplier = retry.number("randomization_factor", 0.5), retry.number("multiplier", 1.5)
    if not 0 <= randomization <= 1:
        retry.wrong("", "'randomization_factor' must be within [0, 1]")
    if multiplier < 0:
        retry.wrong("", "'multiplier' must be non-negative")
    if 0 < give_up_s < initial_s:
        retry.wrong("", "'max_elapsed_time' must not be less than 'initial_interval'")
    elif 0 < give_up_s < most_s:
        retry.wrong("", "'max_elapsed_time' must not be less than 'max_interval'")
    return Retry(retry.truth("enabled", True), initial_s, randomization, multiplier, most_s, give_up_s)


def _queue(settings: Settings) -> int:
    """Bytes on disk; a queue that is counted in requests or items has no size there and gets the default."""
    queue = settings.inner("sending_queue")
    ignored = ("num_consumers", "block_on_overflow", "wait_for_result", "batch")
    queue.only("enabled", "sizer", "queue_size", ignored=ignored, missing=("storage",))
    queue.truth("enabled", True)
    for key in ("num_consumers", "queue_size"):
        if queue.whole(key, 1) == 0:
            queue.wrong("", f"`{key}` must be positive")
    in_bytes = queue.choice("sizer", ("requests", "items", "bytes"), "requests") == "bytes"
    size = queue.whole("queue_size", _QUEUE_BYTES if in_bytes else 1000)
    return size if in_bytes and size else _QUEUE_BYTES
