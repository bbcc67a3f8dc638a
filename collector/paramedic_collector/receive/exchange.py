"""A request over HTTP and, in time, its answer: values that the connection and the app pass to each other."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httptools

from paramedic_collector.otlp import Signal
from paramedic_collector.receive.answers import Headers, Response
from paramedic_collector.receive.room import Share

# The headers that are looked at; no other is kept.
WANTED: Final = frozenset({
    b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"expect", b"authorization",
    b"origin", b"access-control-request-method", b"access-control-request-headers",
})  # fmt: skip
_FRAMING: Final = (b"content-length", b"transfer-encoding")


@dataclass(slots=True)
class Head:
    """The first part of a request.

    Args:
        headers: Those of `WANTED`, names in lower case.
    """

    method: str
    path: str
    headers: dict[bytes, bytes]

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def content_type(self) -> str:
        return self.header(b"content-type").partition(";")[0].strip().lower()

    def without_upgrade(self) -> bytes:
        """A head for the parser that has the same body after it."""
        framing = b"".join(b"%b: %b\r\n" % (name, self.headers[name]) for name in _FRAMING if name in self.headers)
        return b"POST / HTTP/1.1\r\n" + framing + b"\r\n"


@dataclass(frozen=True, slots=True)
class Post:
    """A request whose body is wanted."""

    signal: Signal
    content_type: str
    encoding: str
    headers: Headers  # of its answer


@dataclass(slots=True)
class Exchange:
    """A request and its answer, from its head on."""

    head: Head
    share: Share
    keep_alive: bool
    parts: list[bytes] = field(default_factory=list)
    post: Post | None = None  # while its body is wanted
    answer: Response | None = None
    complete: bool = False  # the request has come as a whole
    answered: bool = False

    def take_body(self) -> bytes:
        parts, self.parts = self.parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drop_body(self) -> None:
        self.parts.clear()
        self.post = None
        self.share.end()


def path_of(target: bytes) -> str:
    """Of "/v1/traces?x=1" or "http://host/v1/traces", as a proxy may send it: "/v1/traces"."""
    if not target.startswith(b"/"):
        with suppress(httptools.HttpParserInvalidURLError):  # then there is no page of that name
            target = httptools.parse_url(target).path or b"/"
    return target.partition(b"?")[0].decode("latin-1")
