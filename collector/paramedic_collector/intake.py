"""The way in, the same for every receiver: a payload is taken, or refused with a reason.

    accept: room? -> redact -> decode -> append to the flight recorder -> queue -> "acknowledge it"
    drain:  the fold thread takes what has come, in the order of the recorder

What was acknowledged is on disk. What is on its way in, waits or is being folded is bounded in bytes of memory: when
the fold cannot keep up, senders are told to come again later, and their SDKs do. A request that is sent again, because
its answer was lost, is acknowledged and not counted twice.
"""

import threading
from collections import deque
from collections.abc import Callable
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
_DRAIN_BYTES: Final = 8 << 20  # that the fold takes at a time
# Bytes of memory for each byte of a payload: itself and its columns; of metrics, a decoded message.
_SPREADS: Final = {Signal.TRACES: 2, Signal.LOGS: 2, Signal.METRICS: 6}
_ALWAYS: Final = 4  # this part of the limit is open whatever else fills the memory: else nothing would ever change


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
    held_bytes: int  # of memory
    frame: Frame


class Intake:
    """Safe to share between threads.

    Args:
        limit_bytes: Most bytes of memory for what is on its way to windows; may be set later.
        memory_full: Says why the process may take nothing more in, or "".
    """

    def __init__(
        self,
        recorder: Recorder,
        redactor: Redactor,
        counters: Counters,
        *,
        limit_bytes: int,
        memory_full: Callable[[], str] = str,
    ) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be at least 1, got {limit_bytes!r}")
        self._recorder, self._redactor, self._counters = recorder, redactor, counters
        self.limit_bytes, self._memory_full, self._closed = limit_bytes, memory_full, False
        self._held_bytes = self._drained_bytes = 0  # taken in and not folded; of them, given to the fold
        self._queue: deque[Taken] = deque()
        self._ready = threading.Condition()

    @property
    def queued_bytes(self) -> int:
        return self._held_bytes

    def accept(self, signal: Signal, payload: bytes, transport: str) -> Answer:
        """Take one decompressed OTLP request; an empty one is fine. Returns when it is on disk."""
        size = len(payload) * _SPREADS[signal]
        answer = self._reserve(size) or self._take(signal, payload, size, transport)
        if answer.reply is not Reply.ACCEPTED:
            self._counters.add(count.REFUSED_REQUESTS, signal=signal, transport=transport, reason=answer.reply)
        return answer

    def why_full(self, size: int = 0) -> str:
        """Why a payload of so many bytes would be refused now, whatever is in it; "" when there is room."""
        held, limit = self._held_bytes, self.limit_bytes
        if held and held + size > limit:
            return f"{held} bytes wait already, the limit is {limit}"
        return self._memory_full() if held > limit // _ALWAYS else ""

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
                self._drained_bytes += taken[-1].held_bytes
            return taken

    def close(self) -> None:
        """Refuse what comes from now on; what was accepted can still be drained."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _reserve(self, size: int) -> Answer | None:
        """Take room for a payload; an answer when there is none."""
        with self._ready:
            if self._closed:
                return Answer(Reply.CLOSING, "the collector is stopping")
            if why := self.why_full(size):
                return Answer(Reply.NO_ROOM, why)
            self._held_bytes += size
            return None

    def _take(self, signal: Signal, payload: bytes, size: int, transport: str) -> Answer:
        """`size` bytes are held for the payload; given back, but for what waits for the fold."""
        waits = False
        try:
            redacted = self._redactor.redact(signal, payload)
            parsed = parse(signal, redacted.payload)
            if parsed.items:
                waits = self._keep(parsed, redacted.payload)
        except Undecodable as error:
            return Answer(Reply.UNDECODABLE, str(error))
        except RecorderClosed as error:
            return Answer(Reply.CLOSING, str(error))
        finally:
            with self._ready:
                self._held_bytes -= size
        if waits:
            self._counters.add(count.ACCEPTED[signal], parsed.items, transport=transport)
            self._counters.add(count.REDACTED, redacted.values)
        return Answer(Reply.ACCEPTED)

    def _keep(self, parsed: Parsed, payload: bytes) -> bool:
        """Whether it is new, on disk, and on its way to the fold."""
        frame = self._recorder.compress(parsed, payload)
        size = len(frame.body) + _bytes_of(parsed, payload)

        def queue(place: Place) -> None:
            with self._ready:
                self._held_bytes += size
                self._queue.append(Taken(parsed, place, size, frame))
                self._ready.notify_all()

        return self._recorder.append(frame, queue)


def _bytes_of(parsed: Parsed, payload: bytes) -> int:
    """Of memory, for a payload that waits."""
    if parsed.message is not None:
        return len(payload) * _SPREADS[parsed.signal]
    return len(parsed.payload) + parsed.rows.nbytes + parsed.resources.nbytes + parsed.trace_keys.nbytes
