"""After a call failed, was refused or was useless: which fallback next, and what to say when none helped."""

from collections.abc import Callable, Iterator
from typing import Any

from paramedic.attempts import Attempts, Useless
from paramedic.budget import Below, frame
from paramedic.refusals import Refused


class Rescue:
    """What to ask next after a call failed, and what to say when nothing helped."""

    def __init__(self, guard: Attempts, first: Exception) -> None:
        self.guard, self.first = guard, first
        self._seen = [first]
        outer = frame.get()
        self._level = 0 if outer is None else outer.level

    def layers(self) -> "Iterator[tuple[Below, Callable[..., Any]]]":
        """The fallbacks in order, each with the frame to run it in: one level below the guarded call."""
        if isinstance(self.first, self.guard.ignore):
            return
        refused_here = isinstance(self.first, Refused) and self.first.name == self.guard.name
        begin = self.first.level if refused_here and isinstance(self.first, Refused) else 1
        for number, fallback in enumerate(self.guard.fallbacks[begin - 1 :], begin):
            self.guard.count_fallback()
            yield Below(self._level + number), fallback

    def failed(self, error: Exception) -> None:
        """Chain the error of a fallback to the one before it, unless that has a cause of its own."""
        if self._seen[-1].__cause__ is None and all(error is not seen for seen in self._seen):
            self._seen[-1].__cause__ = error
        self._seen.append(error)

    def give_up(self) -> Any:
        """The useless answer when there was one, else the first error."""
        if isinstance(self.first, Useless):
            return self.first.result
        raise self.first
