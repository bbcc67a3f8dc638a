"""`otlp` receivers: where senders come in, over gRPC and HTTP."""

from typing import Final

from paramedic_collector.config.extensions import Bearer
from paramedic_collector.config.model import Cors, Receiver, Server, ServerTls
from paramedic_collector.config.settings import ELSEWHERE, Settings

_GRPC_MIB: Final = 4
_HTTP_BYTES: Final = 20 << 20
_TLS_MISSING: Final = (
    "ca_file", "ca_pem", "cert_pem", "key_pem", "include_system_ca_certs_pool", "min_version", "max_version",
    "cipher_suites", "curve_preferences", "reload_interval", "client_ca_file_reload", "tpm",
)  # fmt: skip
_GRPC_IGNORED: Final = (
    "keepalive",
    "max_concurrent_streams",
    "read_buffer_size",
    "write_buffer_size",
    "include_metadata",
)
_HTTP_IGNORED: Final = (
    "read_timeout", "read_header_timeout", "write_timeout", "idle_timeout", "keep_alives_enabled", "keepalive",
    "include_metadata",
)  # fmt: skip
_HTTP_MISSING: Final = (
    "traces_url_path", "metrics_url_path", "logs_url_path", "response_headers", "compression_algorithms", "middlewares",
)  # fmt: skip


def otlp(name: str, settings: Settings, bearers: dict[str, Bearer]) -> Receiver:
    settings.only("protocols")
    protocols = settings.inner("protocols")
    protocols.only("grpc", "http")
    if not protocols.values:
        settings.wrong("", "must specify at least one protocol when using the OTLP receiver")
    return Receiver(
        name,
        grpc=_grpc(protocols.inner("grpc"), bearers) if protocols.has("grpc") else None,
        http=_http(protocols.inner("http"), bearers) if protocols.has("http") else None,
    )


def _grpc(grpc: Settings, bearers: dict[str, Bearer]) -> Server | None:
    known = ("endpoint", "transport", "max_recv_msg_size_mib", "tls", "auth")
    grpc.only(*known, ignored=_GRPC_IGNORED, missing=("middlewares", "dialer"))
    _only_tcp(grpc)
    endpoint = grpc.endpoint("localhost:4317")
    limit = grpc.whole("max_recv_msg_size_mib", _GRPC_MIB) or _GRPC_MIB
    tls, tokens = _tls(grpc), _tokens(grpc, bearers)
    return Server(endpoint, limit << 20, tls, tokens) if endpoint else None


def _http(http: Settings, bearers: dict[str, Bearer]) -> Server | None:
    known = ("endpoint", "transport", "max_request_body_size", "cors", "tls", "auth")
    http.only(*known, ignored=_HTTP_IGNORED, missing=_HTTP_MISSING)
    _only_tcp(http)
    endpoint = http.endpoint("localhost:4318")
    limit = http.whole("max_request_body_size", _HTTP_BYTES) or _HTTP_BYTES
    tls, tokens, cors = _tls(http), _tokens(http, bearers), _cors(http)
    return Server(endpoint, limit, tls, tokens, cors) if endpoint else None


def _only_tcp(server: Settings) -> None:
    server.choice("transport", ("tcp", "tcp4", "tcp6"), "tcp")


def _tls(server: Settings) -> ServerTls | None:
    if server.get("tls") is None:
        return None
    tls = server.inner("tls")
    tls.only("cert_file", "key_file", "client_ca_file", missing=_TLS_MISSING)
    cert, key = tls.text("cert_file"), tls.text("key_file")
    if not cert or not key:
        tls.wrong("", "TLS configuration must include both certificate and key for server connections")
    return ServerTls(cert, key, tls.text("client_ca_file"))


def _tokens(server: Settings, bearers: dict[str, Bearer]) -> tuple[str, ...]:
    bearer = authenticator(server, bearers)
    if bearer is None:
        return ()
    if (bearer.header.lower(), bearer.scheme) != ("authorization", "Bearer"):
        server.wrong("auth", f"senders are asked for `authorization: Bearer ...` and nothing else here: {ELSEWHERE}")
    return bearer.tokens


def authenticator(settings: Settings, bearers: dict[str, Bearer]) -> Bearer | None:
    """The extension that `auth` names; None without one."""
    if settings.get("auth") is None:
        return None
    auth = settings.inner("auth")
    auth.only("authenticator", missing=("request_params",))
    name = auth.text("authenticator")
    if name not in bearers:
        auth.wrong("authenticator", f'failed to resolve authenticator "{name}": authenticator not found')
    return bearers.get(name)


def _cors(http: Settings) -> Cors | None:
    if http.get("cors") is None:
        return None
    cors = http.inner("cors")
    cors.only("allowed_origins", "allowed_headers", "max_age", missing=("exposed_headers",))
    origins = cors.texts("allowed_origins")
    headers, max_age_s = cors.texts("allowed_headers"), cors.whole("max_age")
    return Cors(origins, headers, max_age_s) if origins else None
