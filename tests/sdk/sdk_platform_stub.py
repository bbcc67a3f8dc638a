"""A platform on a real port, as far as bots see it: a stream of server-sent events, and a place for acks."""

import http.server
import json
import queue
import threading
from typing import Any

from paramedic.contract.command import Command, SignedCommand
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import bearer, command_key

SECRET = "0f" * 32
KEY = command_key(SECRET)


class PlatformStub:
    """Serves until closed. What is put with `send` goes to every stream that is open or comes later.

    Attributes:
        acks: All acks so far, as dicts.
        streams: Paths of the stream requests so far.
    """

    def __init__(self, service: str = "support-bot") -> None:
        self.acks: queue.Queue[dict[str, Any]] = queue.Queue()
        self.streams: list[str] = []
        self.opening: list[bytes] = [b": hello\n\n"]  # what each new stream begins with
        self.status = 200
        self.says_alive = True
        self._open: list[queue.Queue[bytes | None]] = []
        self._expected = f"Bearer pmb.{service}.{bearer(SECRET)}"
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                stub.streams.append(self.path)
                status = stub.status if self.headers["Authorization"] == stub._expected else 401
                self.send_response(status)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if status == 200:
                    stub._stream(self.wfile)
                self.close_connection = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                for ack in json.loads(body):
                    stub.acks.put(ack)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
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


def snapshot(*commands: Command, key: bytes = KEY) -> bytes:
    signed = ",".join(SignedCommand.seal(command, key).to_json() for command in commands)
    return f"event: snapshot\ndata: [{signed}]\n\n".encode()
