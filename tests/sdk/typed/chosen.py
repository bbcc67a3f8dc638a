"""A cascade takes what its members take and gives what they give; remembered answers keep their function's type."""

from typing import assert_type

import paramedic
from paramedic.answers import Answers
from paramedic.routing.cascade import Cascade
from paramedic.routing.members import Member


async def small(question: str, *, temperature: float = 0.0) -> str:
    return question


async def large(question: str, *, temperature: float = 0.0) -> str:
    return question


async def other(number: int) -> str:
    return str(number)


def small_sync(question: str) -> list[str]:
    return [question]


def large_sync(question: str) -> list[str]:
    return [question]


def empty(answer: str) -> str | None:
    return None if answer else "empty"


cascade = Cascade("llm", [Member(small, cost=1), Member(large, cost=9)], check=empty)
sync_cascade = Cascade("llm", [small_sync, large_sync], check=lambda answer: None)
answers = Answers(seconds=60)


@paramedic.guard("llm", fallbacks=[answers.recall])
@answers.remembering
async def ask(question: str) -> str:
    return question


async def uses() -> None:
    assert_type(await cascade("?"), str)
    assert_type(await cascade("?", temperature=0.2), str)
    assert_type(sync_cascade.run_sync("?"), list[str])
    assert_type(await ask("?"), str)

    await cascade(7)  # error
    await cascade("?", heat=2)  # error
    await sync_cascade("?")  # error
    sync_cascade.run_sync()  # error
    await ask(7)  # error
    Cascade("llm", [small, other], check=empty)  # error
    Cascade("llm", [small, large])  # error
    Cascade("llm", [small, large], check=empty, clocks=None)  # error
    Member(small, cost="1")  # error
    Member(small, "aurora")  # error
