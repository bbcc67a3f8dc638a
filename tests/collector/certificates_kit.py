"""Certificates for tests of TLS, made by the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: an authority, and what it signed for a server on localhost and for a client."""

    ca: str
    cert: str
    key: str
    client_cert: str
    client_key: str


def make_certificates(folder: Path) -> Certificates:
    """New ones, by the openssl command."""
    ca, server, client = (folder / name for name in ("ca", "server", "client"))
    _openssl("req", "-x509", *_new_key(ca), "-out", f"{ca}.pem", "-days", "2", "-subj", "/CN=paramedic tests")
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for path in (server, client):
        _openssl("req", "-new", *_new_key(path), "-out", f"{path}.csr", "-subj", f"/CN={path.name}")
        signed_by = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-extfile", str(names))
        _openssl("x509", "-req", "-in", f"{path}.csr", "-out", f"{path}.pem", "-days", "2", *signed_by)
    return Certificates(f"{ca}.pem", f"{server}.pem", f"{server}.key", f"{client}.pem", f"{client}.key")


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{path}.key")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
