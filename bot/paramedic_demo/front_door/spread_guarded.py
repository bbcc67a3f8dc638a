"""The arms `platform` and `sdk`: the SDK's Router over the zones, within the time that a customer waits.

    message --9.5 s--> Router --> a healthy zone --fails--> the other zone, once

A turn is named by (conversation, turn) and carries its history, so sending it twice or elsewhere does no harm.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import paramedic
from paramedic.policy.breaker import Breaker
from paramedic_demo.front_door.spread import client, post

CUSTOMER_S = 9.5  # a customer leaves after 10 s
BOT_S = 9.0
BREAKER = Breaker(in_a_row=5)
SOCKET_S = 30.0  # a last line behind the deadlines

Send = Callable[[Mapping[str, Any]], Awaitable[Any]]


class GuardedSpread:
    def __init__(self, bots: Mapping[str, str]) -> None:
        self._http, self.urls = client(SOCKET_S), dict(bots)
        members = {zone: self._to(zone) for zone in bots}
        self._router = paramedic.Router("bot", members, peer="support-bot", deadline_s=BOT_S, breaker=BREAKER)

    async def send(self, ask: Mapping[str, Any]) -> Mapping[str, Any]:
        async with paramedic.deadline(CUSTOMER_S):
            reply: Mapping[str, Any] = await self._router(ask)
        return reply

    async def close(self) -> None:
        await self._http.aclose()

    def _to(self, zone: str) -> Send:
        async def send(ask: Mapping[str, Any]) -> Any:
            return await post(self._http, self.urls[zone], ask, paramedic.Guard.headers())

        return send
