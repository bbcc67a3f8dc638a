"""Ports for servers of this machine that will be killed and come back.

They lie outside of the range from which the kernel takes the ports of outgoing connections. Inside of it, a server that
is down for twenty seconds can find its port taken by some client, and a client that calls a server which is down can
be connected to itself.
"""

import random
import socket
from pathlib import Path

LOWEST, HIGHEST = 10240, 65535
LINUX_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_RANGE = (32768, 65535)  # of the outgoing ports, where the kernel does not say


def outgoing_range(file: Path = LINUX_RANGE) -> tuple[int, int]:
    """First and last port that the kernel gives to outgoing connections."""
    try:
        first, last = file.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return USUAL_RANGE


def free_ports(count: int, rng: random.Random | None = None, outgoing: tuple[int, int] | None = None) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens now.

    Raises:
        OSError: There are not that many.
    """
    first, last = outgoing or outgoing_range()
    candidates = [port for port in range(LOWEST, HIGHEST + 1) if not first <= port <= last]
    (rng or random.SystemRandom()).shuffle(candidates)  # two demos at once shall not meet
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"127.0.0.1 has only {len(found)} free ports outside of {first} to {last}, {count} are needed")
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
