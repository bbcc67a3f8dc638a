"""The shells of a guard: they make the call, sync or async, and carry out what `policy` decides.

begin --> the call --> ended, failed       of one attempt: `attempt`, `attempt_sync`
  +--> wait, again --> fallbacks           of a logical call: `guarded`, `guarded_sync`
"""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from paramedic.guards.attempts import Useless
from paramedic.guards.budget import Block, inherited_key
from paramedic.guards.obeying import Obeying
from paramedic.guards.recovering import Recovering, Step, marks
from paramedic.guards.tasks import running_loop, task_of
from paramedic.guards.waits import waits
from paramedic.policy.recovery import Means

R = TypeVar("R")


class Shells(Obeying):
    """Makes the calls of a guard.

    Attributes:
        means: What it has to recover with.
    """

    means: Means
    _make_key: Callable[..., str] | None

    async def attempt(self, fn: Callable[..., Awaitable[R]], args: Any, kwargs: Any, probe: bool | None = None) -> R:
        """One call without retries and fallbacks; `Useless` stands for an answer that helps nobody."""
        call = self.begin(task_of(running_loop()), probe)
        if call.timeout_s is not None:
            call.end_in(call.timeout_s)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self.failed(call, error)
            raise
        self.ended(call, result)
        return result

    def attempt_sync(self, fn: Callable[..., R], args: Any, kwargs: Any, probe: bool | None = None) -> R:
        """As `attempt`, for a function that cannot be interrupted."""
        call = self.begin(None, probe)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self.failed(call, error)
            raise
        self.ended(call, result)
        return result

    def guarded(self, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The function with all that this guard does for a logical call."""
        begin, ended = self.begin, self.ended

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            since = marks.count
            try:
                call = begin(task_of(running_loop()))  # as `attempt`, without the cost of another coroutine
                if not call.plain and call.timeout_s is not None:
                    call.end_in(call.timeout_s)
                try:
                    result = await fn(*args, **kwargs)
                except BaseException as error:
                    self.failed(call, error)
                    raise
                ended(call, result)
                return result
            except Exception as error:
                if self.means.none and not isinstance(error, Useless):
                    raise
                recovering, step = self._first_step(error, since)
            return await self.recover(recovering, step, fn, args, kwargs)

        async def keyed(*args: Any, **kwargs: Any) -> Any:
            with self.keyed(args, kwargs):
                return await guarded(*args, **kwargs)

        return guarded if self._make_key is None else keyed

    def guarded_sync(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """As `guarded`, for a function that cannot be interrupted."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            since = marks.count
            try:
                return self.attempt_sync(fn, args, kwargs)
            except Exception as error:
                if self.means.none and not isinstance(error, Useless):
                    raise
                recovering, step = self._first_step(error, since)
            return self.recover_sync(recovering, step, fn, args, kwargs)

        def keyed(*args: Any, **kwargs: Any) -> Any:
            with self.keyed(args, kwargs):
                return guarded(*args, **kwargs)

        return guarded if self._make_key is None else keyed

    def _first_step(self, error: Exception, since: int) -> tuple[Recovering, Step | None]:
        recovering = Recovering.of(self, since)
        return recovering, recovering.failed(error)

    async def recover(
        self, recovering: Recovering, step: Step | None, fn: Callable[..., Awaitable[Any]], args: Any, kwargs: Any
    ) -> Any:
        """Carry out the steps after an attempt that did not help."""
        while step is not None:
            try:
                if step.wait_s:
                    await waits.asleep(step.wait_s)
                async with step.block():
                    if step.fn is None:
                        return await self.attempt(fn, args, kwargs)
                    answer = step.fn(*args, **kwargs)
                    return await answer if inspect.isawaitable(answer) else answer
            except Exception as error:
                step = recovering.failed(error)
        return recovering.give_up()

    def recover_sync(
        self, recovering: Recovering, step: Step | None, fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """As `recover`, for functions that cannot be interrupted."""
        while step is not None:
            try:
                if step.wait_s:
                    waits.sleep(step.wait_s)
                with step.block():
                    return self.attempt_sync(fn, args, kwargs) if step.fn is None else step.fn(*args, **kwargs)
            except Exception as error:
                step = recovering.failed(error)
        return recovering.give_up()

    def keyed(self, args: Any, kwargs: Any) -> "AbstractContextManager[object]":
        """What to make a logical call in, with all its attempts and fallbacks: it has their one idempotency key."""
        if self._make_key is None or inherited_key():
            return _NO_KEY
        try:
            return Block(key=str(self._make_key(*args, **kwargs)))
        except Exception as error:
            self.fault("idempotency key", "guard %r: its idempotency_key fails with %r; calls go without one", error)
            return _NO_KEY


_NO_KEY = nullcontext()
