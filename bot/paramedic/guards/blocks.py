"""A guarded block of code: ``with guard.call() as call:``, or ``async with``.

enter --> begin, or Refused --> the block --> its end is the verdict, as for a function
"""

import asyncio
from types import TracebackType

from paramedic.guards.attempts import Attempts
from paramedic.guards.calls import Call


class CallBlock:
    """One guarded call made by a block; for one block, once.

    ``async with`` ends the block when its deadline is over; ``with`` cannot, and a late end counts as a timeout.
    """

    def __init__(self, guard: Attempts) -> None:
        self._guard = guard
        self._call: Call | None = None

    def __enter__(self) -> Call:
        return self._begin(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        call = self._call
        assert call is not None
        if error is not None:
            self._guard.failed(call, error)
        else:
            self._guard.left(call)

    async def __aenter__(self) -> Call:
        call = self._begin(asyncio.current_task())
        if call.timeout_s is not None:
            call.end_in(call.timeout_s)
        return call

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, where)

    def _begin(self, task: "asyncio.Task[object] | None") -> Call:
        if self._call is not None:
            raise RuntimeError(f"guard.call() of {self._guard.name!r} guards one block, once; call it again")
        self._call = self._guard.begin(task)
        return self._call
