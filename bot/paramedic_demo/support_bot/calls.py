"""What the bot calls, and the plain calls themselves; how an arm protects them stands in its own module.

    turns --> Calls --> calls_guarded: guards, deadlines, fallbacks     (arms platform and sdk)
                    --> calls_bare: the call, and nothing around it     (arm bare)

Both use `Backends`: the openai client and an HTTP client.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx
from openai import DEFAULT_MAX_RETRIES, AsyncOpenAI

from paramedic_demo.answers import Order
from paramedic_demo.intents import Guess
from paramedic_demo.support_bot.wire import Settings

Message = Mapping[str, Any]


class Unreachable(Exception):
    """An arm has tried what it can to reach a backend: the turn ends with an apology, not with an error."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called before it answers."""

    id: str
    name: str
    arguments: str  # JSON text, as the model wrote it


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model."""

    messages: tuple[Message, ...]
    tools: tuple[Message, ...] = ()
    template: str = ""  # an answer that really answers, for when no model does; empty when there is none
    light: bool = False  # begin with the light model: it has the conversation since the other one failed
    most_tokens: int = 300

    def then(self, *messages: Message, light: bool) -> "Prompt":
        return replace(self, messages=(*self.messages, *messages), light=light)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    text: str
    by: str  # the provider, or "template" or answers.NOBODY
    tools: tuple[ToolCall, ...] = ()
    finish: str | None = None  # None: the stream ended before the model did
    usage: tuple[int, int] = (0, 0)  # tokens in and out


class Calls(Protocol):
    """What a turn needs from outside of the process."""

    async def answer(self, prompt: Prompt) -> Answer:
        """A model's answer, or what stands in for it."""

    async def understand(self, guess: Callable[[str], Guess], message: str) -> Guess:
        """What the classifier takes a message for."""

    def tool(self, name: str) -> AbstractContextManager[object]:
        """Around what an agent does when its model calls a tool."""

    async def second_look(self, message: str) -> str:
        """In one sentence of the light model, what the customer wants; the message itself when it cannot say."""

    async def order(self, number: str) -> Order | None:
        """An order; None when there is none of that number.

        Raises:
            Unreachable: Nobody can say; other exceptions fail the turn.
        """


@dataclass(slots=True)
class Pieces:
    """The pieces of a streamed answer, put together."""

    text: list[str] = field(default_factory=list)
    tools: dict[int, list[str]] = field(default_factory=dict)  # by index: id, name, arguments
    finish: str | None = None
    usage: tuple[int, int] = (0, 0)

    def add(self, chunk: Any) -> bool:
        """Take one chunk; True when it carries something of the answer."""
        if chunk.usage is not None:
            self.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        if not chunk.choices:
            return False
        choice = chunk.choices[0]
        self.finish = choice.finish_reason or self.finish
        for piece in choice.delta.tool_calls or ():
            known = self.tools.setdefault(piece.index, ["", "", ""])
            known[0] = piece.id or known[0]
            known[1] += piece.function.name or ""
            known[2] += piece.function.arguments or ""
        if choice.delta.content:
            self.text.append(choice.delta.content)
        return bool(choice.delta.content or choice.delta.tool_calls)

    def answer(self, by: str) -> Answer:
        tools = tuple(ToolCall(*parts) for _, parts in sorted(self.tools.items()))
        return Answer("".join(self.text), by, tools, self.finish, self.usage)


class Backends:
    """The clients, as any team makes them.

    Args:
        timeout_s: Of each client.
        retries: Of the openai client; by default the number that it comes with.
    """

    def __init__(self, settings: Settings, *, timeout_s: float, retries: int = DEFAULT_MAX_RETRIES) -> None:
        key = settings.api_key
        self._models: dict[str, Any] = {
            "aurora": AsyncOpenAI(api_key=key, base_url=settings.aurora_url, timeout=timeout_s, max_retries=retries),
            "borealis": AsyncOpenAI(
                api_key=key, base_url=settings.borealis_url, timeout=timeout_s, max_retries=retries
            ),
        }
        self.model_names = {"aurora": settings.aurora_model, "borealis": settings.borealis_model}
        self._orders = httpx.AsyncClient(base_url=settings.orders_url, timeout=timeout_s, trust_env=False)

    async def complete(self, provider: str, prompt: Prompt, on_first: Callable[[], None]) -> Answer:
        """Stream one answer; `on_first` is called when the first piece of it is here."""
        pieces, waiting = Pieces(), True
        asked: dict[str, Any] = {"tools": list(prompt.tools)} if prompt.tools else {}
        stream = await self._models[provider].chat.completions.create(
            model=self.model_names[provider],
            messages=list(prompt.messages),
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=prompt.most_tokens,
            **asked,
        )
        async with stream:
            async for chunk in stream:
                if pieces.add(chunk) and waiting:
                    waiting = False
                    on_first()
        return pieces.answer(provider)

    async def order(self, number: str, headers: Mapping[str, str]) -> Order | None:
        response = await self._orders.get(f"/orders/{number}", headers=dict(headers))
        if response.status_code == 404:
            return None
        response.raise_for_status()
        found: Order = response.json()
        return found

    async def close(self) -> None:
        for client in self._models.values():
            await client.close()
        await self._orders.aclose()


def want_prompt(message: str) -> Prompt:
    """The question of the second look."""
    system = "Say in one short sentence what the customer of an online shop wants to know or to have done."
    return Prompt(({"role": "system", "content": system}, {"role": "user", "content": message}), most_tokens=60)
