"""The receivers a configuration asks for: "grpc" and "http" of the first `otlp`, then "NAME grpc" ..., and "health"."""

from typing import Final, Protocol

from paramedic_collector.config.model import CollectorConfig, Server
from paramedic_collector.counters import Counters
from paramedic_collector.intake import Intake
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.receive.grpc import GrpcReceiver
from paramedic_collector.receive.http import HttpReceiver
from paramedic_collector.receive.http_app import App, Page
from paramedic_collector.receive.room import Room

_HEALTH_BYTES: Final = 1 << 16


class Receiver(Protocol):
    def start(self) -> Endpoint:
        """Begin to listen; gives the address with the port that it really has."""
        ...

    def stop(self) -> None: ...


def least_room(config: CollectorConfig) -> int:
    """Bytes of requests on their way in that must fit: two of the largest, or one of them packed and unpacked."""
    servers = [server for one in config.receivers for server in (one.grpc, one.http) if server is not None]
    return 2 * max((server.limit_bytes for server in servers), default=1)


def receivers_of(
    config: CollectorConfig, intake: Intake, pages: dict[str, Page], health: Page, room: Room, counters: Counters
) -> dict[str, Receiver]:
    """Not yet started.

    Args:
        pages: What GET shows on the HTTP ports, by path.
        health: What `health_check` shows on its own port, if there is one.
        room: For requests on their way in, of all of them together.
    """
    found = dict[str, Receiver]()
    counters.gauge("paramedic_receiver_bytes", "Bytes of requests on their way in.", lambda: room.taken_bytes)
    for one in config.receivers:
        prefix = f"{one.name} " if "grpc" in found or "http" in found else ""
        if one.grpc is not None:
            found[f"{prefix}grpc"] = GrpcReceiver(one.grpc, intake, room, counters)
        if one.http is not None:
            app = App(one.http, intake, pages, room, counters)
            found[f"{prefix}http"] = HttpReceiver(one.http, app)
    if config.health is not None:
        server = Server(config.health, _HEALTH_BYTES)
        app = App(server, None, {config.health_path: health}, room, counters)
        found["health"] = HttpReceiver(server, app)
    return found
