"""One request to one backend, until it is taken or lost for good.

    send +-- taken ------> sent (what it rejected of it: lost)
         +-- later ------> pause, send; too long: lost
         +-- too large --> halves, each of them as above; a single item: lost
         +-- refused ----> lost

Every item ends in `otelcol_exporter_sent_*` or, with its reason, in `otelcol_exporter_send_failed_*`. The log says each
reason once, and when a backend is down and up again.
"""

import logging
import math
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

from paramedic_collector import counters as counted
from paramedic_collector.config.model import Retry
from paramedic_collector.counters import Counters
from paramedic_collector.forward.answers import Answer, Verdict
from paramedic_collector.forward.backoff import Backoff
from paramedic_collector.forward.shapes import count, halves
from paramedic_collector.otlp import Signal

log = logging.getLogger(__name__)

# Bytes. No backend's limit is this small: whoever calls a single item of that size too much speaks of a quota.
_SMALL: Final = 4096


class Loss(StrEnum):
    """Why an item was not delivered; the `reason` of the counter."""

    REFUSED = "refused"  # an answer that must not be retried
    REJECTED = "rejected"  # one of a request that was taken otherwise: partial_success
    TOO_LARGE = "too_large"  # alone already
    GAVE_UP = "gave_up"  # retry_on_failure.max_elapsed_time is over
    FAILED = "failed"  # a fault of ours


class Sender(Protocol):
    """The way to one backend. Used by one thread, but for `cancel`."""

    joins_bytes: int  # small requests may be sent as one up to this size; 0: never

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Try once, within the exporter's timeout; does not raise."""
        ...

    def cancel(self) -> None:
        """Make `send`, now and later, return STOPPED; from any thread."""
        ...

    def close(self) -> None: ...


class Delivery:
    """Delivers the requests of one exporter, one after the other.

    Args:
        name: Of the exporter: "otlp_grpc/backend".
        pause: Sleeps so many seconds; true when we are to stop.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        retry: Retry,
        counters: Counters,
        *,
        pause: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.joins_bytes = sender.joins_bytes
        self._name, self._sender, self._retry, self._counters = name, sender, retry, counters
        self._pause, self._clock = pause, clock
        self._rest_ends = -math.inf  # the backend asked for no request before this
        self._down_since: float | None = None
        self._said: set[str] = set()

    def deliver(self, signal: Signal, payload: bytes) -> bool:
        """Whether the request is done with; False when we were stopped before, and it has to be sent again."""
        pieces = [payload]  # the last one goes first
        while pieces:
            piece = pieces.pop()
            answer, loss = self._until_final(signal, piece)
            if answer.verdict is Verdict.STOPPED:
                return False
            if answer.verdict is Verdict.TOO_LARGE:
                parts = halves(signal, piece)
                if parts is not None:
                    self._learn(len(piece))
                    pieces += reversed(parts)
                    continue
                if len(piece) <= _SMALL:  # not about size: asking item by item would only add to its trouble
                    loss = Loss.REFUSED
                    self._lose(signal, loss, sum(count(signal, one) for one in pieces), answer)
                    pieces.clear()
            self._note(signal, piece, answer, loss)
        return True

    def lose(self, signal: Signal, payload: bytes, why: str) -> None:
        """Count a request that cannot even be tried."""
        self._lose(signal, Loss.FAILED, count(signal, payload), Answer(Verdict.REFUSED, why))

    def _until_final(self, signal: Signal, payload: bytes) -> tuple[Answer, Loss]:
        """The last answer to a request, and what its items are lost to unless it was taken."""
        backoff, began = Backoff(self._retry), self._clock()
        while True:
            rest_s = self._rest_ends - self._clock()
            if rest_s > 0 and self._pause(rest_s):
                return Answer(Verdict.STOPPED), Loss.FAILED
            answer = self._sender.send(signal, payload)
            if answer.verdict is not Verdict.LATER:
                self._back_again(answer)
                return answer, Loss.TOO_LARGE if answer.verdict is Verdict.TOO_LARGE else Loss.REFUSED
            self._rest_ends = self._clock() + answer.pause_s
            pause_s = backoff.next_s(answer.pause_s, self._clock() - began)
            self._down(answer)
            if pause_s is None:
                return answer, Loss.GAVE_UP
            self._counters.add(counted.EXPORT_RETRIES, exporter=self._name)
            if self._pause(pause_s):
                return Answer(Verdict.STOPPED), Loss.FAILED

    def _note(self, signal: Signal, payload: bytes, answer: Answer, loss: Loss) -> None:
        items = count(signal, payload)
        if answer.verdict is not Verdict.TAKEN:
            self._lose(signal, loss, items, answer)
            return
        rejected = min(max(answer.rejected, 0), items)
        self._counters.add(counted.SENT[signal], items - rejected, exporter=self._name)
        if rejected or answer.why:
            self._lose(signal, Loss.REJECTED, rejected, answer)

    def _lose(self, signal: Signal, loss: Loss, items: int, answer: Answer) -> None:
        name = counted.SEND_FAILED[signal]
        self._counters.add(name, items, exporter=self._name, reason=loss)
        if (told := f"{loss} {answer.reason}") not in self._said:
            self._said.add(told)
            log.warning("exporter %s: %s; %d %s are lost (%s), more will only be counted in %s",
                        self._name, answer, items, counted.ITEMS[signal].replace("_", " "), loss, name)  # fmt: skip

    def _learn(self, size: int) -> None:
        """Join less from now on: what was too large once would be so again."""
        self.joins_bytes = min(self.joins_bytes, max(size // 2, _SMALL))

    def _down(self, answer: Answer) -> None:
        if self._down_since is None:
            self._down_since = self._clock()
            log.warning("exporter %s: %s; what comes waits on disk, and is sent when it answers", self._name, answer)

    def _back_again(self, answer: Answer) -> None:
        if self._down_since is not None and answer.verdict is not Verdict.STOPPED:
            log.info("exporter %s: answers again after %.0f s", self._name, self._clock() - self._down_since)
            self._down_since = None
