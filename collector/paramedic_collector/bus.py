"""The way of window batches from collectors to detectors.

    collector --publish--> Bus --batches--> detector

The in-process bus is a bounded queue. A consumer that falls behind makes `publish` drop the oldest batch
and count it: a slow detector must never stop ingestion, and stale windows are the cheapest thing to lose.
"""

import queue
import threading
from collections.abc import Iterator
from typing import Protocol

from paramedic_collector.windows import WindowBatch


class Bus(Protocol):
    """Takes window batches in, gives them out in order; safe to share between threads."""

    def publish(self, batch: WindowBatch) -> None: ...

    def batches(self, timeout_s: float) -> Iterator[WindowBatch]:
        """Wait up to `timeout_s` for the first batch, then give all that have arrived; may give none."""
        ...

    def close(self) -> None: ...


class InProcessBus:
    """One publisher side, one consumer, one process.

    Args:
        capacity: Batches kept while the consumer is busy; at one batch a second, seconds.
    """

    def __init__(self, capacity: int = 600) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 batch, got {capacity!r}")
        self.dropped = 0  # batches
        self._queue: queue.Queue[WindowBatch] = queue.Queue(capacity)
        self._lock = threading.Lock()

    def publish(self, batch: WindowBatch) -> None:
        with self._lock:
            while True:
                try:
                    return self._queue.put_nowait(batch)
                except queue.Full:
                    try:
                        self._queue.get_nowait()
                        self.dropped += 1
                    except queue.Empty:
                        continue

    def batches(self, timeout_s: float) -> Iterator[WindowBatch]:
        try:
            yield self._queue.get(timeout=timeout_s)
            while True:
                yield self._queue.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        """Nothing to let go of."""
