"""Sends batches of spans to one address, as bots would: a process of its own, so that its cost is not the engine's.

    {"transport": "http", "address": "127.0.0.1:4318", "requests": 600}   -->  {"ready": true}, once batches are made
    go                                                                   -->  {"replies": {"200": 600}, ...}

Such lines on its standard input and output, as often as wanted. A refused batch is sent again, as every SDK does.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from ingest_payloads import SPANS, Batches

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_ACCEPTED: Final = ("200", "OK")
_TIMEOUT_S: Final = 300.0  # the first request may wait for a compiler

Post = Callable[[bytes], str]  # gives the reply's status


@dataclass(frozen=True, slots=True)
class Order:
    """What to send.

    Args:
        requests: How many; 0 for as many as fit in `seconds`.
        made_before: How many batches to make before the start; the others are made while sending.
        pause_s: Between two requests of one connection.
    """

    transport: str
    address: str
    requests: int = 0
    seconds: float = 600.0
    connections: int = 4
    made_before: int = 1000
    pause_s: float = 0.0
    seed: int = 0
    operations: int = 5
    personal: bool = False


class Supply:
    """The batches that are still to be sent; shared by all connections."""

    def __init__(self, order: Order) -> None:
        self._batches = Batches(order.seed, operations=order.operations, personal=order.personal)
        self._left = order.requests or sys.maxsize
        self._ready = deque(self._new() for _ in range(min(order.made_before, self._left)))
        self._lock = threading.Lock()

    def take(self) -> bytes | None:
        """The next one; None when all are sent."""
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
            return self._ready.popleft() if self._ready else self._new()

    def _new(self) -> bytes:
        return self._batches.next(time.time_ns())


def http_post(address: str) -> Post:
    connections = [http.client.HTTPConnection(address, timeout=_TIMEOUT_S)]

    def post(body: bytes) -> str:
        try:
            connections[-1].request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            answer = connections[-1].getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:  # an answer may come before the body is read
            connections[-1] = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
            return type(error).__name__
        return str(answer.status)

    return post


def grpc_post(address: str) -> Post:
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
    call = grpc.insecure_channel(address, options).unary_unary(_METHOD)

    def post(body: bytes) -> str:
        try:
            call(body, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    return post


def send(order: Order, supply: Supply) -> Counter[str]:
    """Send over all connections at once; the number of replies of each status."""
    replies, ends = Counter[str](), time.monotonic() + order.seconds
    lock = threading.Lock()

    def connection() -> None:
        post = (grpc_post if order.transport == "grpc" else http_post)(order.address)
        mine, body = Counter[str](), supply.take()
        while body is not None and time.monotonic() < ends:
            status = post(body)
            mine[status] += 1
            if status in _ACCEPTED:
                body = supply.take()
            if order.pause_s:
                time.sleep(order.pause_s)
        with lock:
            replies.update(mine)

    threads = [threading.Thread(target=connection) for _ in range(order.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def main() -> None:
    _say({"listening": True})
    while line := sys.stdin.readline():
        order = Order(**json.loads(line))
        supply = Supply(order)
        _say({"ready": True})
        sys.stdin.readline()
        began = time.monotonic()
        replies = send(order, supply)
        accepted = SPANS * sum(replies[status] for status in _ACCEPTED)
        _say({"accepted_spans": accepted, "replies": dict(replies), "seconds": time.monotonic() - began})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
