"""The arms `platform` and `sdk`: the same calls, each behind a guard of the SDK.

    llm.primary (aurora, 6 s) --> llm.light (borealis, 4 s) --> template, when it truly answers --> apology
    llm.check   (borealis, 2 s) --> the customer's own words
    orders      (2 s) --> what the order was some minutes ago
    nlu         (1 s) --> a guess that is not sure counts as useless, and goes to a person

With a platform the guards also report and obey; without one they work alone. Nothing here knows which it is.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager

from opentelemetry import trace

from paramedic import Guard
from paramedic.policy.breaker import Breaker
from paramedic_demo.answers import APOLOGY, NOBODY, Order, reads_like_language
from paramedic_demo.intents import Guess
from paramedic_demo.provider_models import cost_usd
from paramedic_demo.support_bot.calls import Answer, Backends, Prompt, Unreachable, want_prompt
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.wire import Settings

TEMPLATE = "template"
BREAKER = Breaker(in_a_row=5)  # opens sooner than by its share of failures, when all fail
SOCKET_S = 30.0  # a last line behind the guards' deadlines
REMEMBERED_ORDERS, REMEMBERED_S = 500, 600.0
UNSURE = 0.7  # below this confidence a guess is of no use
HASTY_S = 0.1  # at most from one try to the next of who has no patience
TRACER = trace.get_tracer("support-bot")


class NoAnswer(LookupError):
    """This fallback has nothing that would truly answer."""


class Garbled(ValueError):
    """A model sent something that is no language."""


class GuardedCalls:
    """Calls behind guards.

    Args:
        settings: Where the backends are.
        clock: Seconds that never run backwards, for the age of remembered orders.
        troubles: What drills do to this bot.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.monotonic, troubles: Troubles | None = None
    ) -> None:
        self._troubles = troubles
        self._backends = Backends(settings, timeout_s=SOCKET_S, retries=0)
        self._remembered = RememberedOrders(clock)
        self._light = Guard(
            "llm.light",
            peer="borealis",
            deadline_s=4.0,
            fallbacks=[from_template, apology],
            breaker=BREAKER,
            check=useless,
        )
        self._primary = Guard(
            "llm.primary",
            peer="aurora",
            deadline_s=6.0,
            fallbacks=[self._ask_light],
            breaker=BREAKER,
            check=useless,
            max_concurrent=64,
        )
        self._check = Guard("llm.check", peer="borealis", deadline_s=2.0, fallbacks=[own_words], breaker=BREAKER)
        self._orders = Guard(
            "orders", peer="orders", deadline_s=2.0, fallbacks=[self._remembered.find], breaker=BREAKER
        )

        self._nlu = Guard("nlu", peer="nlu", deadline_s=1.0, breaker=None, check=unsure)

    async def understand(self, guess: Callable[[str], Guess], message: str) -> Guess:
        return self._nlu.run_sync(guess, message)

    def tool(self, name: str) -> AbstractContextManager[object]:
        about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.type": "function"}
        return TRACER.start_as_current_span(f"execute_tool {name}", attributes=about)

    async def answer(self, prompt: Prompt) -> Answer:
        if prompt.light:
            return await self._ask_light(prompt)
        return await self._primary.run(self._complete_primary, prompt)

    async def second_look(self, message: str) -> str:
        return await self._check.run(self._say_wish, message)

    async def order(self, number: str) -> Order | None:
        tries = self._troubles.tries() if self._troubles else 1
        try:
            if tries > 1:
                return await self._insist(number, tries)
            return await self._orders.run(self._look_up, number)
        except Exception as error:
            raise Unreachable(f"order {number} cannot be looked up: {error}") from error

    async def _insist(self, number: str, tries: int) -> Order | None:
        """A client as it should not be: again and again, and nobody who says stop."""
        hasty = Guard("orders", peer="orders", deadline_s=2.0, breaker=None)
        for _ in range(tries - 1):
            try:
                return await hasty.run(self._look_up, number)
            except Exception:
                await asyncio.sleep(random.uniform(0.0, HASTY_S))
        return await hasty.run(self._look_up, number)

    async def close(self) -> None:
        await self._backends.close()

    async def _ask_light(self, prompt: Prompt) -> Answer:
        return await self._light.run(self._complete_light, prompt)

    async def _complete_primary(self, prompt: Prompt) -> Answer:
        return await self._complete("aurora", prompt)

    async def _complete_light(self, prompt: Prompt) -> Answer:
        return await self._complete("borealis", prompt)

    async def _say_wish(self, message: str) -> str:
        return (await self._complete("borealis", want_prompt(message))).text

    async def _look_up(self, number: str) -> Order | None:
        order = await self._backends.order(number, Guard.headers())
        self._remembered.add(number, order)
        return order

    async def _complete(self, provider: str, prompt: Prompt) -> Answer:
        call, model = Guard.current(), self._backends.model_names[provider]
        call.set("gen_ai.operation.name", "chat")
        call.set("gen_ai.provider.name", provider)
        call.set("gen_ai.request.model", model)
        answer = await self._backends.complete(provider, prompt, call.first_token)
        tokens_in, tokens_out = answer.usage
        call.set("gen_ai.response.model", model)
        call.set("gen_ai.response.finish_reasons", [answer.finish or "none"])
        call.tokens(input=tokens_in, output=tokens_out)
        call.cost_usd(cost_usd(model, tokens_in, tokens_out))
        if not reads_like_language(answer.text):
            raise Garbled(f"{model} answered {answer.text[:40]!r}")
        return answer


class RememberedOrders:
    """Orders that were looked up lately: better an order of some minutes ago than none."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._orders: OrderedDict[str, tuple[float, Order]] = OrderedDict()  # oldest first

    def add(self, number: str, order: Order | None) -> None:
        if order is None:
            return
        self._orders[number] = (self._clock(), order)
        self._orders.move_to_end(number)
        if len(self._orders) > REMEMBERED_ORDERS:
            self._orders.popitem(last=False)

    async def find(self, number: str) -> Order | None:
        """The order as it was.

        Raises:
            NoAnswer: It was not looked up within the last minutes.
        """
        at, order = self._orders.get(number, (float("-inf"), None))
        if order is None or self._clock() - at > REMEMBERED_S:
            raise NoAnswer(f"order {number} was not looked up within {REMEMBERED_S:.0f} s")
        return order


def useless(answer: Answer) -> str | None:
    """What is wrong with an answer that arrived; None when it will do."""
    if answer.tools:
        return None
    if answer.finish == "content_filter":
        return "refused"
    if answer.finish is None:
        return "cut"
    return None if answer.text.strip() else "empty"


def unsure(guess: Guess) -> str | None:
    """What is wrong with a guess at what a customer wants; None when it will do."""
    return "low_confidence" if guess.confidence < UNSURE else None


async def from_template(prompt: Prompt) -> Answer:
    if not prompt.template:
        raise NoAnswer("no template answers this")
    return Answer(prompt.template, TEMPLATE)


async def apology(prompt: Prompt) -> Answer:
    return Answer(APOLOGY, NOBODY)


async def own_words(message: str) -> str:
    """Without a second opinion the customer's own words have to bear the topic out."""
    return message
