"""A room behind a real server, for tests of the API over a socket."""

import socket
import threading

import httpx
import uvicorn
from desk_parts import MASTER, Room

from paramedic.contract.keys import operator_token
from paramedic_detector.api.app import create_app
from paramedic_detector.api.backend import Backend

OPERATOR = {"Authorization": f"Bearer {operator_token(MASTER)}"}


class Served:
    """A room behind a real server."""

    def __init__(self, room: Room) -> None:
        self.room = room
        backend = Backend(room.store, room.parts.vitals, room.hub, room.desk, room.clock, room.engine.health)
        config = uvicorn.Config(create_app(backend, MASTER), log_level="warning", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=OPERATOR, timeout=20)

    def close(self) -> None:
        self.client.close()
        self.room.hub.close()
        self._server.should_exit = True
        self._thread.join(10)

    def get(self, path: str, **keywords: object) -> httpx.Response:
        return self.client.get(path, **keywords)

    def post(self, path: str, body: object, **keywords: object) -> httpx.Response:
        return self.client.post(path, json=body, **keywords)
