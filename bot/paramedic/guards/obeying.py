"""What commands and the local operator do to a guard, and what routers and gauges ask of it.

command --objection? none--> obey: the gate refuses from the next call on
                              +--> calls that hang are let go to the fallbacks, when the command says so
"""

from collections.abc import Callable, Sequence
from typing import Any

from paramedic.contract.command import ActionKind
from paramedic.guards.attempts import Attempts
from paramedic.guards.budget import Reason
from paramedic.guards.calls import Call
from paramedic.guards.fallbacks import Fallback
from paramedic.policy.breaker import State
from paramedic.policy.effects import Effect
from paramedic.policy.gate import Forced
from paramedic.policy.turns import WELL, Kept, Seen
from paramedic.telemetry.runtime import dropped


class Obeying(Attempts):
    """A guard as commands see it."""

    fallbacks: "tuple[Fallback[..., Any], ...]" = ()
    members: "Callable[[], Sequence[Obeying]] | None" = None  # of the router that it belongs to

    def force(self, state: Forced) -> None:
        """As the local operator: "open" refuses all calls, "closed" lets all through; None gives the guard back.

        Beats the platform's commands and the breaker.
        """
        if state not in ("open", "closed", None):
            raise ValueError(f'force takes "open", "closed" or None, got {state!r}')
        with self._lock:
            self._gate.forced = state

    def objection(self, effect: Effect, meant: "Sequence[Obeying]") -> str:
        """Why this guard will not obey; empty when it will.

        Args:
            effect: What is asked.
            meant: All guards that it is asked of.
        """
        if self._gate.forced is not None:
            return "overridden by operator"
        if self.members is not None and effect.closes_path:
            return "" if any(m.stands for m in self.members() if m not in meant) else "last member"
        if effect.kind is ActionKind.FAILOVER and not self.fallbacks:
            return "no fallback"
        if effect.kind is ActionKind.DEGRADE and effect.level > len(self.fallbacks):
            return f"no fallback {effect.level}, this guard has {len(self.fallbacks)}"
        return ""

    def obey(self, command_id: str, effect: Effect, ends_at: float) -> None:
        """Obey from the next call on, until `ends_at` of this guard's clock."""
        now = self.clock()
        with self._lock:
            self._gate.put(command_id, effect, ends_at, now)
            calls = list(self._calls)
        if effect.closes_path and effect.abandon_after_s is not None:
            for call in calls:
                self._let_go(call, max(0.0, effect.abandon_after_s - (now - call.started)))

    def disobey(self, command_id: str) -> None:
        with self._lock:
            self._gate.drop(command_id, self.clock())

    def renew(self) -> None:
        """As it was made, but for the calls in flight: between tests."""
        with self._lock:
            self._gate.renew()
            self.counts.clear()
            while self.retry_budget.tokens < self.retry_budget.FULL:
                self.retry_budget.worked()

    def _let_go(self, call: Call, in_s: float) -> None:
        if call.task is None or call.admission.probe:
            return
        loop = call.task.get_loop()

        def let_go() -> None:
            if call in self._calls and self.state is State.OPEN_BY_COMMAND:
                call.interrupt(Reason.COMMAND)

        try:
            loop.call_soon_threadsafe(loop.call_later, in_s, let_go)
        except RuntimeError:  # its loop is closed
            dropped.add("abandon")

    @property
    def ready(self) -> bool:
        """Whether the local breaker and the operator would let a call through now."""
        with self._lock:
            return self._gate.forced != "open" and self._gate.circuit.wait_s(self.clock()) == 0

    def seen(self) -> Seen:
        """For a router: what keeps calls away, whether this call shall probe, and since when it is back."""
        if self._gate.never_closed:  # as nearly always
            return WELL
        with self._lock:
            now, gate = self.clock(), self._gate
            effects = gate.effects_at(now)
            if gate.forced == "open":
                return Seen(Kept.OPERATOR)
            if gate.forced is None and effects is not None and effects.closed_until is not None:
                return Seen(Kept.COMMAND, gate.may_probe(effects, now))
            if gate.forced is None and gate.circuit.wait_s(now) > 0:
                return Seen(Kept.BREAKER)
        since = self.back_since
        return WELL if since is None else Seen(since=since)

    @property
    def available(self) -> bool:
        """Whether a call made now would be let through, as far as operator, commands and the breaker go."""
        return self.stands and self.ready

    def offered(self) -> bool:
        """Whether a list of tools shall name what this guards: when it is available, and else for the share of
        lists that a command leaves for probes, since what no list names is never called."""
        if self.available:
            return True
        with self._lock:
            return self._gate.offers_probe(self.clock())

    @property
    def back_since(self) -> float | None:
        """When the path was last opened again, by its breaker or the end of a command; None if it never was."""
        with self._lock:
            moments = (self._gate.circuit.closed_at, self._gate.reopened_at)
        return max((at for at in moments if at is not None), default=None)

    @property
    def stands(self) -> bool:
        """Whether neither a command nor the operator keeps calls away; the local breaker comes and goes."""
        return self._gate.forced != "open" and self.state is not State.OPEN_BY_COMMAND

    @property
    def state(self) -> State:
        with self._lock:
            return self._gate.state(self.clock())
