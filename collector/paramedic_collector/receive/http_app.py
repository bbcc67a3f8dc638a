"""What an HTTP request is and what it gets: decides, and knows nothing of sockets.

    head  --admit-->  Response (refused before its body came)  |  Post (its body is wanted)  |  Page
    body  --accept(post, ...)-->  Response      unpack -> JSON to protobuf -> intake

`admit` runs on the event loop and costs microseconds; `accept` runs in a worker thread and may wait for the disk.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paramedic_collector import counters as count
from paramedic_collector.config.model import Server
from paramedic_collector.counters import Counters
from paramedic_collector.intake import RETRY_S, Answer, Intake, Reply
from paramedic_collector.otlp import Signal, Undecodable
from paramedic_collector.receive.answers import CLOSE, JSON, PROTOBUF, Headers, Rejected, Response, error
from paramedic_collector.receive.cors import CorsPolicy
from paramedic_collector.receive.exchange import Head, Post
from paramedic_collector.receive.otlp_json import TooMany, to_protobuf
from paramedic_collector.receive.room import Room, Share
from paramedic_collector.receive.tokens import Tokens
from paramedic_collector.receive.unpack import ENCODINGS, Broken, unpack

log = logging.getLogger(__name__)

_PATHS: Final = {f"/v1/{signal}": signal for signal in Signal}
_REASONS: Final = {400: "undecodable", 401: "unauthenticated", 408: "slow", 413: "too_large", 415: "encoding",
                   431: "too_large", 500: "failed", 503: "no_room"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET shows."""

    content_type: str
    text: Callable[[], tuple[int, str]]  # status and body


class App:
    """Decides about requests; safe to share between threads.

    Args:
        server: Limits, tokens, web pages that may send.
        intake: Where payloads go; None: this port has pages only.
        pages: What GET shows, by path; open to everybody.
        room: What may be in memory at once.
    """

    def __init__(
        self, server: Server, intake: Intake | None, pages: dict[str, Page], room: Room, counters: Counters
    ) -> None:
        self.limit_bytes, self.room = server.limit_bytes, room
        self._intake, self._pages, self._counters = intake, pages, counters
        self._paths = _PATHS if intake is not None else {}
        self._tokens, self._cors = Tokens(server.tokens), CorsPolicy(server.cors)

    def new_share(self) -> Share:
        return Share(self.room)

    def admit(self, head: Head) -> Post | Response:
        """What becomes of a request, by its head alone."""
        page = self._pages.get(head.path)
        cors = self._cors.answer(head.header(b"origin")) if b"origin" in head.headers else ()
        try:
            if page is not None:
                return _show(page, head.method)
            if head.method == "OPTIONS" and head.path in self._paths:
                return self._preflight(head)
            return self._post(head, cors)
        except Rejected as why:
            return self.refuse(why, head.content_type, cors)

    def accept(self, post: Post, body: bytes, share: Share) -> Response:
        """Take the body in; blocks until it is recorded.

        Args:
            share: What the request has taken of the room, its body included.
        """
        try:
            payload = self._payload(post, body, share)
            return _response(self._into(post.signal, payload), post)
        except Rejected as why:
            return self.refuse(why, post.content_type, post.headers)
        except Exception:
            log.exception("a request for %s failed", post.signal)
            return self.refuse(Rejected(500, "the collector failed; its log says why"), post.content_type, post.headers)

    def refuse(self, why: Rejected, content_type: str, headers: Headers = ()) -> Response:
        if why.status in _REASONS:
            self._counters.add(count.REFUSED_REQUESTS, transport="http", reason=_REASONS[why.status])
        return error(Rejected(why.status, str(why), (*why.headers, *headers)), content_type)

    def too_large(self) -> Rejected:
        return Rejected(
            413,
            f"the body is larger than {self.limit_bytes} bytes: send smaller batches, or raise "
            "receivers.otlp.protocols.http.max_request_body_size in otel-config.yaml",
        )

    def no_room(self) -> Rejected:
        return _come_again(self.room.why_full())

    def closing(self) -> Rejected:
        return _come_again("the collector is stopping")

    def _preflight(self, head: Head) -> Response:
        asked = (head.header(name) for name in (b"origin", b"access-control-request-method",
                                                b"access-control-request-headers"))  # fmt: skip
        return Response(204, headers=(("allow", "POST"), *self._cors.preflight(*asked)))

    def _post(self, head: Head, cors: Headers) -> Post:
        signal = self._paths.get(head.path)
        if signal is None:
            raise Rejected(404, f"there is no {head.path[:100]}: OTLP goes to {', '.join(_PATHS)}")
        if head.method != "POST":
            raise Rejected(405, f"{head.path} takes POST, not {head.method[:20]}", (("allow", "POST"),))
        if no := self._tokens.why_not(head.header(b"authorization")):
            raise Rejected(401, no, (("www-authenticate", "Bearer"),))
        content_type, encoding = head.content_type, head.header(b"content-encoding").lower()
        if content_type not in (PROTOBUF, JSON):
            raise Rejected(415, f"content type {content_type[:100]!r} is not taken: send {PROTOBUF} or {JSON}")
        if encoding not in ("", "identity", *ENCODINGS):
            named = ", ".join(ENCODINGS)
            raise Rejected(415, f"content encoding {encoding[:100]!r} is not taken: send {named} or none")
        self._check_size(head.headers.get(b"content-length", b"0"))
        return Post(signal, content_type, encoding, cors)

    def _check_size(self, declared: bytes) -> None:
        size = int(declared)
        if size > self.limit_bytes:
            raise Rejected(413, str(self.too_large()), CLOSE)
        if not self.room.has(size):
            raise self.no_room()
        if self._intake is not None and (why := self._intake.why_full(size)):
            raise _come_again(why)

    def _payload(self, post: Post, body: bytes, share: Share) -> bytes:
        try:
            payload = unpack(post.encoding, body, self._meter(share)) if post.encoding in ENCODINGS else body
            return to_protobuf(post.signal, payload) if post.content_type == JSON else payload
        except TooMany as why:
            raise Rejected(413, str(why)) from None
        except (Broken, Undecodable) as why:
            raise Rejected(400, str(why)) from None

    def _meter(self, share: Share) -> Callable[[int], None]:
        """Takes room for each piece that is unpacked, up to the limit."""
        before = share.bytes

        def take(size: int) -> None:
            if share.bytes - before + size > self.limit_bytes:
                raise self.too_large()
            if not share.grow(size):
                raise self.no_room()

        return take

    def _into(self, signal: Signal, payload: bytes) -> Answer:
        assert self._intake is not None, "without an intake no Post is made"
        return self._intake.accept(signal, payload, "http")


def _show(page: Page, method: str) -> Response:
    if method not in ("GET", "HEAD"):
        raise Rejected(405, f"this page takes GET, not {method[:20]}", (("allow", "GET, HEAD"),))
    status, text = page.text()
    return Response(status, text.encode(), page.content_type)


def _response(answer: Answer, post: Post) -> Response:
    if answer.reply is Reply.ACCEPTED:
        return Response(200, b"{}" if post.content_type == JSON else b"", post.content_type, post.headers)
    if answer.reply is Reply.UNDECODABLE:
        why = Rejected(400, answer.why, post.headers)
    else:
        why = _come_again(answer.why, post.headers)
    return error(why, post.content_type)  # counted by the intake


def _come_again(why: str, more: Headers = ()) -> Rejected:
    return Rejected(503, f"try again in {RETRY_S} s: {why}", (("retry-after", str(RETRY_S)), *more))
