"""The gate: may this call be made? One pure decision for sync and async guards alike.

    operator --> command --> breaker --> bulkhead --> deadline --> shed --> Admission
        (the first that says no gives the Refusal its name)

Holds no lock and reads no clock: the guard that owns it does both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from paramedic.contract.attributes import (
    REFUSED_BY_BREAKER,
    REFUSED_BY_BULKHEAD,
    REFUSED_BY_COMMAND,
    REFUSED_BY_DEADLINE,
    REFUSED_BY_OPERATOR,
    REFUSED_BY_SHED,
)
from paramedic.policy.breaker import WORKED, Breaker, State, Verdict
from paramedic.policy.effects import Effect, Effects, Standing
from paramedic.policy.probes import Probes

Forced = Literal["open", "closed"] | None


@dataclass(frozen=True, slots=True)
class Admission:
    """A call may be made; hand it back to `Gate.leave` when it has ended."""

    era: int | None  # of the breaker; None when the call says nothing to it
    probe: bool = False
    lease_id: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call must not be made."""

    reason: str  # one of the values of ``paramedic.refused.by``
    retry_in_s: float | None = None
    level: int = 1  # of the fallback to begin with
    lease_id: str = ""


class Gate:
    """Decides about the calls of one guard.

    Args:
        breaker: The local breaker.
        max_concurrent: Most calls at once; None for no limit.
        draw: Numbers from 0 to 1, for probes and shedding.

    Raises:
        ValueError: `max_concurrent` is below 1.
    """

    __slots__ = (
        "_admission",
        "_draw",
        "_probes",
        "_standing",
        "breaker",
        "effects",
        "forced",
        "max_concurrent",
        "running"
    )  # fmt: skip

    def __init__(self, breaker: Breaker, max_concurrent: int | None, draw: Callable[[], float]) -> None:
        if max_concurrent is not None and max_concurrent < 1:
            raise ValueError(f"max_concurrent must be at least 1 call, got {max_concurrent!r}")
        self.breaker, self.max_concurrent, self._draw = breaker, max_concurrent, draw
        self.forced: Forced = None
        self.running = 0
        self.effects: Effects | None = None
        self._standing = Standing()
        self._probes = Probes()
        self._admission = Admission(-1)  # the last one, used again while the breaker's era lasts

    def admit(self, now: float, left_s: float, probe: bool | None = None) -> Admission | Refusal:
        """Decide about one call, and count it as running when it may be made.

        Args:
            now: Seconds of the guard's clock.
            left_s: Seconds that the surrounding deadline leaves.
            probe: True when a router has drawn this call to probe a closed path, False when it has drawn
                against; None to draw here.
        """
        breaker = self.breaker
        if self.forced is None and self.effects is None and breaker.until is None:  # as nearly always
            limit = self.max_concurrent
            if (limit is None or self.running < limit) and left_s > 0:
                self.running += 1
                admission = self._admission
                return admission if admission.era == breaker.era else self._admitted(breaker.era)
        effects = self.effects_at(now)
        if self.forced == "open":
            return Refusal(REFUSED_BY_OPERATOR)
        obeyed = None if self.forced else effects
        probing = False
        if obeyed is not None and obeyed.closed_until is not None:
            probing = self.may_probe(obeyed, now) if probe is None else probe and not self._probes.running
            if not probing:
                return Refusal(REFUSED_BY_COMMAND, obeyed.closed_until - now, obeyed.level, obeyed.lease_id)
        minds_breaker = not probing and self.forced is None
        if minds_breaker:
            wait_s = breaker.wait_s(now)
            if wait_s > 0:
                return Refusal(REFUSED_BY_BREAKER, wait_s)
        refusal = self._limits(obeyed, left_s)
        if refusal is not None:
            return refusal
        self.running += 1
        if probing and obeyed is not None:
            self._probes.begin()
            return Admission(None, True, obeyed.lease_id)
        return self._admitted(breaker.enter(now) if minds_breaker else None)

    def _admitted(self, era: int | None) -> Admission:
        if era != self._admission.era:
            self._admission = Admission(era)
        return self._admission

    def leave(self, admission: Admission, verdict: Verdict, now: float) -> None:
        """Hear how an admitted call ended."""
        self.running -= 1
        breaker = self.breaker
        if verdict is WORKED and breaker.until is None and admission.era == breaker.era:  # as nearly always
            breaker.row = 0
            return
        if admission.probe:
            self._probes.end(verdict, now)
        if admission.era is not None:
            breaker.leave(admission.era, verdict, now)

    def _limits(self, obeyed: Effects | None, left_s: float) -> Refusal | None:
        limit = self.max_concurrent
        if obeyed is not None and obeyed.limit is not None:
            limit = obeyed.limit if limit is None else min(limit, obeyed.limit)
        if limit is not None and self.running >= limit:
            return Refusal(REFUSED_BY_BULKHEAD)
        if left_s <= 0:
            return Refusal(REFUSED_BY_DEADLINE)
        if obeyed is not None and obeyed.shed_share and self._draw() < obeyed.shed_share:
            return Refusal(REFUSED_BY_SHED)
        return None

    def may_probe(self, effects: Effects, now: float) -> bool:
        """Whether the next call of a closed path shall be a probe."""
        return self._probes.due(now, effects.probe_share, self._draw)

    def put(self, command_id: str, effect: Effect, ends_at: float, now: float) -> None:
        """Take on an effect from the next call on."""
        self._standing.put(command_id, effect, ends_at)
        self._refresh(now)

    def drop(self, command_id: str, now: float) -> None:
        """Obey it no more."""
        self._standing.drop(command_id)
        self._refresh(now)

    def effects_at(self, now: float) -> Effects | None:
        """What is in force; leases end here."""
        effects = self.effects
        if effects is not None and now >= effects.until:
            self._refresh(now)
            return self.effects
        return effects

    def _refresh(self, now: float) -> None:
        was_closed = self.effects is not None and self.effects.closed_until is not None
        self.effects = self._standing.at(now)
        if was_closed and (self.effects is None or self.effects.closed_until is None):
            self.breaker.reset()  # the path was seen to work, or is tried afresh
            self._probes.forget()

    def state(self, now: float) -> State:
        """What the gauge of the breaker shows."""
        if self.forced is not None:
            return State.OPEN if self.forced == "open" else State.CLOSED
        effects = self.effects_at(now)
        if effects is not None and effects.closed_until is not None:
            return State.OPEN_BY_COMMAND
        return self.breaker.state

    def forget_calls(self) -> None:
        """After a fork: the calls in flight belong to the parent."""
        self.running, self._probes = 0, Probes()
