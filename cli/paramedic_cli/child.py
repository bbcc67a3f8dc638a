"""A child process that is kept alive: started again when it dies, ever more slowly while it keeps dying.

    start() -> running --dies--> wait 1 s, 2 s, 4 s ... 30 s -> running ... stop()

A dead dashboard must never take the platform with it, nor keep it busy.
"""

import logging
import threading
import time
from collections.abc import Callable

from paramedic_cli.processes import ChildProcess

log = logging.getLogger("paramedic.child")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
HEALTHY_S = 60.0  # a child that lived this long is started again at once


class KeptChild:
    """Runs one child for as long as we live.

    Args:
        name: For the log: "dashboard".
        start: Starts it.
        wait: Sleeps the given seconds; without one, wakes up early when stopped.
    """

    def __init__(
        self, name: str, start: Callable[[], ChildProcess], wait: Callable[[float], object] | None = None
    ) -> None:
        self.name, self.starts = name, 0
        self._start_child = start
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def stop(self) -> None:
        """End the child and do not start it again."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            child.stop()
        self._thread.join()

    def _keep(self) -> None:
        wait_s = 0.0
        while not self._stopping.is_set():
            began = time.monotonic()
            child = self._start_once()
            code = child.wait() if child else None
            if self._stopping.is_set():
                return
            wait_s = next_wait_s(wait_s, lived_s=time.monotonic() - began)
            log.warning("the %s ended with code %s; it is started again in %.0f s", self.name, code, wait_s)
            self._wait(wait_s)

    def _start_once(self) -> ChildProcess | None:
        with self._lock:  # so that a stop cannot fall between the question and the start
            if self._stopping.is_set():
                return None
            try:
                self._child = self._start_child()
            except OSError as error:
                log.warning("the %s cannot be started: %s", self.name, error)
                return None
            self.starts += 1
            return self._child


def next_wait_s(last_s: float, *, lived_s: float) -> float:
    """How long to leave a child dead that lived for `lived_s` seconds, after a wait of `last_s` before that."""
    if lived_s >= HEALTHY_S or last_s == 0:
        return FIRST_WAIT_S
    return min(LONGEST_WAIT_S, last_s * 2)
