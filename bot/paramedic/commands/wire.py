"""One request to the platform and its answer, bounded in time and size however the other side behaves.

    Exchange: connect -> request -> headers -> body, each read over by `ends_at`, though bytes drip in one by one
    Flow:     so many lines and bytes in ten seconds, or it is no platform of ours

A socket's own timeout starts again with each byte, so a platform that drips would hold a thread for ever.
Redirects are not followed: the token is for the platform that was configured.
"""

import http.client
import io
import socket
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import SplitResult

import paramedic.preload  # noqa: F401  before there are threads
from paramedic.commands.sse import StreamError

LINES = 5_000  # in one period; a thousand events are three thousand lines
BYTES = 16 << 20
PERIOD_S = 10.0


class Exchange:
    """One connection, used for one request.

    Args:
        url: Of the platform.
        within_s: Until when all must be read, from now; `allow` gives more time.
    """

    def __init__(self, url: SplitResult, within_s: float) -> None:
        self.allow(within_s)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(url.hostname or "localhost", url.port, timeout=within_s)
        self._connection.response_class = self._response  # type: ignore[assignment]
        self._prefix = url.path.rstrip("/")
        self._socket: socket.socket | None = None

    def allow(self, within_s: float) -> None:
        """All must be read `within_s` seconds from now."""
        self._ends_at = monotonic() + within_s

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> http.client.HTTPResponse:
        """Send the request and read the headers of its answer.

        Raises:
            OSError, http.client.HTTPException: The platform cannot be reached, or took too long.
        """
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request(method, self._prefix + path, body, dict(headers))
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        """End it from another thread: what is being read ends at once."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended by itself
                return

    def left_s(self) -> float:
        return self._ends_at - monotonic()

    def _response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Patient(sock, self), *args, **kwargs)  # type: ignore[arg-type]


class _Patient:
    """A socket as `HTTPResponse` sees it, whose reads are over when the exchange's time is."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock, self._exchange = sock, exchange

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Reads(self._sock, self._exchange))


class _Reads(io.RawIOBase):
    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock, self._exchange = sock, exchange
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until this is closed

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        left_s = self._exchange.left_s()
        if left_s <= 0:
            raise TimeoutError("it takes too long to answer")
        self._sock.settimeout(left_s)
        return self._raw.readinto(into)

    def close(self) -> None:
        self._raw.close()
        super().close()


def read_body(response: http.client.HTTPResponse, longest: int) -> str:
    """The body of an answer, as text.

    Raises:
        StreamError: It is longer than `longest` bytes.
    """
    body = response.read(longest + 1)
    if len(body) > longest:
        raise StreamError(f"an answer of more than {longest} bytes")
    return body.decode("utf-8", "replace")


class Flow:
    """What has come in during the current period, so that no stream can keep a bot busy. Pure."""

    def __init__(self, now: float) -> None:
        self._began, self._lines, self._bytes = now, 0, 0

    def add(self, size: int, now: float) -> None:
        """Count a line.

        Raises:
            StreamError: More than a platform ever sends.
        """
        if now - self._began >= PERIOD_S:
            self._began, self._lines, self._bytes = now, 0, 0
        self._lines, self._bytes = self._lines + 1, self._bytes + size
        if self._lines > LINES or self._bytes > BYTES:
            raise StreamError(f"more than {LINES} lines or {BYTES >> 20} MiB in {PERIOD_S:.0f} s")
