"""A leak: memory that is really taken, page by page, and never given back while the fault lasts.

    usual --grows evenly--> PRESSED of the way: garbage is collected again and again --> FULL times the usual: it dies

What is taken is partly small objects, so that collecting garbage takes ever longer, as in any process of this kind.
"""

import gc
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from paramedic_demo.faults import FaultSpec

FULL = 4.0  # memory at which the process dies, of what it had when the leak began
PRESSED = 0.6  # of the way there, from which on memory is short
STEP_S = 0.2
OBJECTS_A_STEP = 1500
COLLECT_EACH_S = 0.3  # at most so often, when memory is short and somebody asks
STATUS = Path("/proc/self/statm")
USUAL_BYTES = 7e7  # where the system does not say


def memory_bytes() -> int:
    """What of this process is in memory now."""
    try:
        return int(STATUS.read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return int(USUAL_BYTES)


def die() -> None:
    """As by the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


class Leak:
    """The leak of one process.

    Args:
        die: What happens when memory is full.
    """

    def __init__(self, die: Callable[[], None] = die) -> None:
        self._die, self._lock = die, threading.Lock()
        self._pages: list[mmap.mmap] = []
        self._objects: list[list[object]] = []
        self._over = threading.Event()
        self.share = 0.0  # of the way to FULL
        self._collected_at = 0.0

    def follow(self, fault: FaultSpec) -> None:
        """Begin with a fault of kind "leak", end with any other; as `FaultSwitch` calls it."""
        self._end()
        if fault.kind == "leak":
            over = self._over = threading.Event()
            grown = (FULL - 1.0) * memory_bytes()
            thread = threading.Thread(target=self._grow, args=(over, grown, fault.number("full_after_s")), daemon=True)
            thread.start()

    def press(self) -> None:
        """What an answer costs beside its own work: nothing, until memory is short."""
        if self.share >= PRESSED and time.monotonic() - self._collected_at > COLLECT_EACH_S:
            gc.collect()
            self._collected_at = time.monotonic()

    def _grow(self, over: threading.Event, bytes_in_all: float, full_after_s: float) -> None:
        steps = max(1, round(full_after_s / STEP_S))
        size = int(bytes_in_all / steps)
        for step in range(1, steps + 1):
            if over.wait(STEP_S):
                return
            with self._lock:
                if over.is_set():
                    return
                self._take(size)
                self.share = step / steps
        self._die()

    def _take(self, size: int) -> None:
        pages = mmap.mmap(-1, max(size, 1))
        pages.write(b"\1" * max(size, 1))  # what nobody writes to is in no memory
        self._pages.append(pages)
        self._objects += [[] for _ in range(OBJECTS_A_STEP)]

    def _end(self) -> None:
        with self._lock:
            self._over.set()
            self.share = 0.0
            for pages in self._pages:
                pages.close()
            self._pages, self._objects = [], []
