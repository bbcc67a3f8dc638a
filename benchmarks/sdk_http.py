"""A provider on a local port that speaks as OpenAI does, for libraries that guard requests instead of functions.

POST /NAME/chat/completions --> the backend or the stream of that name
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sdk_libraries import END

_HEAD = "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\n{more}connection: close\r\n"


class Provider:
    """Serves backends and streams by name until it is closed.

    Attributes:
        url: Of one name: ``provider.url("sick")``.
    """

    def __init__(self) -> None:
        self._asks: dict[str, Callable[[], Awaitable[str]]] = {}
        self._streams: dict[str, Callable[[], AsyncIterator[str]]] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def url(self, name: str) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{name}"

    def answers(self, name: str, ask: Callable[[], Awaitable[str]]) -> None:
        self._asks[name] = ask

    def streams(self, name: str, source: Callable[[], AsyncIterator[str]]) -> None:
        self._streams[name] = source

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.ensure_future(asyncio.sleep(0))
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-l"))
            await reader.readexactly(length)
            name = head.split(" ")[1].split("/")[1]
            serving = asyncio.ensure_future(self._reply(name, writer))
            gone = asyncio.ensure_future(reader.read(1))  # the client hangs up
            await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            gone.cancel()
            writer.close()

    async def _reply(self, name: str, writer: asyncio.StreamWriter) -> None:
        if name in self._streams:
            await self._stream(self._streams[name](), writer)
            return
        try:
            body, status, more = _answer(await self._asks[name]()), 200, ""
        except Exception as error:
            status = getattr(error, "status_code", 500)
            more = "".join(f"{key}: {value}\r\n" for key, value in getattr(error, "headers", {}).items())
            body = {"error": {"message": f"status {status}", "type": "server_error", "code": str(status)}}
        text = json.dumps(body).encode()
        more += f"content-length: {len(text)}\r\n"
        writer.write(_HEAD.format(status=status, kind="application/json", more=more).encode() + b"\r\n" + text)
        await writer.drain()

    async def _stream(self, source: AsyncIterator[str], writer: asyncio.StreamWriter) -> None:
        more = "transfer-encoding: chunked\r\n"
        writer.write(_HEAD.format(status=200, kind="text/event-stream", more=more).encode() + b"\r\n")
        await writer.drain()
        try:
            async for token in source:
                for event in _events(token):
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()  # a cut, not an end
            return
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _answer(text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _events(token: str) -> list[bytes]:
    if token == END:
        return [_event({}, "stop"), b"data: [DONE]\n\n"]
    return [_event({"role": "assistant", "content": token}, None)]


def _event(delta: dict[str, str], finish_reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
