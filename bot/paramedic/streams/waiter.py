"""What a guard interrupts when a stream is late, or when a command lets it go: one timer, re-armed lazily.

waits for a chunk --> armed once --> looks: not late yet --> armed for the rest
                                            late         --> what the stream waits for is cancelled
"""

import asyncio
import time
import weakref
from collections.abc import Callable
from typing import Any

from paramedic.policy.streaming import DEADLINE, INF, Progress

NEVER = -INF
NOTHING: Any = object()  # what is being waited for while nothing is; a bare yield waits for None


class Waiter:
    """Stands where the guard of a call has the call's task.

    The task that asks for the next chunk may be another one each time, and between two chunks it does
    something of its own: cancelling it would hit the caller. Cancelling what the stream waits for ends its
    step alike, and leaves the task's count of cancellations to those who really cancel it.

    Attributes:
        progress: Of the stream.
        cancelled: Whether the guard has cancelled it.
        waits_for: What the stream waits for; NOTHING while it does not.
        attentive: Whether `must_interrupt` must be asked before the stream waits again.
        alarmed: Whether the step that is being waited for was interrupted.
    """

    # Defaults of the class cost nothing when a stream begins.
    progress: Progress | None = None
    cancelled = alarmed = False
    waits_for: Any = NOTHING
    attentive = True
    _told = _owed = False  # an interruption that the stream heard of; one that it could not yet
    timer: asyncio.TimerHandle | None = None
    _begun_by: "weakref.ref[asyncio.Task[Any]] | None" = None  # the task in which it first waited
    _count = 0  # of cancellations of that task

    def __init__(self) -> None:
        self.loop = loop = asyncio.get_running_loop()
        stock = type(loop).time is asyncio.BaseEventLoop.time
        self.clock: Callable[[], float] = time.monotonic if stock else loop.time

    # What a guard asks of a task

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self.loop

    def cancel(self, msg: object = None) -> bool:
        """End the stream now, or when its next chunk is asked for."""
        self.cancelled = True
        if self.progress is not None:
            self.progress.until = NEVER
        self._interrupt()
        return True

    def cancelling(self) -> int:
        """How often the caller was cancelled since the stream first waited."""
        task = asyncio.current_task()
        if task is None:
            return 0
        same = self._begun_by is not None and self._begun_by() is task
        return max(0, task.cancelling() - (self._count if same else 0))

    def uncancel(self) -> int:
        self.cancelled = False
        return self.cancelling()

    # What the stream's steps ask

    def follow(self, progress: Progress) -> None:
        """Begin with an attempt."""
        self.progress = progress
        if self.cancelled or self.alarmed:
            self.cancelled = self.alarmed = self._told = self._owed = False

    def must_interrupt(self) -> bool:
        """Before it waits, while `attentive`: whether it must be interrupted instead. Sets the timer."""
        self.attentive = False
        if self._begun_by is None:
            self._remember(asyncio.current_task())
        if self._owed:
            self._owed, self._told = False, True
            return True
        if self.timer is None and not self._told:
            self._arm()
        return False

    def hear_out(self) -> None:
        """Something else has ended what it waits for: that is interruption enough."""
        self._owed, self._told = False, self._told or self._owed

    def forgive(self) -> None:
        """A chunk came although it was told to end."""
        self.alarmed = self._told = self._owed = False
        self.attentive = True
        if self.progress is not None:
            self.progress.late = None

    def disarm(self) -> None:
        """Look no more, or not before it waits again."""
        self.waits_for, self.attentive = NOTHING, True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def overdue(self) -> BaseException:
        """What ends a stream whose next chunk must not be asked for any more."""
        if self.progress is not None and not self.cancelled:
            self.progress.late = DEADLINE
        return asyncio.CancelledError()

    @property
    def interrupted(self) -> bool:
        return self.cancelled or (self.progress is not None and self.progress.late is not None)

    def _remember(self, task: "asyncio.Task[Any] | None") -> None:
        if task is not None:
            self._begun_by, self._count = weakref.ref(task), task.cancelling()

    def _arm(self) -> None:
        when = INF if self.progress is None else self.progress.limit()[0]
        if when != INF:
            self.timer = self.loop.call_later(max(0.0, when - self.clock()), self._look)

    def _look(self) -> None:
        self.timer, self.attentive = None, True
        if self.waits_for is NOTHING or self.progress is None or self._told:
            return  # the caller holds a chunk: asking for the next one arms again
        self.progress.late = self.progress.lateness(self.clock())
        if self.progress.late is None:
            self._arm()
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        cancel = getattr(self.waits_for, "cancel", None)
        self.alarmed = self.attentive = True
        self._told = cancel is not None and bool(cancel())
        self._owed = not self._told
