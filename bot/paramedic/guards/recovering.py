"""Carries out what `policy.recovery` decides for a guard, for every kind of shell alike.

recovering = Recovering(guard, since)
step = recovering.failed(error)
while step is not None:       wait step.wait_s; inside step.block(): call step.fn, or the guarded call again
    step = recovering.failed(the next error)
recovering.give_up()
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from paramedic.guards.attempts import Attempts, Useless
from paramedic.guards.budget import Block, frame, inherited_key, left_s
from paramedic.guards.fallbacks import Fallback
from paramedic.guards.refusals import Refused
from paramedic.policy.breaker import State
from paramedic.policy.recovery import Again, Ask, End, Means, Recovery, Why
from paramedic.policy.retry import asked_wait_s, causes

if TYPE_CHECKING:
    from paramedic.guards.shells import Shells

MARK = "__paramedic_retried__"


class Marks:
    """Numbers the moments at which a guard gave up calling again, so that no guard further out begins anew.

    Attributes:
        count: The number of the last one.
    """

    def __init__(self) -> None:
        self.count = 0

    def put(self, error: BaseException) -> None:
        self.count += 1
        try:
            setattr(error, MARK, self.count)
        except AttributeError:  # a class with slots
            return

    def is_on(self, error: BaseException, since: int) -> bool:
        """Whether the error, or what led to it, was marked after `since`."""
        return any(getattr(each, MARK, 0) > since for each in causes(error))


marks = Marks()


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next.

    Attributes:
        fn: The fallback to call; None for the guarded call again.
        wait_s: Seconds to wait before.
        level: Of the fallback, for the guard that is entered next.
        retry: How often the guarded call was made before; 0 for a fallback.
        deadline_s: Most seconds for the fallback; None for what the surrounding budget leaves.
    """

    fn: "Fallback[..., Any] | None"
    wait_s: float
    level: int
    retry: int
    deadline_s: float | None

    def block(self) -> Block:
        """What to do it in, with ``with`` or ``async with``."""
        seconds = float("inf") if self.deadline_s is None else self.deadline_s
        return Block(seconds, level=self.level, retry=self.retry)


class Recovering:
    """One logical call that did not help at first.

    Args:
        guard: Whose it is; a router hands in one of its own.
        means: What there is to recover with.
        fallbacks: Of which `means` knows the number.
        since: `marks.count` before the first attempt.
        is_open: Whether the dependency is to be left alone, asked after a failure.
    """

    def __init__(
        self,
        guard: Attempts,
        means: Means,
        fallbacks: "Sequence[Fallback[..., Any]]",
        since: int,
        is_open: Callable[[], bool] = bool,
    ) -> None:
        self._guard, self._means, self._fallbacks, self._since = guard, means, fallbacks, since
        self._is_open = is_open
        outer = frame.get()
        self._level = 0 if outer is None else outer.level
        self._recovery = Recovery(means, keyed=bool(inherited_key()))

    @classmethod
    def of(cls, guard: "Shells", since: int) -> "Recovering":
        """For the calls of a guard."""
        return cls(guard, guard.means, guard.fallbacks, since, lambda: guard.state is not State.CLOSED)

    def failed(self, error: Exception) -> Step | None:
        """What to do after a step raised; None when there is nothing left."""
        end, level = self._end_of(error)
        was_why = self._recovery.why
        retrying = self._means.retry is not None and end in (End.FAILED, End.USELESS)
        step = self._recovery.after(
            error,
            end,
            level=level,
            left_s=left_s(),
            closed=not (retrying and self._is_open()),
            asked_s=asked_wait_s(error, time.time) if retrying else None,
            retried_inside=retrying and marks.is_on(error, self._since),
        )
        if isinstance(step, Again):
            self._guard.count("retry")
            return Step(None, step.wait_s, self._level, step.ordinal, None)
        if self._recovery.why is Why.BUDGET_EMPTY and was_why is None:
            self._guard.count("retry.denied")
        return None if step is None else self._ask(step)

    def _ask(self, step: Ask) -> Step:
        self._guard.count("fallback")
        fallback = self._fallbacks[step.number - 1]
        return Step(fallback, 0.0, self._level + step.number, 0, fallback.deadline_s)

    def _end_of(self, error: Exception) -> tuple[End, int]:
        if isinstance(error, Useless):
            return End.USELESS, 1
        if isinstance(error, self._guard.ignore):
            return End.FINAL, 1
        if isinstance(error, Refused):
            return End.REFUSED, error.level if error.name == self._guard.name else 1
        return End.FAILED, 1

    def give_up(self) -> Any:
        """The useless answer when there was one, else raise the first error, those after it chained to it."""
        recovery = self._recovery
        if isinstance(recovery.useless, Useless):
            return recovery.useless.result
        first = _chained(recovery.errors)
        recovery.errors.clear()
        if recovery.exhausted:
            marks.put(first)
        try:
            raise first
        finally:
            del first  # or its traceback, which holds this frame, would keep it alive until the garbage collector runs


def _chained(errors: list[Exception]) -> Exception:
    """The first, with each of the others as the cause of the one before, unless that has a cause of its own."""
    for number, (before, after) in enumerate(pairwise(errors), 1):
        if before.__cause__ is None and all(after is not seen for seen in errors[:number]):
            before.__cause__ = after
    return errors[0]
