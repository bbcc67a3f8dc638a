"""The order backend of the demo shop: ``GET /orders/{id}`` over SQLite, traced like any service of a bot team.

    GET /orders/10234 --> fault? --> a connection of the pool --> SELECT --> 200 and the order, or 404 with a sentence

An id may be written as people write it: 10234, #10234, ORD-10234.
``python -m paramedic_demo.orders --port 9201 --zone eu-1``.
"""

import argparse
import asyncio
import random
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paramedic_demo.bugs import FINE, Bug, add_flags, bug_of
from paramedic_demo.faults import ORDERS_KINDS, SLOW_S, FaultSpec
from paramedic_demo.faults_server import UNTRACED, FaultSwitch, Silence, control_routes, serve, unless_gone
from paramedic_demo.leaking import Leak
from paramedic_demo.orders_data import find_order, open_book
from paramedic_demo.pool import Pool

LOOKUP_S = 0.006  # median of a lognormal: a look-up in a database that others use too
AT_WORK = ("leak", "saturate", "slow", "cache_flush")  # kinds of fault in which look-ups are made as ever


class Orders:
    """Looks orders up, as well as its fault and its version let it.

    Args:
        book: The orders.
        rng: Of delays and faults.
        bug: Of this version.
    """

    def __init__(self, book: sqlite3.Connection, rng: random.Random, bug: Bug = FINE) -> None:
        self.pool, self._leak = Pool(), Leak()
        self.switch, self._book, self._rng, self._bug = FaultSwitch(ORDERS_KINDS, rng, self._changed), book, rng, bug
        self.calls = self.failed = 0

    async def show(self, request: Request) -> Response:
        self.calls += 1
        fault = self.switch.strikes()
        if (broken := self._broken(request, fault)) is not None:
            self.failed += 1
            return broken
        self._leak.press()
        query = self._query(str(request.path_params["id"]), self._lookup_s(fault))
        return await unless_gone(request, query) or Silence(request)

    async def _query(self, order_id: str, lookup_s: float) -> Response:
        async with self.pool.connection() as held_s:
            await asyncio.sleep(lookup_s + held_s)
        return self._found(order_id)

    def _lookup_s(self, fault: FaultSpec | None) -> float:
        usual_s = self._rng.lognormvariate(0.0, 0.4) * LOOKUP_S
        late_s = self._bug.late_s(usual_s, self._rng)
        if fault is not None and fault.kind == "slow":
            late_s += slow_s(fault, usual_s)
        elif fault is not None and fault.kind == "cache_flush":
            late_s += (fault.number("factor") - 1.0) * usual_s
        return usual_s + late_s

    def _changed(self, fault: FaultSpec) -> None:
        self._leak.follow(fault)
        self.pool.follow(fault)

    def _broken(self, request: Request, fault: FaultSpec | None) -> Response | None:
        """What a caller gets instead of an answer; None when it gets one."""
        if fault is None or fault.kind in AT_WORK:
            return failed(500) if self._bug.fails(self._rng) else None
        kind = fault.kind
        if kind == "retries":
            return failed(self._rng.choice((500, 503))) if self._rng.random() < fault.number("failing") else None
        if kind == "outage":
            kind = self._rng.choice(("errors", "hang"))
        if kind == "hang":
            return Silence(request)
        if kind == "auth":
            return JSONResponse({"detail": "the order book does not know you"}, int(fault.number("status")))
        return failed(self.switch.pick_status(fault))

    def _found(self, order_id: str) -> Response:
        number = re.search(r"\d+$", order_id)
        order = find_order(self._book, int(number[0])) if number and len(number[0]) < 16 else None
        if order is None:
            return JSONResponse({"detail": f"there is no order {order_id!r}"}, 404)
        return JSONResponse(order)


def failed(status: int) -> Response:
    return JSONResponse({"detail": "the order book cannot be read now"}, status)


def slow_s(fault: FaultSpec, usual_s: float) -> float:
    """How much longer than usual a fault of kind "slow" makes a request."""
    if fault.parameters.get("factor") is None and fault.parameters.get("delay_s") is None:
        return SLOW_S
    return fault.number("delay_s") or (max(1.0, fault.number("factor")) - 1.0) * usual_s


def orders_app(book: sqlite3.Connection, seed: int, bug: Bug = FINE) -> Starlette:
    return app_of(Orders(book, random.Random(seed), bug))


def app_of(orders: Orders) -> Starlette:
    return Starlette(
        routes=[
            Route("/orders/{id}", orders.show),
            *control_routes(orders.switch, lambda: {"calls": orders.calls, "failed": orders.failed}),
        ]
    )


def traced(orders: Orders, version: str, zone: str) -> Any:
    """The app as an instrumented team runs it; `paramedic` is imported here because a bare arm has none."""
    import paramedic
    from paramedic.asgi import Traced
    from paramedic_demo import gauges

    paramedic.init(service="orders", version=version, zone=zone)
    gauges.tell(orders.pool)
    return Traced(app_of(orders), exclude=UNTRACED)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.orders", description="The demo shop's orders.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zone", default="eu-1")
    parser.add_argument("--arm", choices=("bare", "sdk", "platform"), default="platform")
    parser.add_argument("--db", default=":memory:", help="SQLite file; by default the book lives in memory")
    parser.add_argument("--seed", type=int, default=1)
    add_flags(parser)
    options = parser.parse_args(arguments)
    orders = Orders(open_book(options.db, options.seed), random.Random(options.seed), bug_of(options))
    serve(app_of(orders) if options.arm == "bare" else traced(orders, options.version, options.zone), options.port)


if __name__ == "__main__":
    main()
