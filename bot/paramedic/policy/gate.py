"""The gate: may this call be made? One pure decision for sync and async guards alike.

    operator --> command --> breaker --> bulkhead --> deadline --> shed --> Admission
        (the first that says no gives the Refusal its name)

Holds no lock and reads no clock: the guard that owns it does both, and knows the calls in flight.
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
from paramedic.policy.breaker import Circuit, State, Verdict
from paramedic.policy.effects import Effect, Effects, Standing
from paramedic.policy.probes import Probes
from paramedic.policy.shedding import Mix, room_for

Forced = Literal["open", "closed"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """A call may be made; hand it back to `Gate.leave` when it has ended."""

    era: int | None  # of the circuit; None when the call says nothing to it
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
        circuit: The local breaker.
        max_concurrent: Most calls at once; None for no limit.
        draw: Numbers from 0 to 1, for probes and shedding.
        asks: Whether every call has to be asked for, because it has a class of its own.

    Attributes:
        admits: What every call gets that finds room, while operator, commands and breaker have nothing
            to say, as nearly always; None when `admit` has to be asked.
        reopened_at: When the last command that closed the path ended; None when none ever did.

    Raises:
        ValueError: `max_concurrent` is below 1.
    """

    __slots__ = (
        "_admission",
        "_asks",
        "_draw",
        "_forced",
        "_mix",
        "_probes",
        "_standing",
        "admits",
        "circuit",
        "effects",
        "max_concurrent",
        "reopened_at"
    )  # fmt: skip

    def __init__(
        self, circuit: Circuit, max_concurrent: int | None, draw: Callable[[], float], asks: bool = False
    ) -> None:
        if max_concurrent is not None and max_concurrent < 1:
            raise ValueError(f"max_concurrent must be at least 1 call, got {max_concurrent!r}")
        self.circuit, self.max_concurrent, self._draw = circuit, max_concurrent, draw
        self._asks = asks
        self.effects: Effects | None = None
        self.reopened_at: float | None = None
        self._standing, self._probes, self._mix = Standing(), Probes(), Mix()
        self._admission = Admission(-1)  # the last one, used again while the circuit's era lasts
        self.admits: Admission | None = None
        self._forced: Forced = None
        self._note()

    @property
    def forced(self) -> Forced:
        """What the local operator said."""
        return self._forced

    @forced.setter
    def forced(self, state: Forced) -> None:
        self._forced = state
        self._note()

    def admit(
        self, now: float, left_s: float, running: int, criticality: str = "", probe: bool | None = None
    ) -> Admission | Refusal:
        """Decide about one call.

        Args:
            now: Seconds of the guard's clock.
            left_s: Seconds that the surrounding deadline leaves.
            running: Calls in flight, without this one.
            criticality: Class of the call; empty when nobody said.
            probe: True when a router has drawn this call to probe a closed path, or has nobody better than this
                one whose breaker is open; False when it has drawn against; None to draw here.
        """
        effects = self.effects_at(now)
        if self._forced == "open":
            return Refusal(REFUSED_BY_OPERATOR)
        obeyed = None if self._forced else effects
        probing = False
        if obeyed is not None and obeyed.closed_until is not None:
            probing = self.may_probe(obeyed, now) if probe is None else probe and not self._probes.running
            if not probing:
                return Refusal(REFUSED_BY_COMMAND, obeyed.closed_until - now, obeyed.level, obeyed.lease_id)
        minds_breaker = not probing and self._forced is None
        if minds_breaker:
            wait_s = self.circuit.wait_s(now)
            if wait_s > 0 and not probe:
                return Refusal(REFUSED_BY_BREAKER, wait_s)
        refusal = self._limits(obeyed, left_s, running, criticality)
        if refusal is not None:
            return refusal
        if probing and obeyed is not None:
            self._probes.begin()
            return Admission(None, True, obeyed.lease_id)
        admission = self._admitted(self.circuit.enter(now) if minds_breaker else None)
        self._note()
        return admission

    def _admitted(self, era: int | None) -> Admission:
        if era != self._admission.era:
            self._admission = Admission(era)
        return self._admission

    def _note(self) -> None:
        """Keep `admits` true to the state."""
        circuit = self.circuit
        easy = self._forced is None and self.effects is None and circuit.until is None
        self.admits = self._admitted(circuit.era) if easy and not self._asks else None

    def leave(self, admission: Admission, verdict: Verdict, now: float, seconds: float = 0.0) -> None:
        """Hear how an admitted call ended, and how many seconds it took."""
        if admission.probe:
            self._probes.end(verdict, now)
        if admission.era is not None:
            self.circuit.leave(admission.era, verdict, now, seconds)
            self._note()

    def _limits(self, obeyed: Effects | None, left_s: float, running: int, criticality: str) -> Refusal | None:
        limit = self.max_concurrent
        if obeyed is not None and obeyed.limit is not None:
            limit = obeyed.limit if limit is None else min(limit, obeyed.limit)
        if limit is not None and running >= room_for(criticality, limit):
            return Refusal(REFUSED_BY_BULKHEAD)
        if left_s <= 0:
            return Refusal(REFUSED_BY_DEADLINE)
        share = 0.0 if obeyed is None else obeyed.shed_share
        if share and self._draw() < self._mix.share_of(criticality, share):
            return Refusal(REFUSED_BY_SHED)
        return None

    def see(self, criticality: str) -> None:
        """See the class of a call that arrived, whatever becomes of it."""
        self._mix.add(criticality)

    @property
    def never_closed(self) -> bool:
        """Whether nothing keeps calls away, and nothing ever did."""
        return self.admits is not None and self.circuit.closed_at is None and self.reopened_at is None

    def may_probe(self, effects: Effects, now: float) -> bool:
        """Whether the next call of a closed path shall be a probe."""
        return self._probes.due(now, effects.probe_share, self._draw)

    def offers_probe(self, now: float) -> bool:
        """Whether a closed path shall be listed all the same, and its next call be a probe."""
        effects = self.effects_at(now)
        if self._forced is not None or effects is None or effects.closed_until is None:
            return False
        return self._probes.offered(now, effects.probe_share, self._draw)

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
            self.circuit.reset()  # the path was seen to work, or is tried afresh
            self._probes.forget()
            self.reopened_at = now
        self._note()

    def state(self, now: float) -> State:
        """What the gauge of the breaker shows."""
        if self._forced is not None:
            return State.OPEN if self._forced == "open" else State.CLOSED
        effects = self.effects_at(now)
        if effects is not None and effects.closed_until is not None:
            return State.OPEN_BY_COMMAND
        return self.circuit.state

    def forget_calls(self) -> None:
        """After a fork: the calls in flight belong to the parent."""
        self._probes = Probes()

    def renew(self) -> None:
        """As it was made: nobody has said anything, and nothing was seen."""
        self._standing, self._probes, self._mix = Standing(), Probes(), Mix()
        self.effects = self.reopened_at = self._forced = None
        self.circuit.reset()
        self.circuit.closed_at = None
        self._note()
