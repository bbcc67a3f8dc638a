"""The order backend of the demo shop: ``GET /orders/{id}`` over SQLite, traced like any service of a bot team.

    GET /orders/10234 --> fault? --> SELECT --> 200 and the order, or 404 with a sentence

An id may be written as people write it: 10234, #10234, ORD-10234.
``python -m paramedic_demo.orders --port 9201 --zone eu-1``.
"""

import argparse
import random
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paramedic_demo.faults import ORDERS_KINDS
from paramedic_demo.faults_server import FaultSwitch, Silence, control_routes, serve, stays
from paramedic_demo.orders_data import find_order, open_book

LOOKUP_S = 0.006  # median of a lognormal: a look-up in a database that others use too


class Orders:
    """Looks orders up, as well as its fault lets it."""

    def __init__(self, book: sqlite3.Connection, rng: random.Random) -> None:
        self.switch, self._book, self._rng = FaultSwitch(ORDERS_KINDS, rng), book, rng
        self.calls = self.failed = 0

    async def show(self, request: Request) -> Response:
        self.calls += 1
        fault, wait_s = self.switch.strikes(), self._rng.lognormvariate(0.0, 0.4) * LOOKUP_S
        if fault is not None and fault.kind == "slow":
            wait_s += fault.parameters["delay_s"] or 0.0
        elif fault is not None:
            self.failed += 1
            if fault.kind == "hang":
                return Silence(request)
            return JSONResponse({"detail": "the order book cannot be read now"}, self.switch.pick_status(fault))
        if not await stays(request, wait_s):
            return Silence(request)
        return self._found(request.path_params["id"])

    def _found(self, order_id: str) -> Response:
        number = re.search(r"\d+$", order_id)
        order = find_order(self._book, int(number[0])) if number and len(number[0]) < 16 else None
        if order is None:
            return JSONResponse({"detail": f"there is no order {order_id!r}"}, 404)
        return JSONResponse(order)


def orders_app(book: sqlite3.Connection, seed: int) -> Starlette:
    orders = Orders(book, random.Random(seed))
    return Starlette(
        routes=[
            Route("/orders/{id}", orders.show),
            *control_routes(orders.switch, lambda: {"calls": orders.calls, "failed": orders.failed}),
        ]
    )


def traced(app: Starlette, zone: str) -> Any:
    """The app as an instrumented team runs it; `paramedic` is imported here because a bare arm has none."""
    import paramedic
    from paramedic.asgi import Traced

    paramedic.init(service="orders", version="1.0", zone=zone)
    return Traced(app)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.orders", description="The demo shop's orders.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zone", default="eu-1")
    parser.add_argument("--arm", choices=("bare", "sdk", "platform"), default="platform")
    parser.add_argument("--db", default=":memory:", help="SQLite file; by default the book lives in memory")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    app = orders_app(open_book(options.db, options.seed), options.seed)
    serve(app if options.arm == "bare" else traced(app, options.zone), options.port)


if __name__ == "__main__":
    main()
