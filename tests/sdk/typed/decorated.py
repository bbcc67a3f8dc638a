"""What a decorated function looks like to a type checker: what it looked like before.

A line that ends in `# error` must be an error; every other line must be none.
"""

from collections.abc import Sequence
from typing import TypeVar, assert_type, overload

import paramedic

T = TypeVar("T")


@paramedic.guard("llm")
async def ask(question: str, *, temperature: float = 0.0) -> str:
    return question


@paramedic.guard("db", deadline_s=2, max_concurrent=8)
def look_up(key: int) -> bytes | None:
    return None


@paramedic.guard("first")
def first(items: Sequence[T]) -> T:
    return items[0]


@paramedic.guard("sized")
def nothing() -> None:
    return None


@overload
def load(key: int) -> bytes: ...
@overload
def load(key: str) -> str: ...
@paramedic.guard("store")
def load(key: int | str) -> bytes | str:
    return b"" if isinstance(key, int) else key


class Client:
    @paramedic.guard("orders", peer="orders-api")
    async def order(self, number: int) -> dict[str, int]:
        return {"number": number}

    @paramedic.guard("orders.count")
    def count(self) -> int:
        return 0

    @staticmethod
    @paramedic.guard("orders.ping")
    def ping(times: int) -> bool:
        return times > 0

    @classmethod
    @paramedic.guard("orders.make")
    def make(cls) -> "Client":
        return cls()


async def uses() -> None:
    assert_type(await ask("?", temperature=0.5), str)
    assert_type(look_up(1), bytes | None)
    assert_type(first(["a"]), str)
    assert_type(first([1]), int)
    assert_type(load(1), bytes)
    assert_type(load("k"), str)
    assert_type(await Client().order(7), dict[str, int])
    assert_type(Client().count(), int)
    assert_type(Client.ping(2), bool)
    assert_type(Client.make(), Client)
    assert_type(paramedic.Guard.of(ask), paramedic.Guard)

    await ask()  # error
    await ask(7)  # error
    await ask("?", heat=1)  # error
    look_up("1")  # error
    await Client().order("7")  # error
    Client.ping("2")  # error
    ask("?").upper()  # error


def guards_are_objects_too(guard: paramedic.Guard) -> None:
    paramedic.Guard("llm", deadline_s="8")  # error
    paramedic.Guard()  # error
    paramedic.Guard("llm", failure=5)  # error
    guard.force("ajar")  # error
    guard.force("open")


async def run_directly(guard: paramedic.Guard) -> None:
    async def answer(question: str) -> int:
        return len(question)

    def answer_sync(question: str) -> int:
        return len(question)

    assert_type(await guard.run(answer, "?"), int)
    assert_type(guard.run_sync(answer_sync, "?"), int)
    await guard.run(answer, 7)  # error
    guard.run_sync(answer_sync)  # error
    await guard.run(answer_sync, "?")  # error
