"""TLS of a receiver, from the files that its configuration names."""

import ssl
from pathlib import Path
from typing import Final

import grpc

from paramedic_collector.config.model import ServerTls
from paramedic_collector.receive.addresses import CannotServe, Endpoint

_SETTINGS: Final = ("cert_file", "key_file", "client_ca_file")


def http_context(tls: ServerTls, endpoint: Endpoint) -> ssl.SSLContext:
    """For HTTP.

    Raises:
        CannotServe: A file is missing or is no certificate or key; the message names it and its setting.
    """
    _read(tls, endpoint)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
        if tls.client_ca_file:
            context.load_verify_locations(tls.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        files = ", ".join(filter(None, (tls.cert_file, tls.key_file, tls.client_ca_file)))
        why = f"TLS on {endpoint} cannot be used with {files} ({error.reason or error})"
        raise CannotServe(f"{why}: {_cure(endpoint)}") from None
    return context


def grpc_credentials(tls: ServerTls, endpoint: Endpoint) -> grpc.ServerCredentials:
    """For gRPC.

    Raises:
        CannotServe: As above.
    """
    http_context(tls, endpoint)  # gRPC takes any bytes and fails at the first handshake, without a word
    cert, key, client_ca = _read(tls, endpoint)
    return grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=client_ca or None, require_client_auth=bool(client_ca)
    )


def _read(tls: ServerTls, endpoint: Endpoint) -> tuple[bytes, ...]:
    found = []
    for setting in _SETTINGS:
        name = getattr(tls, setting)
        try:
            found.append(Path(name).read_bytes() if name else b"")
        except OSError as error:
            raise CannotServe(f"tls.{setting} {name!r} cannot be read ({error.strerror}): {_cure(endpoint)}") from None
    return tuple(found)


def _cure(endpoint: Endpoint) -> str:
    return f"change tls beside {endpoint.setting}"
