"""One HTTP/1.1 connection: bytes in, exchanges in their order, bytes out.

    socket --a buffer at a time--> httptools --> Exchange (head, body) --> worker thread --> answer --> socket
                                    one exchange is worked on at a time; pipelined ones wait their turn

Nothing here may grow without bound: bodies take from the room, the rest of a message has a limit, a connection
that sends ahead of its answers or does not read them is not read from, and each state but working has a deadline.
"""

import asyncio
import logging
from collections import deque
from concurrent.futures import Executor
from dataclasses import replace
from math import inf
from typing import Final

import httptools

from paramedic_collector.receive.answers import CLOSE, Rejected, Response
from paramedic_collector.receive.exchange import WANTED, Exchange, Head, Post, path_of
from paramedic_collector.receive.http_app import App
from paramedic_collector.receive.patience import Patience

log = logging.getLogger(__name__)

BUFFER_BYTES: Final = 1 << 16
_OVERHEAD_BYTES: Final = BUFFER_BYTES + (1 << 16)  # most that a message may have besides its body
_SMALL_CHUNKS: Final = 8  # a chunk of one byte comes with five others
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.BufferedProtocol):
    """Made by the event loop for each connection.

    Args:
        buffer: Shared by all connections of the event loop: what was read is dealt with before the next read.
        connections: Those that are open, oldest first; it adds and removes itself.
    """

    def __init__(
        self, app: App, workers: Executor, patience: Patience, buffer: memoryview, connections: dict["Connection", None]
    ) -> None:
        self.deadline = inf  # loop time
        self._app, self._workers, self._patience, self._buffer = app, workers, patience, buffer
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()  # the first is next to be answered, the last may be incomplete
        self._working = self._deaf = self._stuffed = self._paused = False
        self._in_head = self._in_copy = False
        self._overhead = 0  # bytes of the present message that are no body
        self._target, self._headers = b"", dict[bytes, bytes]()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._loop, self._transport = asyncio.get_running_loop(), transport
        self._connections[self] = None
        self._wait(self._patience.head_s)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._deaf:
            return
        self._overhead += nbytes
        try:
            self._feed(self._buffer[:nbytes])
        except httptools.HttpParserCallbackError:
            log.exception("a request could not be read")
            self._give_up(Rejected(500, "the collector failed; its log says why"))
        except httptools.HttpParserError as why:
            self._give_up(Rejected(400, f"this is no HTTP/1.1 request: {why}"))
        if self._overhead > _OVERHEAD_BYTES:
            self._give_up(Rejected(431, f"the headers of the request are larger than {_OVERHEAD_BYTES} bytes"))
        self._advance()

    def eof_received(self) -> bool:
        """Who sent a whole request may still read its answer; TLS cannot close one half."""
        plain = self._transport.get_extra_info("sslcontext") is None
        if not plain or self._deaf or not self._exchanges or not self._exchanges[-1].complete:
            return False
        self._exchanges[-1].keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.pop(self, None)
        self._deaf, self.deadline = True, inf
        for exchange in self._exchanges:
            if not (self._working and exchange is self._exchanges[0]):
                exchange.share.end()
        self._exchanges.clear()

    def pause_writing(self) -> None:
        """The other side does not read its answers."""
        self._stuffed = True
        self._wait(self._patience.body_s)

    def resume_writing(self) -> None:
        self._stuffed = False
        self._wait(self._patience.idle_s)
        self._advance()

    # What the receiver calls

    @property
    def idle(self) -> bool:
        return not self._exchanges

    def close(self) -> None:
        """After the answers that are under way."""
        if self._exchanges:
            self._exchanges[-1].keep_alive = False
        else:
            self._transport.close()

    def cut(self) -> None:
        self._transport.abort()

    def timed_out(self) -> None:
        """The deadline has passed."""
        self.deadline = inf
        last = self._exchanges[-1] if self._exchanges else None
        if last is None or self._deaf or self._stuffed or last.post is None:
            self.cut()
        else:
            why = f"the body did not arrive within {self._patience.body_s:g} s"
            self._reject(last, Rejected(408, why, CLOSE))
            self._advance()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._overhead = 0
        if not self._in_copy:
            self._target, self._headers, self._in_head = b"", {}, True
            self._wait_for_more()

    def on_url(self, part: bytes) -> None:
        if not self._in_copy:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self._in_head and name in WANTED:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._in_copy:
            self._in_copy = False
            return
        self._in_head = False
        head = Head(self._parser.get_method().decode("latin-1"), path_of(self._target), self._headers)
        keep_alive = self._parser.should_keep_alive() and self._parser.get_http_version() != "1.0"
        exchange = Exchange(head, self._app.new_share(), keep_alive)
        self._exchanges.append(exchange)
        admitted = self._app.admit(head)
        if isinstance(admitted, Post):
            exchange.post = admitted
        else:
            exchange.answer = admitted
        if b"expect" in self._headers:
            self._expected(exchange)
        self._wait_for_more()

    def on_body(self, part: bytes) -> None:
        self._overhead = max(0, self._overhead - _SMALL_CHUNKS * len(part))
        exchange = self._exchanges[-1]
        if exchange.post is None:
            return  # read and thrown away, so that its sender comes to read why
        if exchange.share.bytes + len(part) > self._app.limit_bytes:
            self._reject(exchange, self._app.too_large())
        elif not exchange.share.grow(len(part)):
            self._reject(exchange, self._app.no_room())
        else:
            exchange.parts.append(part)

    def on_message_complete(self) -> None:
        self._exchanges[-1].complete = not self._parser.should_upgrade()  # else see `_feed`

    # Its own steps

    def _feed(self, data: memoryview) -> None:
        """To the parser. A wish to upgrade is ignored, as HTTP allows: the parser stops there, so a new one gets a
        copy of the head without the wish, and then the body."""
        while data:
            try:
                return self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as wish:
                data = data[wish.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
                self._in_copy = True
                self._parser.feed_data(self._exchanges[-1].head.without_upgrade())

    def _expected(self, exchange: Exchange) -> None:
        """The sender asks before it sends the body; if it is refused, the body may come or not."""
        if exchange.answer is not None:
            exchange.answer = replace(exchange.answer, headers=(*exchange.answer.headers, *CLOSE))
        elif self._exchanges[0] is exchange:
            self._transport.write(_CONTINUE)

    def _reject(self, exchange: Exchange, why: Rejected) -> None:
        headers = exchange.post.headers if exchange.post is not None else ()
        exchange.answer = self._app.refuse(why, exchange.head.content_type, headers)
        exchange.drop_body()

    def _give_up(self, why: Rejected) -> None:
        """Nothing that still comes can be understood."""
        if self._deaf:
            return
        if not self._exchanges or self._exchanges[-1].complete:
            self._exchanges.append(Exchange(Head("", "", self._headers), self._app.new_share(), False))
        last = self._exchanges[-1]
        if last.answer is None:
            self._reject(last, why)
        last.keep_alive, last.complete, self._deaf = False, True, True

    def _advance(self) -> None:
        """Answer what can be answered, in order; begin to work on the next."""
        while self._exchanges and not (self._working or self._stuffed):
            first = self._exchanges[0]
            if first.answer is None:
                if first.complete:
                    self._work_on(first)
                break
            self._write(first, first.answer)
            if first.answer.closes and not first.complete:
                self._linger()
                break
            if not first.complete:
                break  # the rest of its body is still to be thrown away
            self._exchanges.popleft()
            if first.answer.closes or not first.keep_alive:
                self._leave()
                break
            self._wait_for_more()
        self._regulate()

    def _write(self, exchange: Exchange, answer: Response) -> None:
        if not exchange.answered:
            exchange.answered = True
            last = () if exchange.keep_alive or answer.closes else CLOSE
            self._transport.write(answer.encode(body=exchange.head.method != "HEAD", more=last))

    def _linger(self) -> None:
        """Cutting a connection at once that is being sent to would destroy the answer on its way."""
        if not self._deaf:
            self._deaf = True
            self._wait(self._patience.linger_s)

    def _leave(self) -> None:
        for exchange in self._exchanges:
            exchange.share.end()
        self._exchanges.clear()
        if self._deaf:
            self._wait(self._patience.linger_s)
        else:
            self._transport.close()

    def _work_on(self, exchange: Exchange) -> None:
        self._working, self.deadline = True, inf
        try:
            self._workers.submit(self._work, exchange)
        except RuntimeError:  # the workers have been sent home
            self._worked(exchange, self._app.refuse(self._app.closing(), exchange.head.content_type))

    def _work(self, exchange: Exchange) -> None:
        """Runs in a worker thread."""
        assert exchange.post is not None, "what has no Post has an answer"
        body = exchange.take_body()
        answer = self._app.accept(exchange.post, body, exchange.share)
        del body
        exchange.share.end()
        try:
            self._loop.call_soon_threadsafe(self._worked, exchange, answer)
        except RuntimeError:
            log.debug("the event loop has gone before its last answer")

    def _worked(self, exchange: Exchange, answer: Response) -> None:
        self._working, exchange.answer = False, answer
        self._advance()

    def _regulate(self) -> None:
        """Who sends ahead of the answers is not read from."""
        ahead = self._stuffed or len(self._exchanges) > 1
        if ahead is not self._paused and not self._transport.is_closing():
            self._paused = ahead
            (self._transport.pause_reading if ahead else self._transport.resume_reading)()

    def _wait_for_more(self) -> None:
        patience = self._patience
        if not self._working and not self._deaf:
            self._wait(patience.body_s if self._exchanges else patience.head_s if self._in_head else patience.idle_s)

    def _wait(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds
