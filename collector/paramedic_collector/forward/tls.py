"""What makes sure of whom an exporter speaks to: the `tls` settings of an OTLP exporter."""

import ssl
from pathlib import Path

from paramedic_collector.config.model import ClientTls


class TlsError(ValueError):
    """A TLS setting that cannot work; the message names the exporter and the file."""


def ssl_context(exporter: str, tls: ClientTls) -> ssl.SSLContext:
    """For HTTPS.

    Raises:
        TlsError: A file cannot be read or is no PEM of its kind.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file or None)
    except OSError as error:  # an SSLError is one too
        files = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        raise TlsError(f"exporter {exporter}: tls: cannot use {files}: {error.strerror or error}") from None
    if tls.skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pem_files(exporter: str, tls: ClientTls) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Root certificates, private key and certificate chain, for gRPC; None where nothing was said.

    Raises:
        TlsError: A file cannot be read or is no PEM of its kind.
    """
    if tls.skip_verify:
        raise TlsError(
            f"exporter {exporter}: tls.insecure_skip_verify: gRPC verifies whom it speaks to; name the backend's "
            "certificate as tls.ca_file, or send with otlp_http"
        )
    ssl_context(exporter, tls)  # gRPC takes any bytes and fails at each call
    root, key, cert = (Path(name).read_bytes() if name else None for name in (tls.ca_file, tls.key_file, tls.cert_file))
    return root, key, cert
