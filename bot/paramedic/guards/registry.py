"""The guards and caches of this process: whom a command can reach, and what the gauges show.

Guards register themselves and vanish with their owner. What they had counted is kept.
"""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paramedic.caches import Caches, Flush
from paramedic.contract.command import Command, CommandError, Target
from paramedic.guards.sharing import retry_budgets
from paramedic.policy.effects import Effect, read_effect

if TYPE_CHECKING:
    from paramedic.guards.obeying import Obeying

Key = tuple[str, str, str]  # guard, peer, zone
Listener = Callable[[Sequence["Obeying"]], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a command here: the guards that obey it, and why others do not."""

    guards: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Registry:
    """Safe to share between threads. Holds guards weakly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guards: weakref.WeakSet[Obeying] = weakref.WeakSet()
        self._retired: dict[tuple[Key, str], int] = {}
        self._era = 0  # grows when all is forgotten
        self._listeners: list[Listener] = []
        self._caches = Caches()

    def add(self, *guards: "Obeying") -> None:
        """Make guards reachable for commands; the members of a router all at once."""
        with self._lock:
            self._guards.update(guards)
            listeners = list(self._listeners)
        for guard in guards:
            weakref.finalize(guard, self._retire, self._era, guard.key, guard.counts).atexit = False
        for listener in listeners:
            listener(guards)

    def guards(self) -> "list[Obeying]":
        with self._lock:
            return list(self._guards)

    def clear(self) -> None:
        """Forget all guards and caches, as if each were gone, and what peers had spent: between tests."""
        self._caches.clear()
        retry_budgets.clear()
        with self._lock:
            self._guards.clear()
            self._retired.clear()
            self._era += 1

    def on_new_guards(self, listener: Listener) -> None:
        if listener not in self._listeners:
            self._listeners.append(listener)

    def off_new_guards(self, listener: Listener) -> None:
        self._listeners = [kept for kept in self._listeners if kept != listener]

    def meant(self, target: Target) -> "list[Obeying]":
        """The guards that a target means."""
        return [g for g in self.guards() if target.matches(peer=g.peer, zone=g.zone, guard=g.name)]

    def apply(self, command: Command, ends_at: float, *, only: "Sequence[Obeying] | None" = None) -> Applied:
        """Have the guards that a command means obey it until `ends_at` of the monotonic clock.

        Raises:
            CommandError: This SDK cannot do it, or a parameter is wrong.
        """
        effect = read_effect(command)
        meant = [guard for guard in self.meant(command.target) if only is None or guard in only]
        reasons = {guard: guard.objection(effect, meant) for guard in meant}
        obeying = [guard for guard in meant if not reasons[guard]]
        if only is None:
            for guard in set(self.guards()).difference(obeying):  # whom an older version of the command may have meant
                guard.disobey(command.id)
        for guard in obeying:
            guard.obey(command.id, effect, ends_at)
        return Applied(_names(obeying), tuple(sorted({reason for reason in reasons.values() if reason})))

    def add_cache(self, name: str, flush: Flush, peer: str = "") -> None:
        """Have the command `flush_cache` reach a cache; see `Caches.add`."""
        self._caches.add(name, flush, peer)

    def flush(self, target: Target) -> Applied:
        """Empty the caches that a target means, and name them."""
        return Applied(*self._caches.flush(target))

    def withdraw(self, command_id: str) -> None:
        """Have every guard forget a command."""
        for guard in self.guards():
            guard.disobey(command_id)

    def counts(self) -> dict[tuple[Key, str], int]:
        """Calls by guard and decision since the process began."""
        totals = dict(self._retired)
        for guard in self.guards():
            for decision, count in list(guard.counts.items()):
                totals[guard.key, decision] = totals.get((guard.key, decision), 0) + count
        return totals

    def _retire(self, era: int, key: Key, counts: dict[str, int]) -> None:
        if era != self._era:
            return  # forgotten already
        for decision, count in counts.items():
            self._retired[key, decision] = self._retired.get((key, decision), 0) + count

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._caches.after_fork()
        retry_budgets.after_fork()
        for guard in list(self._guards):
            guard.after_fork()


def _names(guards: "list[Obeying]") -> tuple[str, ...]:
    return tuple(sorted({guard.name for guard in guards}))


registry = Registry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=registry.after_fork)

__all__ = ["Applied", "CommandError", "Effect", "Key", "Registry", "registry"]
