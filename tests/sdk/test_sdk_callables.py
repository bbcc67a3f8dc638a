"""What is guarded may be any callable: what counts is what calling it gives."""

import functools

import pytest

from paramedic import BreakerOpen, Guard, Router
from paramedic.guards.callables import is_async, is_async_stream, is_sync_stream
from paramedic.policy.breaker import Breaker


class Asked:
    async def __call__(self, question):
        raise ConnectionError(question)


class Streamed:
    async def __call__(self, question):
        yield question


async def ask(question):
    return question


def plain(question):
    return question


def read(question):
    yield question


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (plain, (False, False, False)),
        (ask, (True, False, False)),
        (Asked(), (True, False, False)),
        (functools.partial(Asked(), "hi"), (True, False, False)),
        (functools.partial(functools.partial(ask), "hi"), (True, False, False)),
        (Router("r", {"a": ask}), (True, False, False)),
        (Streamed(), (False, True, False)),
        (read, (False, False, True)),
        (Asked, (False, False, False)),  # calling the class makes one
        (Asked().__call__, (True, False, False)),
    ],
)
def test_a_callable_is_known_by_what_calling_it_gives(fn, shape):
    assert (is_async(fn), is_async_stream(fn), is_sync_stream(fn)) == shape


def test_the_failures_of_an_object_that_is_awaited_open_the_breaker(run):
    guarded = Guard("llm", breaker=Breaker(in_a_row=2))(Asked())

    async def main():
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await guarded("hi")
        with pytest.raises(BreakerOpen):
            await guarded("hi")

    run(main())


def test_a_router_can_stand_under_a_guard_with_a_fallback(run):
    guarded = Guard("llm", fallbacks=[ask])(Router("r", {"a": Asked()}))
    assert run(guarded("hi")) == "hi"


def test_an_object_that_streams_is_guarded_as_a_stream(run):
    guarded = Guard("llm")(Streamed())

    async def main():
        return [chunk async for chunk in guarded("hi")]

    assert run(main()) == ["hi"]


def test_a_sync_function_cannot_have_a_fallback_that_must_be_awaited():
    with pytest.raises(TypeError, match="cannot await"):
        Guard("llm", fallbacks=[Asked()])(plain)
