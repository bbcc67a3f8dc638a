"""A platform on a real port, as far as bots see it: a stream of server-sent events, and a place for acks."""

import http.server
import json
import queue
import ssl
import threading
from collections.abc import Callable
from typing import Any

from paramedic.contract.command import Command, SignedCommand
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import bearer, command_key

SECRET = "0f" * 32
KEY = command_key(SECRET)


STREAM, POLL, ACKS = "/api/v1/commands/stream", "/api/v1/commands", "/api/v1/commands/acks"


class PlatformStub:
    """Serves until closed. What is put with `send` goes to every stream that is open or comes later.

    Attributes:
        acks: All acks so far, as dicts.
        posts: The acks of each post so far, taken or not.
        streams: Paths of the stream requests so far.
        polls: Paths of the polls so far.
        opening: What each new stream begins with.
        in_force: The snapshot for polls.
        status: Of every answer; `status_of` has those of single paths.
        mischief: Takes over the connection of a request instead of answering it; by path.

    Args:
        service: Whose bots it serves.
        secret: That service's.
        certificate: File with a certificate and its key; without it there is no TLS.
    """

    def __init__(self, service: str = "support-bot", secret: str = SECRET, certificate: str = "") -> None:
        self.acks: queue.Queue[dict[str, Any]] = queue.Queue()
        self.posts: list[list[dict[str, Any]]] = []
        self.streams: list[str] = []
        self.polls: list[str] = []
        self.opening: list[bytes] = [b": hello\n\n"]
        self.in_force: bytes = b"[]"
        self.status = 200
        self.status_of: dict[str, int] = {}
        self.mischief: dict[str, Callable[[Any], None]] = {}
        self.says_alive = True
        self.secret = secret  # whose bearer is let in
        self._open: list[queue.Queue[bytes | None]] = []
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                (stub.streams if path == STREAM else stub.polls).append(self.path)
                if path in stub.mischief:
                    return self._misbehave(path)
                status = self._status(path, 200)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"{stub.url}/elsewhere")
                if path == STREAM and status == 200:
                    self.send_header("Content-Type", "text/event-stream")
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    stub._stream(self.wfile)
                else:
                    body = stub.in_force if status == 200 else b"sorry"
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                self.close_connection = True

            def do_POST(self) -> None:
                path = self.path.partition("?")[0]
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.posts.append(body)
                if path in stub.mischief:
                    return self._misbehave(path)
                status = self._status(path, 204)
                if status == 204:
                    for ack in body:
                        stub.acks.put(ack)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.close_connection = True

            def _misbehave(self, path: str) -> None:
                self.close_connection = True
                stub.mischief[path](self.connection)

            def _status(self, path: str, fine: int) -> int:
                if self.headers["Authorization"] != f"Bearer pmb.{service}.{bearer(stub.secret)}":
                    return 401
                status = stub.status_of.get(path, stub.status)
                return fine if status == 200 else status

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_port}"
        self.platform = Platform(self.url, SECRET)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _stream(self, out: Any) -> None:
        waiting: queue.Queue[bytes | None] = queue.Queue()
        for piece in self.opening:
            waiting.put(piece)
        self._open.append(waiting)
        while True:
            try:
                piece = waiting.get(timeout=0.1)
            except queue.Empty:
                piece = b": alive\n\n" if self.says_alive else b""
            if piece is None:
                return
            if piece:
                out.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                out.flush()

    def send(self, piece: bytes) -> None:
        for waiting in self._open:
            waiting.put(piece)

    @property
    def instances(self) -> set[str]:
        """Who has asked for the stream so far."""
        return {path.partition("&instance=")[2] for path in self.streams}

    def hang_up(self) -> None:
        for waiting in self._open:
            waiting.put(None)
        self._open.clear()

    def next_ack(self, **wanted: Any) -> dict[str, Any]:
        """The next ack with these fields; others are passed over."""
        while True:
            ack = self.acks.get(timeout=20)
            if all(ack[name] == value for name, value in wanted.items()):
                return ack

    def close(self) -> None:
        self.hang_up()
        self._server.shutdown()
        self._server.server_close()


def event(command: Command, key: bytes = KEY) -> bytes:
    return f"event: command\ndata: {SignedCommand.seal(command, key).to_json()}\n\n".encode()


def listed(*commands: Command, key: bytes = KEY) -> bytes:
    """The body of an answer to a poll."""
    return ("[" + ",".join(SignedCommand.seal(command, key).to_json() for command in commands) + "]").encode()


def snapshot(*commands: Command, key: bytes = KEY) -> bytes:
    return b"event: snapshot\ndata: " + listed(*commands, key=key) + b"\n\n"
