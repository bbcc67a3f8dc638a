"""Generators keep their type under a guard."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import assert_type

import paramedic


@paramedic.guard("llm.stream")
async def tell(question: str) -> AsyncIterator[str]:
    yield question


@paramedic.guard("llm.bytes")
async def tell_bytes(count: int) -> AsyncGenerator[bytes, None]:
    yield b""


@paramedic.guard("rows")
def rows(limit: int = 10) -> Iterator[dict[str, int]]:
    yield {}


@paramedic.guard("lines")
def lines() -> Generator[str, None, None]:
    yield ""


class Client:
    @paramedic.guard("llm.client")
    async def tell(self, question: str) -> AsyncGenerator[str, None]:
        yield question


async def uses() -> None:
    async for word in tell("?"):
        assert_type(word, str)
    async for piece in Client().tell("?"):
        assert_type(piece, str)
    async for part in tell_bytes(2):
        assert_type(part, bytes)
    for row in rows(limit=3):
        assert_type(row, dict[str, int])
    for line in lines():
        assert_type(line, str)
    await tell_bytes(2).aclose()

    await tell("?")  # error
    for _letter in tell("?"):  # error
        pass
    async for _word in tell(7):  # error
        pass
    rows(limits=3)  # error
    async for _word in Client().tell():  # error
        pass
