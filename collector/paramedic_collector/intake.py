"""The way in, the same for every receiver: a payload is taken, or refused with a reason.

    accept: room? -> redact -> decode -> append to the flight recorder -> queue -> "acknowledge it"
    drain:  the fold thread takes what has come

What was acknowledged is recorded. The queue is bounded in bytes: when the fold cannot keep up, senders
are told to come again later, and their SDKs do.
"""

import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from paramedic_collector import counters as count
from paramedic_collector.counters import Counters
from paramedic_collector.decode import Parsed, Undecodable, parse
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Place, Recorder
from paramedic_collector.redact import Redactor

RETRY_S: Final = 1  # what a sender is told to wait when there is no room


class Reply(StrEnum):
    """What a receiver tells the sender."""

    ACCEPTED = "accepted"
    UNDECODABLE = "undecodable"  # must not be sent again
    NO_ROOM = "no_room"  # come again later
    CLOSING = "closing"  # come again later: we are going down


@dataclass(frozen=True, slots=True)
class Answer:
    reply: Reply
    why: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """An accepted payload on its way to the fold."""

    parsed: Parsed
    place: Place
    payload_bytes: int


class Intake:
    """Safe to share between threads.

    Args:
        limit_bytes: Most bytes of payloads that wait for the fold.
    """

    def __init__(self, recorder: Recorder, redactor: Redactor, counters: Counters, *, limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be at least 1, got {limit_bytes!r}")
        self._recorder, self._redactor, self._counters = recorder, redactor, counters
        self._limit_bytes, self._queued_bytes, self._closed = limit_bytes, 0, False
        self._queue: deque[Taken] = deque()
        self._ready = threading.Condition()

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    def accept(self, signal: Signal, payload: bytes, transport: str) -> Answer:
        """Take one decompressed OTLP request; an empty one is fine."""
        answer = self._take(signal, payload, transport)
        if answer.reply is not Reply.ACCEPTED:
            self._counters.add(count.REFUSED_REQUESTS, signal=signal, transport=transport, reason=answer.reply)
        return answer

    def drain(self, timeout_s: float) -> list[Taken]:
        """Wait for the first payload, then give all that are there; none when time is up."""
        with self._ready:
            self._ready.wait_for(lambda: self._queue or self._closed, timeout_s)
            taken = list(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
            return taken

    def close(self) -> None:
        """Refuse what comes from now on; what was accepted can still be drained."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _take(self, signal: Signal, payload: bytes, transport: str) -> Answer:
        no_room = self._why_no_room(len(payload))
        if no_room is not None:
            return no_room
        redacted = self._redactor.redact(signal, payload)
        try:
            parsed = parse(signal, redacted.payload)
        except Undecodable as error:
            return Answer(Reply.UNDECODABLE, str(error))
        if parsed.items:
            self._keep(parsed, redacted.payload)
        self._counters.add(count.ACCEPTED, parsed.items, signal=signal, transport=transport)
        self._counters.add(count.REDACTED, redacted.values)
        return Answer(Reply.ACCEPTED)

    def _why_no_room(self, size: int) -> Answer | None:
        if self._closed:
            return Answer(Reply.CLOSING, "the collector is stopping")
        if self._queued_bytes and self._queued_bytes + size > self._limit_bytes:
            return Answer(Reply.NO_ROOM, f"{self._queued_bytes} bytes wait already, the limit is {self._limit_bytes}")
        return None

    def _keep(self, parsed: Parsed, payload: bytes) -> None:
        frame = self._recorder.compress(parsed, payload)
        with self._ready:  # one lock for both, so that the queue has the order of the recorder
            place = self._recorder.append(frame)
            self._queue.append(Taken(parsed, place, len(payload)))
            self._queued_bytes += len(payload)
            self._ready.notify_all()
