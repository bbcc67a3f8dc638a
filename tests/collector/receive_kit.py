"""What tests of the receivers share: receivers in front of a small intake, and ways to speak to them."""

import http.client
import os
import socket
import time
from contextlib import contextmanager

import grpc
from collector_kit import Made

from paramedic_collector.config.model import Server
from paramedic_collector.counters import Counters
from paramedic_collector.intake import Answer, Reply
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.receive.grpc import GrpcReceiver
from paramedic_collector.receive.http import HttpReceiver
from paramedic_collector.receive.http_app import App, Page
from paramedic_collector.receive.patience import Patience
from paramedic_collector.receive.room import Room

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
LIMIT = 300_000
FREE = Endpoint("localhost", 0, "receivers.otlp.protocols.http.endpoint")
PAGES = {
    "/healthz": Page("text/plain", lambda: (200, "ok\n")),
    "/big": Page("text/plain", lambda: (200, "x" * 1_000_000)),
}


class Taker:
    """An intake that keeps what it is given, and can be told to wait or to refuse."""

    def __init__(self):
        self.taken = []
        self.answer = Answer(Reply.ACCEPTED)
        self.full = ""  # why nothing may come, told before anything is read
        self.wait = lambda: None

    def why_full(self, size=0):
        return self.full

    def accept(self, signal, payload, transport):
        self.wait()
        self.taken.append((signal, payload, transport))
        return self.answer

    @property
    def payloads(self):
        return [payload for _, payload, _ in self.taken]


class Receiving:
    """Receivers of both protocols in front of a `Taker`.

    Args:
        patience: Of HTTP; `message_s` is that of gRPC.
        options: Of `Server`: tls, tokens, cors.
    """

    def __init__(self, *, limit=LIMIT, room=10 * LIMIT, patience=None, message_s=10.0, **options):
        server = Server(FREE, limit, **options)
        self.intake, self.counters, self.room = Taker(), Counters(), Room(room)
        self.app = App(server, self.intake, PAGES, self.room, self.counters)
        self._receivers = {
            "http": HttpReceiver(server, self.app, patience or Patience()),
            "grpc": GrpcReceiver(server, self.intake, self.room, self.counters, message_s=message_s),
        }
        self.addresses = {}

    def start(self):
        for name, one in self._receivers.items():
            self.addresses[name] = one.start()
        return self

    def stop(self):
        for one in self._receivers.values():
            one.stop()


@contextmanager
def receiving(**options):
    one = Receiving(**options)
    try:
        yield one.start()
    finally:
        one.stop()


def now_span(**more):
    return Made(start_ns=time.time_ns(), duration_ns=1_000_000, trace=os.urandom(16), span=os.urandom(8), **more)


def post(served, body, path="/v1/traces", content_type=PROTOBUF, method="POST", tls=None, **headers):
    """One request on a connection of its own; `text` of what comes back is the body."""
    endpoint = served.addresses["http"]
    if tls is None:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=10)
    else:
        connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=10, context=tls)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {"content-type": content_type, **named})
        answer = connection.getresponse()
        answer.text = answer.read()
        return answer
    finally:
        connection.close()


def export(served, body, service="trace.v1.TraceService", credentials=None, **options):
    address = str(served.addresses["grpc"])
    made = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    with made as channel:
        call = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
        return call(body, timeout=10, **options)


class Talk:
    """A raw connection to the HTTP port."""

    def __init__(self, served, port="http"):
        endpoint = served.addresses[port]
        self.socket = socket.create_connection((endpoint.host, endpoint.port), timeout=10)
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def say(self, text):
        self.socket.sendall(text)
        return self

    def say_until_cut(self, text, times):
        """Whether the other side cut the connection before it had got `text` so many times."""
        try:
            for _ in range(times):
                self.socket.sendall(text)
        except ConnectionError:
            return True
        return False

    def hear(self, wanted):
        """Read until `wanted` is in what came since the last `hear`; what is read is given and forgotten."""
        while wanted not in self.got:
            more = self.socket.recv(65536)
            assert more, f"closed before {wanted!r}: {self.got!r}"
            self.got += more
        end = self.got.index(wanted) + len(wanted)
        heard, self.got = self.got[:end], self.got[end:]
        return heard

    def rest(self):
        """Everything until the other side closes; being cut off is one way to be closed."""
        try:
            while more := self.socket.recv(65536):
                self.got += more
        except ConnectionError:
            pass
        heard, self.got = self.got, b""
        return heard


def head(*lines, path="/v1/traces", content_type=PROTOBUF, size=None, version="1.1", method="POST"):
    """The first part of a request, as bytes."""
    named = [f"content-type: {content_type}", *lines]
    if size is not None:
        named.append(f"content-length: {size}")
    return "\r\n".join([f"{method} {path} HTTP/{version}", "host: localhost", *named, "", ""]).encode()
