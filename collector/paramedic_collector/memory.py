"""How much memory the process may use: what `memory_limiter` asks for, as numbers and as a question.

    limit_mib --less spike_limit_mib--> soft limit --less what the process takes up when it starts--> free
    free --> a half for the queue, a third for the join, a sixth for requests on their way in
    resident size above the soft limit --> senders are told to come again, until it is below

The shares count what is known to wait. The resident size counts everything, so the limit holds whatever grows.
"""

import ctypes
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1  # between two looks at the resident size
_GIVE_BACK_S: Final = 1.0  # between two times that freed memory goes back to the system
_SPIKE: Final = 5  # without spike_limit_mib, the soft limit is a fifth below
_LEAST: Final = 8  # a part of the limit that is shared out even if nothing is left
_MIB: Final = 1 << 20
_ARENAS: Final = 2  # more threads than that seldom allocate at the same time
_M_ARENA_MAX: Final = -8  # of malloc.h


@dataclass(frozen=True, slots=True)
class Shares:
    """Most bytes of what waits for the fold, of what waits for its parents or children, and of unread requests."""

    queue: int
    join: int
    requests: int


class Memory:
    """Safe to share between threads.

    Args:
        limit_bytes: What the process may use.
        spike_bytes: What it may use above the soft limit for a moment; 0 for a fifth of the limit.
        resident: The size of the process now, in bytes; 0 when that cannot be told.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        limit_bytes: int,
        spike_bytes: int = 0,
        *,
        resident: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_bytes, self.soft_bytes = limit_bytes, limit_bytes - (spike_bytes or limit_bytes // _SPIKE)
        self._spike_bytes = spike_bytes
        self._resident, self._clock = resident or resident_bytes, clock
        self._lock = threading.Lock()
        self._look_at = self._give_back_at = 0.0
        self._why = ""

    def shares(self) -> Shares:
        """Of what is left now; call it once everything that is always there has been loaded."""
        used, least = self._resident(), self.limit_bytes // _LEAST
        free = self.soft_bytes - used
        if free < least:
            log.warning(
                "memory_limiter.limit_mib is %d, and the process takes up %d MiB before any telemetry comes: "
                "raise it to at least %d, or senders are told to come again most of the time",
                self.limit_bytes // _MIB, used // _MIB, self._least_limit(used) // _MIB + 1,
            )  # fmt: skip
            free = least
        return Shares(max(free // 2, 1), max(free // 3, 1), max(free // 6, 1))

    def why_full(self) -> str:
        """Why nothing more may be taken in; "" while there is memory."""
        with self._lock:
            now = self._clock()
            if now >= self._look_at:
                self._look_at, self._why = now + _LOOK_S, self._look(now)
            return self._why

    def _least_limit(self, used: int) -> int:
        """The limit with which the least would be left."""
        if self._spike_bytes:
            return int((used + self._spike_bytes) / (1 - 1 / _LEAST))
        return int(used / (1 - 1 / _SPIKE - 1 / _LEAST))

    def _look(self, now: float) -> str:
        used = self._resident()
        if used > self.soft_bytes and now >= self._give_back_at:
            self._give_back_at = now + _GIVE_BACK_S
            give_back()
            used = self._resident()
        if used <= self.soft_bytes:
            return ""
        return f"the process takes up {used // _MIB} MiB, the soft limit is {self.soft_bytes // _MIB} MiB"


def resident_bytes() -> int:
    """What the process takes up of the machine's memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def give_back() -> None:
    """Hand freed memory to the system: allocators keep it for later, in every thread's own arena."""
    pa.default_memory_pool().release_unused()
    _gnu("malloc_trim", 0)


def few_arenas() -> None:
    """Let threads share what they freed: one arena each would hold many times what is in use. Before they start."""
    if "MALLOC_ARENA_MAX" not in os.environ:
        _gnu("mallopt", _M_ARENA_MAX, _ARENAS)


def _gnu(name: str, *numbers: int) -> None:
    """Call a function that only the GNU C library has."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*numbers)
