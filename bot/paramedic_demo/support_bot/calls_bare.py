"""The arm `bare`: each call made the way most teams write it on the first day. Nothing of paramedic is imported.

    await client(...)     that is all: a timeout of 30 s, the retries that the openai client comes with (two)

It is meant to be fair and not a straw man: it streams, it pools its connections, and a failed call fails the turn with
an apology instead of hanging on. What it has not got is a second thought: no fallback, no breaker, no deadline that
knows the user's, and no look at what came back.
"""

from paramedic_demo.answers import Order
from paramedic_demo.support_bot.calls import Answer, Backends, Prompt, want_prompt
from paramedic_demo.support_bot.wire import Settings

TIMEOUT_S = 30.0


class BareCalls:
    def __init__(self, settings: Settings) -> None:
        self._backends = Backends(settings, timeout_s=TIMEOUT_S)

    async def answer(self, prompt: Prompt) -> Answer:
        return await self._backends.complete("aurora", prompt, lambda: None)

    async def second_look(self, message: str) -> str:
        return (await self._backends.complete("borealis", want_prompt(message), lambda: None)).text

    async def order(self, number: str) -> Order | None:
        return await self._backends.order(number, {})

    async def close(self) -> None:
        await self._backends.close()
