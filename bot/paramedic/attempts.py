"""One guard's calls from begin to end: the gate is asked, the call is recorded, the breaker hears the verdict.

    begin --Refused--> (a span of no length)
      |
      +--> Call in flight --> ended (worked, useless, late) or failed (failed, timed out, cancelled, let go)

Neither sync nor async: the shells in `guards` make the call in between.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from opentelemetry.trace import SpanKind

from paramedic.budget import Frame, frame
from paramedic.calls import Call, Value, error_type, status_of
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
    REFUSED_BY_COMMAND,
    TIMEOUT,
)
from paramedic.policy.breaker import FAILED, SAYS_NOTHING, WORKED, Verdict
from paramedic.policy.effects import Effects
from paramedic.policy.gate import Admission, Gate, Refusal
from paramedic.refusals import Refused, refusal
from paramedic.registry import Key
from paramedic.telemetry.runtime import dropped, runtime

# Statuses that blame the request, not the dependency: no verdict for the breaker.
REQUEST_WAS_WRONG = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422})

Check = Callable[[Any], str | None]
INF = float("inf")

log = logging.getLogger("paramedic")


class Useless(Exception):
    """Inside the SDK only: an answer that arrived and helps nobody. The fallbacks are asked instead."""

    def __init__(self, result: Any, kind: str) -> None:
        super().__init__(kind)
        self.result = result


class Attempts:
    """The calls of one guard; safe to share between threads.

    Attributes:
        key: Guard, peer and zone.
        counts: Calls by what became of them.
    """

    def __init__(
        self,
        key: Key,
        gate: Gate,
        *,
        deadline_s: float | None,
        fallbacks: Sequence[Callable[..., Any]],
        check: Check | None,
        ignore: tuple[type[Exception], ...],
        attributes: Mapping[str, Value],
        clock: Callable[[], float],
    ) -> None:
        self.key, (self.name, self.peer, self.zone) = key, key
        self.deadline_s, self.fallbacks, self.ignore = deadline_s, tuple(fallbacks), ignore
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._gate, self._check, self.clock = gate, check, clock
        self._lock = threading.Lock()
        self._calls: dict[Call, None] = {}  # in flight, oldest first
        self._told_check = False
        about: dict[str, Value] = {PEER: self.peer, GUARD: self.name, **attributes}
        if self.zone:
            about[PEER_ZONE] = self.zone
        self._refused_attributes = {**about, DECISION: REFUSED}
        self._attributes = {**about, DECISION: ALLOWED, FALLBACK_LEVEL: 0}

    def in_flight(self) -> tuple[int, float]:
        """Calls begun and not ended, and the age of the oldest in seconds."""
        with self._lock:
            oldest = next(iter(self._calls), None)
            return len(self._calls), 0.0 if oldest is None else max(0.0, self.clock() - oldest.started)

    def count_fallback(self) -> None:
        with self._lock:
            self.counts["fallback"] += 1

    def after_fork(self) -> None:
        """In a forked child: the calls in flight are the parent's."""
        self._lock = threading.Lock()
        self._calls.clear()
        self._gate.forget_calls()

    def begin(self, task: "asyncio.Task[Any] | None", probe: bool | None = None) -> Call:
        """Ask the gate; a call that may be made is in flight until `ended` or `failed`, exactly one of them, once.

        Raises:
            Refused: It must not be made.
        """
        if runtime.forked:
            runtime.revive()
        outer, now, gate = frame.get(), self.clock(), self._gate
        left = INF if outer is None or outer.ends_at == INF else outer.ends_at - time.monotonic()
        with self._lock:
            answer = gate.admit(now, left, probe)
            effects = gate.effects
            if answer.__class__ is Admission:
                call = Call(self, answer, now, task)
                self._calls[call] = None
        if answer.__class__ is Refusal:
            self._refuse(answer, outer)
        if effects is not None:
            call.effects = effects
        if outer is not None and outer.request is not None:
            call.request = outer.request
        if self.deadline_s is not None or left != INF or effects is not None:
            self._bound(call, effects, outer, left)
        if runtime.tracer is not None:
            call.start_span(runtime.tracer, self.name, self._about(call, outer))
        call.token = frame.set(call)
        return call

    def _bound(self, call: Call, effects: Effects | None, outer: Frame | None, left_s: float) -> None:
        own_s = self.deadline_s if effects is None or effects.deadline_s is None else effects.deadline_s
        call.own_deadline_s = own_s
        if own_s is not None and own_s < left_s:
            call.timeout_s, call.ends_at = own_s, time.monotonic() + own_s
        elif outer is not None and left_s != INF:
            call.timeout_s, call.ends_at = left_s, outer.ends_at

    def _about(self, call: Call, outer: Frame | None) -> Mapping[str, Value]:
        admission, level = call.admission, 0 if outer is None else outer.level
        request = call.request
        if not level and not admission.probe and request is None:
            return self._attributes
        about: dict[str, Value] = {**self._attributes, FALLBACK_LEVEL: level}
        if request is not None:
            about.update(request.attributes)
        if admission.probe:
            about.update({PROBE: True, LEASE_ID: admission.lease_id})
        return about

    def _refuse(self, why: Refusal, outer: Frame | None) -> NoReturn:
        with self._lock:
            self.counts[f"{REFUSED}.{why.reason}"] += 1
        if runtime.tracer is not None:
            about = {**self._refused_attributes, REFUSED_BY: why.reason, FALLBACK_LEVEL: outer.level if outer else 0}
            if why.lease_id:
                about[LEASE_ID] = why.lease_id
            runtime.tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=about).end()
        error = refusal(self.name, why.reason, why.retry_in_s)
        error.level = why.level
        raise error

    def ended(self, call: Call, result: Any) -> None:
        """The call answered.

        Raises:
            Useless: The answer helps nobody.
        """
        timed = call.task is None and call.timeout_s is not None
        if self._check is None and not (timed or call.abandoned) and call.useless_as is None:  # as nearly always
            with self._lock:
                if self._calls.pop(call, call) is None:
                    self._gate.leave(call.admission, WORKED, 0.0)
                self.counts["worked"] += 1
            if runtime.recorder is not None:
                self._record(call, "worked", None)
            return call.leave(None)
        if call.abandoned and call.task is not None:
            call.task.uncancel()  # it answered all the same
            call.abandoned = False
        if call.useless_as is None and self._check is not None:
            call.useless_as = self._checked(result)
        late = timed and self.clock() - call.started > (call.timeout_s or 0)
        if call.useless_as is not None:
            self._end(call, FAILED, "useless", TIMEOUT if late else None)
            raise Useless(result, call.useless_as)
        if late:
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)
        else:
            self._end(call, WORKED, "worked", None)

    def failed(self, call: Call, error: BaseException) -> None:
        """The call raised; raise the error again unless this raises another in its place."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if call.abandoned and call.task is not None:
            if call.task.uncancel() == 0 or not cancelled:
                self._end(call, SAYS_NOTHING, "abandoned", None)
                raise refusal(self.name, REFUSED_BY_COMMAND) from error
            call.abandoned = False  # the caller gave up as well, and goes first
        if cancelled and call.ends_at <= time.monotonic():
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)  # the budget ended the call
        elif not isinstance(error, Exception):
            self._end(call, SAYS_NOTHING, "cancelled", None, cancelled=True)
        else:
            self._end(call, self._verdict(call, error), "failed", error_type(error))

    def _verdict(self, call: Call, error: Exception) -> Verdict:
        if isinstance(error, (*self.ignore, Refused)) or status_of(error) in REQUEST_WAS_WRONG:
            return SAYS_NOTHING
        return self._verdict_of_timeout(call) if isinstance(error, TimeoutError) else FAILED

    def _verdict_of_timeout(self, call: Call) -> Verdict:
        """A callee that got less than half of its usual time, because the budget was short, is not to blame."""
        own, given = call.own_deadline_s, call.timeout_s
        short_changed = own is not None and given is not None and given < own / 2
        return SAYS_NOTHING if short_changed and self.clock() - call.started >= (given or 0) else FAILED

    def _end(
        self, call: Call, verdict: Verdict, outcome: str, error_type: str | None, *, cancelled: bool = False
    ) -> None:
        with self._lock:
            if self._calls.pop(call, call) is None:  # a fork may have emptied it
                self._gate.leave(call.admission, verdict, 0.0 if verdict is WORKED else self.clock())
            self.counts[outcome] += 1
        if runtime.recorder is not None:
            self._record(call, outcome, error_type)
        call.leave(error_type, cancelled)

    def _record(self, call: Call, outcome: str, error_type: str | None) -> None:
        recorder = runtime.recorder
        try:
            if recorder is not None:
                recorder.ended(self, call, outcome, error_type, max(0.0, self.clock() - call.started))
        except Exception as error:
            dropped.add("metrics")
            log.debug("the metrics of a call were lost: %r", error)

    def _checked(self, result: Any) -> str | None:
        assert self._check is not None
        try:
            return self._check(result)
        except Exception as error:
            dropped.add("check")
            if not self._told_check:
                self._told_check = True
                log.warning("guard %r: its check fails with %r; answers are taken as good", self.name, error)
            return None
