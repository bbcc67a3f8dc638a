"""OTLP over HTTP to a backend: protobuf, compressed, one request at a time.

The client runs on an event loop of its own, which gives what a blocking one cannot: one timeout around the whole
request, and an end at once when we stop, whatever the backend does.
"""

import asyncio
import time
import zlib
from collections.abc import Callable
from typing import Final

import httpx
import zstandard

from paramedic_collector.config.model import OtlpExporter
from paramedic_collector.forward.answers import Answer, Verdict, http_answer
from paramedic_collector.forward.tls import ssl_context
from paramedic_collector.otlp import Signal

JOINS_BYTES: Final = 2 << 20  # half of what gRPC servers take by default, so that a joined request fits anywhere
_LONGEST_ANSWER: Final = 64 << 10  # bytes that are read of a response
_IDLE_S: Final = 30.0  # an idle connection is closed by us before load balancers do it in mid-request
_LEVEL: Final = 1  # of both; a third of the CPU of gzip's usual 6, and a tenth larger


def compressor(kind: str) -> Callable[[bytes], bytes]:
    """gzip, zstd or none; both leave the GIL alone while they work."""
    if kind == "gzip":
        return _gzip
    return zstandard.ZstdCompressor(level=_LEVEL).compress if kind == "zstd" else bytes


class HttpSender:
    """Sends to one backend.

    Args:
        clock: Unix seconds; a backend may name the date of the next try.

    Raises:
        TlsError: A file of `tls` cannot be used.
    """

    def __init__(self, exporter: OtlpExporter, *, clock: Callable[[], float] = time.time) -> None:
        self.joins_bytes = JOINS_BYTES
        self._exporter, self._clock = exporter, clock
        self._compress = compressor(exporter.compression)
        self._urls = {signal: exporter.urls.get(signal) or _url(exporter.target, signal) for signal in Signal}
        self._loop = asyncio.new_event_loop()
        self._cancelled = asyncio.Event()
        self._client = httpx.AsyncClient(
            headers=_headers(exporter),
            verify=ssl_context(exporter.name, exporter.tls),
            timeout=exporter.timeout_s or None,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=_IDLE_S),
            mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},  # never through a proxy
        )

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Post it once."""
        return self._loop.run_until_complete(self._send_or_stop(signal, self._compress(payload)))

    def cancel(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancelled.set)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    async def _send_or_stop(self, signal: Signal, body: bytes) -> Answer:
        post, stop = asyncio.ensure_future(self._post(signal, body)), asyncio.ensure_future(self._cancelled.wait())
        await asyncio.wait((post, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if post.done():
            return post.result()
        post.cancel()
        await asyncio.wait((post,))
        return Answer(Verdict.STOPPED)

    async def _post(self, signal: Signal, body: bytes) -> Answer:
        timeout_s = self._exporter.timeout_s
        try:
            async with (
                asyncio.timeout(timeout_s or None),
                self._client.stream("POST", self._urls[signal], content=body) as response,
            ):
                said = await _read(response)
            return http_answer(signal, response.status_code, response.headers, said, self._clock())
        except (TimeoutError, httpx.TimeoutException):
            return Answer(Verdict.LATER, "timeout", f"no answer within {timeout_s:g} s")
        except (httpx.RequestError, OSError) as error:  # a TLS alert that comes late is an OSError
            return Answer(Verdict.LATER, "connection", f"{type(error).__name__}: {error}"[:200])


async def _read(response: httpx.Response) -> bytes:
    said = b""
    async for chunk in response.aiter_bytes():
        said += chunk
        if len(said) > _LONGEST_ANSWER:
            break
    return said[:_LONGEST_ANSWER]


def _url(base: str, signal: Signal) -> str:
    return f"{base.rstrip('/')}/v1/{signal}"


def _headers(exporter: OtlpExporter) -> list[tuple[str, str]]:
    coding = [("content-encoding", exporter.compression)] if exporter.compression in ("gzip", "zstd") else []
    fixed = [("content-type", "application/x-protobuf"), ("user-agent", "paramedic"), ("accept-encoding", "identity")]
    return [*fixed, *coding, *exporter.headers]


def _gzip(payload: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(payload) + packer.flush()
