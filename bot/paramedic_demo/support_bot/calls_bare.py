"""The arm `bare`: each call made the way most teams write it on the first day. Nothing of paramedic is imported.

    await client(...)     that is all: a timeout of 30 s, the retries that the openai client comes with (two)

It is meant to be fair and not a straw man: it streams, it pools its connections, and a failed call fails the turn with
an apology instead of hanging on. What it has not got is a second thought: no fallback, no breaker, no deadline that
knows the user's, and no look at what came back.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import httpx

from paramedic_demo.answers import Order
from paramedic_demo.intents import Guess
from paramedic_demo.support_bot.calls import Answer, Backends, Prompt, want_prompt
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.wire import Settings

TIMEOUT_S = 30.0


class BareCalls:
    def __init__(self, settings: Settings, troubles: Troubles | None = None) -> None:
        self._backends, self._troubles = Backends(settings, timeout_s=TIMEOUT_S), troubles

    async def answer(self, prompt: Prompt) -> Answer:
        return await self._backends.complete("aurora", prompt, lambda: None)

    async def understand(self, guess: Callable[[str], Guess], message: str) -> Guess:
        return guess(message)

    def tool(self, name: str) -> AbstractContextManager[object]:
        return nullcontext()

    async def second_look(self, message: str) -> str:
        return (await self._backends.complete("borealis", want_prompt(message), lambda: None)).text

    async def order(self, number: str) -> Order | None:
        for _ in range(self._troubles.tries() - 1 if self._troubles else 0):
            try:
                return await self._backends.order(number, {})
            except httpx.HTTPError:
                continue
        return await self._backends.order(number, {})

    async def close(self) -> None:
        await self._backends.close()
