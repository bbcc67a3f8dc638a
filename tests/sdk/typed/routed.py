"""A router takes what its members take and gives what they give."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from paramedic import Fallback, Member, Retry, Router


async def aurora(question: str, *, temperature: float = 0.0) -> str:
    return question


async def borealis(question: str, *, temperature: float = 0.0) -> str:
    return question


async def other(number: int) -> str:
    return str(number)


def aurora_sync(question: str) -> bytes:
    return b""


def borealis_sync(question: str) -> bytes:
    return b""


async def told(question: str) -> AsyncIterator[str]:
    yield question


async def told_elsewhere(question: str) -> AsyncIterator[str]:
    yield question


def rows(limit: int) -> Iterator[int]:
    yield limit


def other_rows(limit: int) -> Iterator[int]:
    yield limit


router = Router(
    "llm",
    {"a": Member(aurora, peer="aurora", region="eu", weight=3), "b": Member(borealis, peer="borealis")},
    deadline_s=9,
    fallbacks=[Fallback(aurora, deadline_s=2), aurora],
    retry=Retry(attempts=2),
    max_concurrent=8,
)
zones = Router("bot", {"a": aurora, "b": borealis})
sync = Router("db", {"a": aurora_sync, "b": borealis_sync}, retry=3)
streams = Router("llm.stream", {"a": told, "b": told_elsewhere}, first_token_s=2.0, idle_s=5.0)
sync_streams = Router("rows", {"a": rows, "b": other_rows})


async def uses() -> None:
    assert_type(await router("?"), str)
    assert_type(await router("?", temperature=1.0), str)
    assert_type(await zones("?"), str)
    assert_type(sync.run_sync("?"), bytes)
    async for word in streams.stream("?"):
        assert_type(word, str)
    for row in sync_streams.stream_sync(3):
        assert_type(row, int)

    await router(7)  # error
    await router()  # error
    await router("?", heat=1)  # error
    await sync("?")  # error
    sync.run_sync(1)  # error
    await streams("?")  # error
    streams.stream(7)  # error
    router.stream("?")  # error
    sync_streams.stream_sync()  # error
    Router("llm", {"a": aurora, "b": other})  # error
    Router("llm", {"a": aurora}, failures=5)  # error
    Router("llm", [aurora])  # error
