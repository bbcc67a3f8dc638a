"""The way in, the same for every receiver: a payload is taken, or refused with a reason.

    accept: room? -> redact -> decode -> append to the flight recorder -> queue -> "acknowledge it"
    drain:  the fold thread takes what has come, in the order of the recorder

What was acknowledged is on disk. What is on its way in, waits or is being folded is bounded in bytes: when the fold
cannot keep up, senders are told to come again later, and their SDKs do. A request that is sent again, because its
answer was lost, is acknowledged and not counted twice.
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
from paramedic_collector.record.commit import RecorderClosed
from paramedic_collector.record.recorder import Recorder
from paramedic_collector.record.segments import Frame, Place
from paramedic_collector.redact import Redactor

RETRY_S: Final = 1  # what a sender is told to wait when there is no room
_DRAIN_BYTES: Final = 32 << 20  # of payloads that are folded together


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
    frame: Frame


class Intake:
    """Safe to share between threads.

    Args:
        limit_bytes: Most bytes of payloads that are on their way to windows.
    """

    def __init__(self, recorder: Recorder, redactor: Redactor, counters: Counters, *, limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be at least 1, got {limit_bytes!r}")
        self._recorder, self._redactor, self._counters = recorder, redactor, counters
        self._limit_bytes, self._closed = limit_bytes, False
        self._held_bytes = self._drained_bytes = 0  # taken in and not folded; of them, given to the fold
        self._queue: deque[Taken] = deque()
        self._ready = threading.Condition()

    @property
    def queued_bytes(self) -> int:
        return self._held_bytes

    def accept(self, signal: Signal, payload: bytes, transport: str) -> Answer:
        """Take one decompressed OTLP request; an empty one is fine. Returns when it is on disk."""
        answer = self._reserve(len(payload)) or self._take(signal, payload, transport)
        if answer.reply is not Reply.ACCEPTED:
            self._counters.add(count.REFUSED_REQUESTS, signal=signal, transport=transport, reason=answer.reply)
        return answer

    def drain(self, timeout_s: float) -> list[Taken]:
        """Wait for the first payload, then give those that are there; none when time is up.

        What was given the last time counts as folded now.
        """
        with self._ready:
            self._held_bytes -= self._drained_bytes
            self._drained_bytes = 0
            self._ready.wait_for(lambda: self._queue or self._closed, timeout_s)
            taken = []
            while self._queue and self._drained_bytes < _DRAIN_BYTES:
                taken.append(self._queue.popleft())
                self._drained_bytes += taken[-1].payload_bytes
            return taken

    def close(self) -> None:
        """Refuse what comes from now on; what was accepted can still be drained."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _reserve(self, size: int) -> Answer | None:
        """Room for a payload; an answer when there is none."""
        with self._ready:
            if self._closed:
                return Answer(Reply.CLOSING, "the collector is stopping")
            held, limit = self._held_bytes, self._limit_bytes
            if held and held + size > limit:
                return Answer(Reply.NO_ROOM, f"{held} bytes wait already, the limit is {limit}")
            self._held_bytes += size
            return None

    def _take(self, signal: Signal, payload: bytes, transport: str) -> Answer:
        """`payload` has its room; it is given back unless the payload waits for the fold."""
        size, waits = len(payload), False
        try:
            redacted = self._redactor.redact(signal, payload)
            parsed = parse(signal, redacted.payload)
            if parsed.items:
                waits = self._keep(parsed, redacted.payload, size)
        except Undecodable as error:
            return Answer(Reply.UNDECODABLE, str(error))
        except RecorderClosed as error:
            return Answer(Reply.CLOSING, str(error))
        finally:
            if not waits:
                with self._ready:
                    self._held_bytes -= size
        if waits:
            self._counters.add(count.ACCEPTED[signal], parsed.items, transport=transport)
            self._counters.add(count.REDACTED, redacted.values)
        return Answer(Reply.ACCEPTED)

    def _keep(self, parsed: Parsed, payload: bytes, size: int) -> bool:
        """Whether it is new, on disk, and on its way to the fold."""
        frame = self._recorder.compress(parsed, payload)

        def queue(place: Place) -> None:
            with self._ready:
                self._queue.append(Taken(parsed, place, size, frame))
                self._ready.notify_all()

        return self._recorder.append(frame, queue)
