"""One guard's calls from begin to end: the gate is asked, the call is recorded, the breaker hears the verdict.

    begin --Refused--> (a span of no length)
      |
      +--> Call in flight --> ended (worked, useless, late) or failed (failed, timed out, cancelled, let go)

Neither sync nor async: the shells in `shells` and `streams` make the call in between.
"""

import asyncio
import logging
import time
from typing import Any

from paramedic.contract.attributes import REFUSED_BY_COMMAND, TIMEOUT
from paramedic.guards.admitting import INF, Admitting, Check
from paramedic.guards.budget import Reason, frame
from paramedic.guards.calls import Call, error_type
from paramedic.guards.refusals import Refused, refusal
from paramedic.policy.breaker import FAILED, SAYS_NOTHING, WORKED, Verdict
from paramedic.policy.retry import status_of
from paramedic.telemetry.runtime import dropped, runtime

# Statuses that blame the request, not the dependency: no verdict for the breaker.
REQUEST_WAS_WRONG = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422})

log = logging.getLogger("paramedic")


class Useless(Exception):
    """Inside the SDK only: an answer that arrived and helps nobody. The fallbacks are asked instead."""

    def __init__(self, result: Any, kind: str) -> None:
        super().__init__(kind)
        self.result = result


class Attempts(Admitting):
    """The calls of one guard; safe to share between threads."""

    def ended(self, call: Call, result: Any) -> None:
        """The call answered.

        Raises:
            Useless: The answer helps nobody.
        """
        if call.plain and self._check is None and runtime.recorder is None:  # nothing to do but to go
            now, circuit = self.clock(), self._circuit
            quick = circuit.calm and self._gate.admits is call.admission and now - call.started <= circuit.slow_s
            if quick and self.retry_budget.is_full:
                if self._calls.pop(call, call) is None:  # a fork may have emptied it
                    circuit.heard_at = now
                self.counts["worked"] += 1
                try:
                    return frame.reset(call.token)  # type: ignore[arg-type]
                except ValueError:  # it began in another context
                    return dropped.add("context")
        if self._check is not None and call.useless_as is None:
            call.useless_as = self._checked(result)
        self.left(call)
        if call.useless_as is not None:
            raise Useless(result, call.useless_as)

    def left(self, call: Call) -> None:
        """The call came to its end without an exception, as `ended`; nobody is waiting for its answer."""
        late = (call.timeout_s is not None or call.interrupted is not None) and self._stop(call)
        if call.useless_as is not None:
            self._end(call, FAILED, "useless", TIMEOUT if late else None)
        elif late:
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)
        else:
            self._end(call, WORKED, "worked", None)

    def _stop(self, call: Call) -> bool:
        """The call answered: stop its timer; whether the answer is late, which it can be when nothing could end it."""
        call.settle()
        if call.interrupted is not None:
            return call.interrupted is Reason.DEADLINE  # it swallowed our cancellation
        return call.task is None and self.clock() - call.started > (call.timeout_s or INF)

    def failed(self, call: Call, error: BaseException) -> None:
        """The call raised; raise the error again unless this raises another in its place."""
        cancelled = isinstance(error, asyncio.CancelledError)
        ours = call.settle()
        if call.interrupted is Reason.COMMAND and (ours or not cancelled):
            call.abandoned = True
            self._end(call, SAYS_NOTHING, "abandoned", None)
            raise refusal(self.name, REFUSED_BY_COMMAND) from error
        if self._is_late(call, cancelled):
            self._end(call, self._verdict_of_timeout(call), "failed", TIMEOUT)
            if ours and cancelled:
                raise TimeoutError(f"{self.name!r} did not answer within {call.timeout_s or 0:.3g} s") from error
        elif not isinstance(error, Exception):
            self._end(call, SAYS_NOTHING, "cancelled", None, cancelled=True)
        else:
            self._end(call, self._verdict(call, error), "failed", error_type(error))

    def _is_late(self, call: Call, cancelled: bool) -> bool:
        """Whether its time was up before anything else ended it."""
        if call.overtaken:
            return False
        return call.interrupted is Reason.DEADLINE or (cancelled and call.ends_at <= time.monotonic())

    def _verdict(self, call: Call, error: Exception) -> Verdict:
        if isinstance(error, (*self.ignore, Refused)) or status_of(error) in REQUEST_WAS_WRONG:
            return SAYS_NOTHING
        return self._verdict_of_timeout(call) if isinstance(error, TimeoutError) else FAILED

    def _verdict_of_timeout(self, call: Call) -> Verdict:
        """A callee that got less than half of its usual time, because the budget was short, is not to blame."""
        own, given = call.own_deadline_s, call.timeout_s
        short_changed = own is not None and given is not None and given < own / 2
        if short_changed and (call.interrupted is not None or self.clock() - call.started >= (given or 0)):
            return SAYS_NOTHING
        return FAILED

    def _end(
        self, call: Call, verdict: Verdict, outcome: str, error_type: str | None, *, cancelled: bool = False
    ) -> None:
        now, budget = self.clock(), self.retry_budget
        seconds = now - call.started
        if self._calls.pop(call, call) is None:  # a fork may have emptied it
            gate, circuit = self._gate, self._circuit
            if verdict is WORKED and circuit.calm and gate.admits is call.admission and seconds <= circuit.slow_s:
                circuit.heard_at = now
            else:
                with self._lock:
                    gate.leave(call.admission, verdict, now, seconds)
            if verdict is FAILED:
                budget.failed()
            elif verdict is WORKED and not budget.is_full:
                budget.worked()
        self.counts[outcome] += 1  # one step for a reader of another thread
        if runtime.recorder is not None:
            self._record(call, outcome, error_type, seconds)
        call.leave(error_type, cancelled)

    def _record(self, call: Call, outcome: str, error_type: str | None, seconds: float) -> None:
        recorder = runtime.recorder
        try:
            if recorder is not None:
                recorder.ended(self, call, outcome, error_type, max(0.0, seconds))
        except Exception as error:
            dropped.add("metrics")
            log.debug("the metrics of a call were lost: %r", error)

    def _checked(self, result: Any) -> str | None:
        assert self._check is not None
        try:
            return self._check(result)
        except Exception as error:
            self.fault("check", "guard %r: its check fails with %r; answers are taken as good", error)
            return None


__all__ = ["INF", "REQUEST_WAS_WRONG", "Attempts", "Check", "Useless"]
