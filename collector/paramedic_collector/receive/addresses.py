"""Where receivers listen: `host:port`, and one clear sentence when they cannot."""

import errno
import socket
from dataclasses import dataclass, replace


class CannotServe(Exception):
    """A receiver cannot begin; the message says why, and where to change it."""


class AddressInUse(CannotServe):
    """A receiver cannot listen; the message names the port, and where to change it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What `endpoint:` of a receiver says.

    Args:
        setting: Where a user changes it, for messages.
    """

    host: str
    port: int  # 0 for any free one
    setting: str = "endpoint"

    def at_port(self, port: int) -> "Endpoint":
        return replace(self, port=port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, setting: str) -> Endpoint:
    """From "localhost:4317", "[::1]:4317" or ":4317".

    Raises:
        ValueError: The text is no such address.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535 or "/" in text:
        raise ValueError(f"must be host:port with a port from 0 to 65535, got {text!r}")
    return Endpoint(host.strip("[]") or "0.0.0.0", int(port), setting)


def listen(endpoint: Endpoint) -> list[socket.socket]:
    """Listening sockets on every address of the host (localhost is 127.0.0.1 and ::1), all on one port.

    Raises:
        AddressInUse: The port is taken on one of them, or the host is not ours.
    """
    sockets: list[socket.socket] = []
    port = endpoint.port
    for family, address in _resolve(endpoint):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind((address, port))
            one.listen(1024)
        except OSError as error:
            one.close()
            if sockets and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # no IPv6 here
            close_all(sockets)
            raise cannot_listen(endpoint, error) from None
        sockets.append(one)
        port = one.getsockname()[1]
    return sockets


def close_all(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def cannot_listen(endpoint: Endpoint, error: OSError) -> AddressInUse:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"port {endpoint.port} on {endpoint.host} is in use by another process: "
            f"stop that, or choose another port with {endpoint.setting}"
        )
    reason = error.strerror or str(error)
    return AddressInUse(f"cannot listen on {endpoint} ({reason}): choose another address with {endpoint.setting}")


def _resolve(endpoint: Endpoint) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise cannot_listen(endpoint, error) from None
    unique = dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)
    return sorted(unique, key=lambda one: one[0] != socket.AF_INET)  # IPv4 first: its port is what we print
