"""The way in of a guarded call: the gate is asked, and a call that may be made is in flight.

The calls in flight stand in one dictionary, and its length is what the bulkhead goes by: no permit can
leak that is not also seen in flight. Putting a call there and taking it out are single steps, so nothing is
locked while operator, commands and breaker have nothing to say and all lately went well.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from opentelemetry.trace import SpanKind

from paramedic.contract.attributes import (
    ALLOWED,
    DECISION,
    FALLBACK_LEVEL,
    GUARD,
    LEASE_ID,
    PEER,
    PEER_ZONE,
    PROBE,
    REFUSED,
    REFUSED_BY,
    REFUSED_BY_BULKHEAD,
    RETRY,
)
from paramedic.guards.budget import Frame, frame
from paramedic.guards.calls import Call, Value
from paramedic.guards.refusals import refusal
from paramedic.guards.registry import Key
from paramedic.policy.breaker import SAYS_NOTHING
from paramedic.policy.gate import Admission, Gate, Refusal
from paramedic.policy.retry import RetryBudget
from paramedic.policy.shedding import class_of, room_for
from paramedic.telemetry.runtime import dropped, runtime

Check = Callable[[Any], str | None]
INF = float("inf")

log = logging.getLogger("paramedic")
_new = Call.__new__


class Admitting:
    """The calls of one guard as they come in; safe to share between threads.

    Attributes:
        key: Guard, peer and zone.
        counts: Calls by what became of them.
        retry_budget: Shared with all guards of the peer.
    """

    def __init__(
        self,
        key: Key,
        gate: Gate,
        *,
        deadline_s: float | None,
        check: Check | None,
        ignore: tuple[type[Exception], ...],
        criticality: str,
        attributes: Mapping[str, Value],
        retry_budget: RetryBudget,
        clock: Callable[[], float],
    ) -> None:
        self.key, (self.name, self.peer, self.zone) = key, key
        self.deadline_s, self.ignore, self.criticality = deadline_s, ignore, criticality
        self.retry_budget = retry_budget
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._gate, self._check, self.clock = gate, check, clock
        self._circuit = gate.circuit
        self._most: float = INF if gate.max_concurrent is None else gate.max_concurrent
        self._lock = threading.Lock()
        self._calls: dict[Call, None] = {}  # in flight, oldest first
        self._told: set[str] = set()  # whose faults the log has heard of
        about: dict[str, Value] = {PEER: self.peer, GUARD: self.name, **attributes}
        if self.zone:
            about[PEER_ZONE] = self.zone
        self._refused_attributes = {**about, DECISION: REFUSED}
        self._attributes = {**about, DECISION: ALLOWED, FALLBACK_LEVEL: 0}

    def in_flight(self) -> tuple[int, float]:
        """Calls begun and not ended, and the age of the oldest in seconds."""
        with self._lock:
            calls = list(self._calls)
        return len(calls), max(0.0, self.clock() - calls[0].started) if calls else 0.0

    @property
    def checks(self) -> bool:
        """Whether it looks at answers."""
        return self._check is not None

    @property
    def locked(self) -> bool:
        """Whether somebody is changing it just now."""
        return self._lock.locked()

    def count(self, what: str) -> None:
        """Count something that this guard did."""
        with self._lock:
            self.counts[what] += 1

    def after_fork(self) -> None:
        """In a forked child: the calls in flight are the parent's."""
        self._lock = threading.Lock()
        self._calls.clear()
        self._gate.forget_calls()

    # Begin

    def begin(self, task: "asyncio.Task[Any] | None", probe: bool | None = None) -> Call:
        """Ask the gate; a call that may be made is in flight until `ended` or `failed`, exactly one of them, once.

        Args:
            task: What a command may cancel; None for a call that cannot be interrupted. Who begins the call
                sets its timer, with `call.end_in(call.timeout_s)`.
            probe: As in `Gate.admit`.

        Raises:
            Refused: It must not be made.
        """
        if runtime.forked:
            runtime.revive()
        outer = frame.get()
        now = self.clock()
        admission = self._gate.admits
        if admission is None or outer is not None or runtime.criticality:
            call = self._asked(task, probe, outer, now)
        else:  # as nearly always
            call = _new(Call)  # as `Call(self, admission, now, task)`, at half the cost
            call.guard = self
            call.admission = admission
            call.started = now
            call.task = task
            call.plain = True
            calls = self._calls
            calls[call] = None
            if len(calls) > self._most:
                self._squeeze(call, outer)
            if self.deadline_s is not None:
                call.plain = False
                call.timeout_s = call.own_deadline_s = self.deadline_s
                call.ends_at = time.monotonic() + self.deadline_s
        if runtime.tracer is not None:
            call.start_span(runtime.tracer, self.name, self._about(call, outer))
        call.token = frame.set(call)
        return call

    def _squeeze(self, call: Call, outer: Frame | None) -> None:
        """Keep a call that made it one too many only if there is room now.

        Whoever finds too many waits here, and leaves one after the other: the last ones find room again.
        """
        with self._lock:
            if len(self._calls) <= self._most:
                return
            self._calls.pop(call, None)
        self._refuse(Refusal(REFUSED_BY_BULKHEAD), outer)

    def _asked(self, task: "asyncio.Task[Any] | None", probe: bool | None, outer: Frame | None, now: float) -> Call:
        """A call for which more than its room has to be looked at."""
        left = INF if outer is None or outer.ends_at == INF else outer.ends_at - time.monotonic()
        request = None if outer is None else outer.request
        criticality = self._class(request.criticality if request is not None else "")
        admission = self._gate.admits
        if admission is not None and left > 0 and not criticality:
            call = Call(self, admission, now, task)
            self._calls[call] = None
            if len(self._calls) > self._most:
                self._squeeze(call, outer)
        else:
            call = self._admitted(now, left, criticality, probe, task, outer)
        if outer is not None:
            self._take_from(outer, call)
        if left != INF or self.deadline_s is not None or call.effects is not None:
            self._bound(call, outer, left)
        return call

    def _admitted(
        self,
        now: float,
        left: float,
        criticality: str,
        probe: bool | None,
        task: "asyncio.Task[Any] | None",
        outer: Frame | None,
    ) -> Call:
        with self._lock:
            answer = self._admit(now, left, criticality, probe)
            if isinstance(answer, Admission):
                call = Call(self, answer, now, task)
                self._calls[call] = None
                if len(self._calls) > self._most:  # one came in who asks nobody
                    del self._calls[call]
                    self._gate.leave(answer, SAYS_NOTHING, now)
                    answer = Refusal(REFUSED_BY_BULKHEAD)
            effects = self._gate.effects
        if isinstance(answer, Refusal):
            self._refuse(answer, outer)
        if criticality:
            call.criticality = criticality
        if effects is not None:
            call.effects = effects
        return call

    def _class(self, said: str) -> str:
        return class_of(said or self.criticality or runtime.criticality)

    def _admit(self, now: float, left: float, criticality: str, probe: bool | None) -> Admission | Refusal:
        gate = self._gate
        if criticality:
            gate.see(criticality)
        admission = gate.admits
        if admission is not None and left > 0:
            limit = gate.max_concurrent
            if limit is None or len(self._calls) < room_for(criticality, limit):
                return admission
            return Refusal(REFUSED_BY_BULKHEAD)
        return gate.admit(now, left, len(self._calls), criticality, probe)

    def _take_from(self, outer: Frame, call: Call) -> None:
        if outer.request is not None:
            call.request = outer.request
        if outer.idempotency_key and outer.call is not outer:  # a call's own key is not that of what it calls
            call.idempotency_key = outer.idempotency_key

    def _bound(self, call: Call, outer: Frame | None, left_s: float) -> None:
        own_s, effects = self.deadline_s, call.effects
        if effects is not None and effects.deadline_s is not None:
            own_s = effects.deadline_s
        call.own_deadline_s, call.plain = own_s, False
        if own_s is not None and own_s < left_s:
            call.timeout_s, call.ends_at = own_s, time.monotonic() + own_s
        elif outer is not None and left_s != INF:
            call.timeout_s, call.ends_at = left_s, outer.ends_at

    def _about(self, call: Call, outer: Frame | None) -> Mapping[str, Value]:
        admission = call.admission
        if outer is None and not admission.probe:
            return self._attributes
        about = dict(self._attributes)
        if outer is not None:
            _add_place(about, outer)
        if admission.probe:
            about.update({PROBE: True, LEASE_ID: admission.lease_id})
        return about

    def refuse(self, reason: str) -> NoReturn:
        """Refuse a call for a reason of whoever the guard belongs to.

        Raises:
            Refused: That of the reason.
        """
        self._refuse(Refusal(reason), frame.get())

    def _refuse(self, why: Refusal, outer: Frame | None) -> NoReturn:
        self.count(f"{REFUSED}.{why.reason}")
        if runtime.tracer is not None:
            about: dict[str, Value] = {**self._refused_attributes, REFUSED_BY: why.reason, FALLBACK_LEVEL: 0}
            if outer is not None:
                _add_place(about, outer)
            if why.lease_id:
                about[LEASE_ID] = why.lease_id
            runtime.tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=about).end()
        error = refusal(self.name, why.reason, why.retry_in_s)
        error.level = why.level
        raise error

    def fault(self, what: str, line: str, error: Exception) -> None:
        """Count a fault in what a team handed in, and say so once in the log."""
        dropped.add(what)
        if what not in self._told:
            self._told.add(what)
            log.warning(line, self.name, error)


def _add_place(about: dict[str, Value], outer: Frame) -> None:
    """Where in a logical call, and in which request, a guard is entered."""
    about[FALLBACK_LEVEL] = outer.level
    if outer.retry:
        about[RETRY] = outer.retry
    if outer.request is not None:
        about.update(outer.request.attributes)
