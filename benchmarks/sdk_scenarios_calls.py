"""Bad days of calls: each plays one thing on a library and says what came of it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from sdk_backends import Backend, StatusError, light_answer
from sdk_libraries import Cell, Library, bounded, not_offered, said, timed

PATIENCE = 20  # deadlines after which a scenario gives up waiting


async def outcome(ask: Callable[[], Awaitable[str]]) -> str | Exception:
    """What a caller gets."""
    try:
        return await ask()
    except Exception as error:
        return error


async def times(count: int, ask: Callable[[], Awaitable[str]]) -> None:
    for _ in range(count):
        await outcome(ask)


async def async_function(library: Library) -> Cell:
    backend = Backend()
    backend.error = StatusError(500)
    if (ask := library.on_async(backend, failures=5, rest_s=60)) is not None:
        await times(10, ask)
        return said(backend.reached == 5, f"{backend.reached} of 10 failing calls reached the backend")
    if (ask := library.retrying(backend, attempts=3, base_s=0.001)) is not None:
        await outcome(ask)
        return said(backend.reached == 3, f"{backend.reached} attempts of 3; it has no breaker")
    return not_offered()


async def stampede(library: Library) -> Cell:
    backend, rest_s = Backend(), 2 * library.unit_s
    backend.error = StatusError(500)
    if (ask := library.breaker(backend, failures=5, rest_s=rest_s)) is None:
        return not_offered()
    await times(6, ask)
    if backend.reached != 5:
        return Cell("wrong", f"the breaker did not open: {backend.reached} of 6 failing calls reached the backend")
    await asyncio.sleep(1.2 * rest_s)
    backend.takes_s, backend.reached = 0.02, 0
    await asyncio.gather(*(outcome(ask) for _ in range(50)))
    return said(backend.reached == 1, f"{backend.reached} of 50 reached the sick backend")


async def at_once(library: Library) -> Cell:
    backend = Backend()
    backend.company = 10
    ask = library.breaker(backend, failures=5, rest_s=60) or library.retrying(backend, attempts=2, base_s=0.001)
    if ask is None:
        return not_offered()
    await asyncio.gather(*(outcome(ask) for _ in range(10)))
    return said(backend.most == 10, f"{backend.most} of 10 calls ran at once")


async def hang(library: Library) -> Cell:
    backend, deadline_s = Backend(), library.unit_s
    backend.hangs = True
    ask = library.bounded(backend, failures=3, deadline_s=deadline_s, fallback=light_answer)
    if ask is None:
        return not_offered("no deadline for a call")
    answers: list[str] = []

    async def asks() -> None:
        answers.append(await ask())

    began = time.monotonic()
    error, given_up = await bounded(asks(), PATIENCE * deadline_s)
    if given_up:
        return Cell("wrong", f"no answer after {PATIENCE} deadlines")
    took = (time.monotonic() - began) / deadline_s
    for _ in range(4):
        await bounded(asks(), PATIENCE * deadline_s)
    counted = backend.reached == 3
    got = type(error).__name__ if error is not None else "the fallback's answer"
    verdict = "counted as failures" if counted else "not counted as failures"
    return said(counted and took < 10, f"{got} after {timed(took)} deadlines; hangs are {verdict}")


async def callers_timeout(library: Library) -> Cell:
    backend = Backend()
    backend.hangs = True
    if (ask := library.guarded(backend, failures=3, limit=3)) is None:
        return not_offered()
    for _ in range(6):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(outcome(ask), library.unit_s)
    reached = backend.reached
    backend.hangs = False
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(outcome(ask), PATIENCE * library.unit_s)
        if backend.reached == 7 and reached == 6:
            return Cell("right", "after 6 callers who gave up the next one is served")
    if reached < 6:
        return Cell("wrong", f"{reached} callers who gave up closed the path for the others")
    if reached > 6:
        return Cell("wrong", f"6 callers who gave up made {reached} calls")
    return Cell("wrong", "after 6 callers who gave up the next one is not served")


async def cancelled_while_waiting(library: Library) -> Cell:
    backend = Backend()
    backend.takes_s = library.unit_s
    limited = library.limited(backend, limit=2, wait_s=10)
    if limited is None:
        return not_offered("no limit of calls at once")
    tasks = [asyncio.ensure_future(outcome(limited.ask)) for _ in range(10)]
    for _ in range(5):
        await asyncio.sleep(0.2 * library.unit_s)
        tasks.pop().cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(2 * library.unit_s)
    backend.most, backend.inside, backend.company = 0, 0, 2
    later = asyncio.gather(*(outcome(limited.ask) for _ in range(2)))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(later, PATIENCE * library.unit_s)
    return said(backend.most == 2, f"{2 - backend.most} of 2 permits leaked")


async def retry_after(library: Library) -> Cell:
    backend, asked_s = Backend(), library.retry_after_s
    backend.error, backend.errors_left = StatusError(429, {"retry-after": f"{asked_s:g}"}), 1
    if (ask := library.patient(backend, attempts=3, base_s=0.01)) is None:
        return not_offered("no retries")
    await outcome(ask)
    if backend.reached < 2:
        return Cell("wrong", "not asked again")
    waited = (backend.at[1] - backend.at[0]) / asked_s
    early = "" if waited >= 0.99 else ", too early"
    return said(waited >= 0.99, f"asked again after {timed(waited)} of the time that the provider asked for{early}")


async def layers(library: Library) -> Cell:
    backend = Backend()
    backend.error = StatusError(503)
    ask: Callable[[], Awaitable[str]] | None = backend
    for _ in range(3):
        assert ask is not None
        ask = library.retrying(ask, attempts=3, base_s=0.001)
        if ask is None:
            return not_offered("no retries")
    await outcome(ask)
    return said(backend.reached <= 3, f"{backend.reached} calls to the backend for one request")


async def storm(library: Library) -> Cell:
    backend = Backend()
    backend.error = StatusError(503)
    if (ask := library.retrying(backend, attempts=3, base_s=0.001)) is None:
        return not_offered("no retries")
    for _ in range(10):
        await asyncio.gather(*(outcome(ask) for _ in range(20)))
    factor = backend.reached / 200
    return said(factor <= 1.1, f"{backend.reached} calls for 200 requests: {factor:.2f} each")


async def brownout(library: Library) -> Cell:
    """Two of five fail: not enough for a breaker of failures in a row or of half of all calls."""
    backend = Backend()
    backend.error, backend.fails_of_five = StatusError(503), 2
    if (ask := library.retrying(backend, attempts=3, base_s=0.001)) is None:
        return not_offered("no retries")
    answered = 0
    for _ in range(25):
        answers = await asyncio.gather(*(outcome(ask) for _ in range(20)))
        answered += sum(isinstance(answer, str) for answer in answers)
    factor = backend.reached / 500
    what = f"{factor:.1f} calls a request, {round(answered / 5, -1):.0f} % answered"
    return said(factor <= 1.2 and answered >= 250, what)


async def forced_open(library: Library) -> Cell:
    """Closed for eight rests by somebody who then falls silent."""
    backend, rest_s = Backend(), library.unit_s
    if (forced := library.forced(backend, rest_s=rest_s)) is None:
        return not_offered("nobody can close it")
    await outcome(forced.ask)
    backend.reached, seconds = 0, 8 * rest_s
    closing = forced.close(seconds)
    if closing is not None:
        await closing
    ends = time.monotonic() + seconds
    while time.monotonic() < ends - 2 * rest_s:
        await outcome(forced.ask)
        await asyncio.sleep(rest_s / 5)
    during, backend.reached = backend.reached, 0
    await asyncio.sleep(max(0.0, ends - time.monotonic()) + 4 * rest_s)
    await times(3, forced.ask)
    obeyed = "obeyed" if not during else "a timer of its own opened it too early"
    ended = "ends by itself" if backend.reached else "for ever, until somebody comes back"
    return said(not during and backend.reached > 0, f"{obeyed}; {ended}")


async def empty_answer(library: Library) -> Cell:
    backend = Backend()
    backend.answer = ""
    if (ask := library.checked(backend, good=bool, fallback=light_answer)) is None:
        return not_offered("an answer is an answer")
    answer = await outcome(ask)
    right = answer == await light_answer()
    return said(right, "the fallback's answer" if right else f"the caller gets {answer!r}")
