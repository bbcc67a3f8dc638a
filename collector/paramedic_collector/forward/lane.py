"""One exporter of one pipeline: reads the flight recorder from where it stopped, and forwards.

    Reader -> frames -> joined -> processors -> Delivery -> done(place)

Requests of one signal are joined by laying their bytes end to end: all that an OTLP request has are repeated
fields, and protobuf appends those when it meets them again. So a backlog of small requests goes out as few large ones.

Time, for processors, is when a frame was recorded, and the clock once everything is read: whether a trace is
complete does not depend on how late it is forwarded, and a backlog needs no more memory than live traffic.

How far the offset may move: `tail_sampling` keeps spans back until their trace is decided. A crash loses what it
keeps, so `done` is told only the last place before the oldest request of which something is still undecided. What
follows that one is read again after a crash, and its traces are decided again: some are delivered twice, none is lost.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from paramedic_collector.config.model import Processor
from paramedic_collector.forward.delivery import Delivery
from paramedic_collector.forward.messages import REQUESTS
from paramedic_collector.otlp import Signal
from paramedic_collector.record.segments import Frame, Place

log = logging.getLogger(__name__)

_READ_BYTES: Final = 1 << 20  # of compressed frames at a time; what is held in memory follows from it
_READ_S: Final = 0.25  # how long to wait for a frame; also how often kept back traces are looked at
_AFTER_FAULT_S: Final = 1.0


class Source(Protocol):
    """A `record.reader.Reader`."""

    def read(self, most_bytes: int, timeout_s: float) -> Sequence[tuple[Place, Frame]]: ...

    def done(self, place: Place) -> None: ...


class Lane:
    """Works in one thread.

    Args:
        pause: Sleeps so many seconds; true when we are to stop.
        clock: Unix seconds.
    """

    def __init__(
        self,
        signal: Signal,
        source: Source,
        processors: Sequence[Processor],
        delivery: Delivery,
        *,
        pause: Callable[[float], bool],
        clock: Callable[[], float],
    ) -> None:
        self._signal, self._source, self._delivery = signal, source, delivery
        self._processors = tuple(processors)
        self._pause, self._clock = pause, clock
        self._now = 0.0  # unix seconds; of what was read last
        self._open: deque[tuple[float, Place]] = deque()  # delivered, and when it came; not yet `done`

    def run(self) -> None:
        """Forward until we are to stop."""
        while not self._pause(0.0):
            try:
                if not self._round():
                    return
            except Exception:  # a fault in one request must not end forwarding
                log.exception("forwarding %s goes on after a fault", self._signal)
                if self._pause(_AFTER_FAULT_S):
                    return

    def _round(self) -> bool:
        """Read once and forward that; False when we were stopped."""
        frames = self._source.read(_READ_BYTES, _READ_S)
        self._now = max(self._now, *(frame.at for _, frame in frames)) if frames else max(self._now, self._clock())
        for payload, place in self._joined(frames):
            if not self._forward(payload):
                return False
            self._open.append((self._now, place))
            self._settle()
        if not all(self._deliver(message) for message in self._due()):
            return False
        self._settle()
        return True

    def _joined(self, frames: Sequence[tuple[Place, Frame]]) -> Iterator[tuple[bytes, Place]]:
        parts, size = list[bytes](), 0
        last: Place | None = None
        for place, frame in frames:
            payload = self._payload(frame)
            if last is not None and size + len(payload) > self._delivery.joins_bytes:
                yield b"".join(parts), last
                parts, size = [], 0
            parts.append(payload)
            size, last = size + len(payload), place
        if last is not None:
            yield b"".join(parts), last

    def _payload(self, frame: Frame) -> bytes:
        try:
            return frame.payload()
        except Exception as error:
            self._delivery.lose(self._signal, b"", f"a frame cannot be unpacked: {error}")
            return b""

    def _forward(self, payload: bytes) -> bool:
        try:
            if not self._processors:
                return not payload or self._delivery.deliver(self._signal, payload)
            return all(self._deliver(message) for message in self._processed(payload))
        except Exception as error:  # never sent as it is: a processor may be there to take something out
            log.debug("a request could not be forwarded", exc_info=True)
            self._delivery.lose(self._signal, payload, f"{type(error).__name__} while it was processed: {error}")
            return True

    def _deliver(self, message: Message) -> bool:
        payload = message.SerializeToString()
        return not payload or self._delivery.deliver(self._signal, payload)

    def _processed(self, payload: bytes) -> list[Message]:
        return self._through([REQUESTS[self._signal].FromString(payload)], 0)

    def _due(self) -> list[Message]:
        found: list[Message] = []
        for at, processor in enumerate(self._processors):
            found += self._through(processor.due(self._now), at + 1)
        return found

    def _through(self, messages: list[Any], first: int) -> list[Message]:
        for processor in self._processors[first:]:
            messages = [out for one in messages for out in processor.process(self._signal, one, self._now)]
        return messages

    def _settle(self) -> None:
        """Tell the reader how far everything is delivered or dropped for good."""
        waiting = [since for one in self._processors if (since := one.waits_since()) is not None]
        place: Place | None = None
        while self._open and (not waiting or self._open[0][0] < min(waiting)):
            place = self._open.popleft()[1]
        if place is not None:
            self._source.done(place)
