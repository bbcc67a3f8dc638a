"""Addresses on this machine: which are free, and what to say when one is not."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from paramedic_cli.errors import UserError


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address that a part of the platform listens on."""

    what: str  # "the API"
    address: str  # "localhost:8600"
    flag: str  # "--api"
    variable: str  # "PARAMEDIC_API"


def host_and_port(address: str) -> tuple[str, int]:
    """Split "localhost:8600" or "[::1]:8600".

    Raises:
        ValueError: No host, or a port that is not between 0 and 65535.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"an address is HOST:PORT, like localhost:8600, got {address!r}")
    return host.strip("[]"), int(port)


def is_free(address: str) -> bool:
    """Whether one could listen there now."""
    host, port = host_and_port(address)
    if port == 0:
        return True
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_free(addresses: Iterable[Wanted]) -> None:
    """Find out before anything starts.

    Raises:
        UserError: One sentence for each address that is taken or is none.
    """
    wrong = []
    for wanted in addresses:
        cure = f"choose another with {wanted.flag} or {wanted.variable}"
        try:
            if not is_free(wanted.address):
                wrong.append(f"{wanted.what} cannot listen on {wanted.address}: the port is in use; free it, or {cure}")
        except ValueError as error:
            wrong.append(f"{wanted.what}: {error}; {cure}")
        except socket.gaierror:
            wrong.append(f"{wanted.what} cannot listen on {wanted.address}: no such host here; {cure}")
    if wrong:
        raise UserError(*wrong)
