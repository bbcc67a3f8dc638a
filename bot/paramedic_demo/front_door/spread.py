"""How a message reaches a bot: the plain call, and what an arm has to offer around it.

    app --> Spread --> spread_guarded: the SDK's Router, another zone when one fails    (arms platform and sdk)
                   --> spread_bare: the zones in turn                                   (arm bare)

Both end in `post`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx

LIMITS = httpx.Limits(max_connections=400, max_keepalive_connections=100, keepalive_expiry=30.0)


class Spread(Protocol):
    urls: dict[str, str]  # of the bot in each zone; a deploy changes it

    async def send(self, ask: Mapping[str, Any]) -> Mapping[str, Any]:
        """The reply of a bot, as JSON; raises when none could be had."""

    async def close(self) -> None: ...


def client(timeout_s: float) -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=timeout_s, limits=LIMITS, trust_env=False)


async def post(http: httpx.AsyncClient, url: str, ask: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    """Ask the bot at a URL.

    Raises:
        httpx.HTTPError: It cannot be reached, or answers with an error.
    """
    response = await http.post(f"{url}/chat", json=ask, headers=dict(headers))
    response.raise_for_status()
    return response.json()
