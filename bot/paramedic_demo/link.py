"""The way from the bots to the order backend: TCP, and what a network may do to it.

    bots --data port--> Link --> orders, or the version of it that was rolled out
                         ^ POST /_fault: delay, loss      PUT /_route: another port behind it

What is sent is forwarded as it comes. A request is struck as a whole, also on a connection that is kept open. When
nobody listens behind the link, it does not listen either, so that a dead backend refuses
connections as it would without.
``python -m paramedic_demo.link --port 9301 --data-port 9302 --to 9201``.
"""

import argparse
import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paramedic_demo.faults import LINK_KINDS, FaultSpec
from paramedic_demo.faults_server import FaultSwitch, control_routes, serve

HOST = "127.0.0.1"
CHUNK = 65536
JITTER = 0.2  # sigma of the lognormal around a delay
RETRANSMIT_S = (0.2, 1.0)  # TCP sends a lost packet again after these
LOOK_S = 0.1  # how often to look whether somebody listens again


class Broken(Exception):
    """A packet was lost once too often: the connection is given up."""


class Link:
    """Forwards connections of one port to another.

    Args:
        to: Port behind it.
        rng: Draws delays and losses.
    """

    def __init__(self, to: int, rng: random.Random) -> None:
        self.to, self.requests, self.broken = to, 0, 0
        self.switch, self._rng = FaultSwitch(LINK_KINDS, rng), rng
        self._server: asyncio.Server | None = None
        self._port = 0
        self._looking: asyncio.Task[None] | None = None

    async def listen(self, port: int) -> None:
        self._port = port
        self._server = await asyncio.start_server(self._carry, HOST, port)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a caller, from its first request to its end."""
        line = Line(self, reader, writer)
        try:
            await line.carry()
        except (OSError, Broken) as error:
            self.broken += isinstance(error, Broken)
            writer.transport.abort()  # a reset, not a polite goodbye
            if isinstance(error, ConnectionRefusedError):
                self._refuse()
        finally:
            line.close()

    def _refuse(self) -> None:
        """Listen no more until there is somebody behind the link."""
        if self._server is not None and (self._looking is None or self._looking.done()):
            self._server.close()
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self.to)
                writer.close()
                await self.listen(self._port)
                return
            await asyncio.sleep(LOOK_S)

    async def hold(self, fault: FaultSpec | None) -> None:
        """Let the time pass that a request needs on its way.

        Raises:
            Broken: It did not arrive.
        """
        self.requests += 1
        if fault is None:
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.number("delay_s") * self._rng.lognormvariate(0.0, JITTER))
            return
        share = fault.number("share")
        for wait_s in RETRANSMIT_S:
            if self._rng.random() >= share:
                return
            await asyncio.sleep(wait_s * self._rng.uniform(1.0, 1.3))
        if self._rng.random() < share:
            raise Broken


class Line:
    """One caller's connection, and the one behind it."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link, self._reader, self._writer = link, reader, writer
        self._to = 0  # port behind, once connected
        self._behind: asyncio.StreamWriter | None = None
        self._back: asyncio.Task[None] | None = None
        self._answered = True  # what was sent on was answered, or nothing was

    async def carry(self) -> None:
        """Until the caller leaves, or the one behind does."""
        while chunk := await self._reader.read(CHUNK):
            if self._answered:  # a request begins
                await self._link.hold(self._link.switch.strikes())
                await self._connect()
            self._answered = False
            assert self._behind is not None
            self._behind.write(chunk)
            await self._behind.drain()

    async def _connect(self) -> None:
        """To whom the link leads now; a kept connection to somebody else is let go."""
        if self._behind is not None and self._to == self._link.to:
            return
        self.close()
        self._to = self._link.to
        reader, self._behind = await asyncio.open_connection(HOST, self._to)
        self._back = asyncio.get_running_loop().create_task(self._bring_back(reader))

    async def _bring_back(self, reader: asyncio.StreamReader) -> None:
        """The answers; the end of the connection behind is the end of the caller's."""
        try:
            while chunk := await reader.read(CHUNK):
                self._answered = True
                self._writer.write(chunk)
                await self._writer.drain()
            self._writer.close()
        except OSError:
            self._writer.transport.abort()

    def close(self) -> None:
        if self._back is not None:
            self._back.cancel()
        if self._behind is not None:
            self._behind.close()


def link_app(link: Link, port: int) -> Starlette:
    """The control of a link, which listens on `port` while the app lives."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await link.listen(port)
        yield
        await link.close()

    async def route(request: Request) -> Response:
        """Lead to another port from the next request on."""
        link.to = int(json.loads(await request.body())["port"])
        return JSONResponse({"port": link.to})

    def stats() -> dict[str, int]:
        return {"requests": link.requests, "broken": link.broken, "port": link.to}

    return Starlette(
        routes=[Route("/_route", route, methods=["PUT"]), *control_routes(link.switch, stats)], lifespan=lifespan
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.link", description="The way to the orders.")
    parser.add_argument("--port", type=int, required=True, help="of its control")
    parser.add_argument("--data-port", type=int, required=True, help="on which it takes connections")
    parser.add_argument("--to", type=int, required=True, help="port to which it leads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    serve(link_app(Link(options.to, random.Random(options.seed)), options.data_port), options.port)


if __name__ == "__main__":
    main()
