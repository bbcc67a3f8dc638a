"""The arm `bare`: the zones in turn, as a first load balancer does it. No paramedic is imported.

    message 1 --> eu-1a,  message 2 --> eu-1b,  message 3 --> eu-1a ...

A timeout of 30 s, and what has failed has failed.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from paramedic_demo.front_door.spread import client, post

TIMEOUT_S = 30.0


class BareSpread:
    def __init__(self, bots: Mapping[str, str]) -> None:
        self.urls = dict(bots)
        self._http, self._turn = client(TIMEOUT_S), itertools.cycle(list(bots))

    async def send(self, ask: Mapping[str, Any]) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = await post(self._http, self.urls[next(self._turn)], ask, {})
        return reply

    async def close(self) -> None:
        await self._http.aclose()
