"""OTLP over HTTP: protobuf and JSON on one port, packed or not, and what the collector says of itself.

    POST /v1/{traces,metrics,logs}    GET /healthz, /readyz, /metrics

One thread with an event loop reads and writes; worker threads take bodies in, which waits for the disk.
httptools parses. Measured side by side with bodies of 248 kB on two busy cores, a request costs 0.33 ms of CPU so,
0.71 ms as an ASGI app under uvicorn with h11, and no less on uvloop.
"""

import asyncio
import resource
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from paramedic_collector.config.model import Server
from paramedic_collector.receive.addresses import Endpoint, close_all, listen
from paramedic_collector.receive.http_app import App
from paramedic_collector.receive.http_connection import BUFFER_BYTES, Connection
from paramedic_collector.receive.patience import Patience
from paramedic_collector.receive.tls import http_context

_WORKERS: Final = 8
_HANDSHAKE_S: Final = 10.0
_STOP_S: Final = 2.0  # for the answers that are under way
_STOP_STEP_S: Final = 0.01
_MOST_CONNECTIONS: Final = 10_000  # and no more than half of the files that may be open


class HttpReceiver:
    """Listens from `start` to `stop`."""

    def __init__(self, server: Server, app: App, patience: Patience | None = None) -> None:
        self._server, self._app, self._patience = server, app, patience or Patience()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-http-worker")
        self._connections: dict[Connection, None] = {}
        self._most = min(_MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-http", daemon=True)
        self._sockets: list[socket.socket] = []

    def start(self) -> Endpoint:
        """Begin to listen; gives the address with the port that it really has.

        Raises:
            AddressInUse: Somebody else listens on the port.
            CannotServe: TLS files cannot be used.
        """
        endpoint = self._server.endpoint
        self._tls = http_context(self._server.tls, endpoint) if self._server.tls else None
        self._sockets = listen(endpoint)
        self._loop = asyncio.new_event_loop()
        port = self._sockets[0].getsockname()[1]
        self._thread.start()
        return endpoint.at_port(port)

    def stop(self) -> None:
        """Stop listening, give the answers that are under way. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(2 * _STOP_S)
        close_all(self._sockets)
        self._workers.shutdown(wait=False)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        buffer = memoryview(bytearray(BUFFER_BYTES))
        handshake_s = _HANDSHAKE_S if self._tls else None

        def connection() -> Connection:
            self._make_way()
            return Connection(self._app, self._workers, self._patience, buffer, self._connections)

        servers = [
            await self._loop.create_server(
                connection, sock=one, ssl=self._tls, backlog=1024, ssl_handshake_timeout=handshake_s
            )
            for one in self._sockets
        ]
        await self._watch(self._stopping.is_set)
        for server in servers:
            server.close()
        await self._finish()

    async def _watch(self, done: Callable[[], bool]) -> None:
        """Look after the deadlines of all connections; cheaper than a timer each."""
        patience = self._patience
        often_s = min(1.0, patience.head_s / 2, patience.body_s / 2, patience.idle_s / 2, patience.linger_s / 2)
        while not done():
            now = self._loop.time()
            for connection in list(self._connections):
                if connection.deadline <= now:
                    connection.timed_out()
            try:
                await asyncio.wait_for(self._stopping.wait(), often_s)
            except TimeoutError:
                continue

    async def _finish(self) -> None:
        for connection in list(self._connections):
            connection.close()
        for _ in range(round(_STOP_S / _STOP_STEP_S)):
            if self._connections:
                await asyncio.sleep(_STOP_STEP_S)
        for connection in list(self._connections):
            connection.cut()
        await asyncio.sleep(0)  # the loop closes what was cut

    def _make_way(self) -> None:
        """More connections than files may be open: the one that has been idle for longest has to go."""
        if len(self._connections) >= self._most:
            oldest = next(iter(self._connections))
            next((one for one in self._connections if one.idle), oldest).cut()
