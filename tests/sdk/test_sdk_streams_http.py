"""Streams of a real HTTP client from a real server that breaks off or hangs."""

import asyncio
import contextlib
import gc

import httpx
import pytest

from paramedic import Guard
from paramedic.policy.retry import Retry
from paramedic.streams.generators import StreamCut
from paramedic.testing import no_wait

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Server:
    """Answers each request with the next script: chunks, then an end, a hang or a broken connection."""

    def __init__(self, *scripts):
        self.scripts, self.keys, self.left = list(scripts), [], asyncio.Event()

    async def answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.keys += [line.split(": ")[1] for line in head.split("\r\n") if line.startswith("idempotency-key")]
        *chunks, end = self.scripts.pop(0)
        writer.write(HEAD)
        for chunk in chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if end == "end":
            writer.write(END)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            if end == "hang":
                await reader.read()  # until the client has closed
                self.left.set()
            writer.close()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_):
        self.server.close()


async def read(url):
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("POST", url, headers=Guard.headers()) as response,
    ):
        async for text in response.aiter_text():
            yield text


async def taken(stream):
    return [chunk async for chunk in stream]


def test_a_server_that_falls_silent_is_left_and_the_stream_cut():
    guard = Guard("llm", first_token_s=30, idle_s=0.05)

    async def main():
        async with Server((b"hello ", "hang")) as server:
            stream = guard(read)(server.url)
            assert await anext(stream) == "hello "
            with pytest.raises(StreamCut) as cut:
                await asyncio.create_task(anext(stream))
            assert isinstance(cut.value.__cause__, TimeoutError)
            await server.left.wait()

    asyncio.run(main())
    assert (guard.counts, guard.in_flight()[0]) == ({"failed": 1}, 0)


def test_a_connection_that_breaks_before_the_first_token_is_made_again_with_the_same_key():
    guard = Guard("llm", first_token_s=30, retry=Retry(3), idempotency_key=True)

    async def main():
        async with Server(("break",), (b"hello", "end")) as server:
            with no_wait() as waited:
                assert await taken(guard(read)(server.url)) == ["hello"]
            assert len(waited) == 1
            assert len(server.keys) == 2
            assert len(set(server.keys)) == 1

    asyncio.run(main())
    assert guard.counts == {"failed": 1, "retry": 1, "worked": 1}


def test_a_connection_that_breaks_after_it_cuts_the_stream():
    guard = Guard("llm", retry=Retry(3))

    async def main():
        async with Server((b"hello ", "break")) as server:
            with pytest.raises(StreamCut) as cut:
                await taken(guard(read)(server.url))
            assert isinstance(cut.value.__cause__, httpx.RemoteProtocolError)

    asyncio.run(main())
    assert guard.counts == {"failed": 1}


def test_a_reader_that_leaves_closes_the_connection_also_from_another_task(caplog):
    guard = Guard("llm")

    async def main():
        async with Server((b"hello ", "hang"), (b"hello ", "hang")) as server:
            stream = guard(read)(server.url)
            assert await anext(stream) == "hello "
            await asyncio.create_task(stream.aclose())
            await server.left.wait()
            server.left.clear()
            async for _ in guard(read)(server.url):
                break
            gc.collect()
            await server.left.wait()

    asyncio.run(main())
    assert (guard.counts, guard.in_flight()[0]) == ({"cancelled": 2}, 0)
    assert caplog.messages == []
