"""Keeps one process running: starts it, starts it again when it died by itself, lets it lie while it is held down.

    start --> running --died by itself--> running again (counted; slower and slower when it keeps dying)
                 |
                 +--kill -9, held down--> lies there --release--> running, on the same port
                 +--stop--> SIGTERM, 3 s, SIGKILL

One thread a process, asleep in ``wait``: no polling. `stop` can be called at any time and from any thread.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 3.0  # between SIGTERM and SIGKILL
QUICK_DEATH_S, LONGEST_REST_S = (
    5.0,
    5.0,
)  # who lives less than that rests, twice as long each time, before the next start


@dataclass(frozen=True, slots=True)
class Job:
    """A process of the demo: what to run, and how to see that it is well."""

    name: str  # as people read it: "support-bot in eu-1a"
    module: str
    arguments: Sequence[str]
    port: int
    env: Mapping[str, str] = field(default_factory=dict)  # the whole environment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Keeper:
    """Runs one job until it is stopped."""

    def __init__(self, job: Job, log: Path) -> None:
        self.job, self.log, self.restarts = job, log, 0
        self.last_exit: int | None = None  # of a process that died by itself; None while none did
        self._turn = threading.Condition()
        self._held = self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._shot: subprocess.Popen[bytes] | None = None  # the last one that `kill` ended
        self._thread = threading.Thread(target=self._keep, name=f"keeper {job.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def held(self) -> bool:
        """Killed, and not to start again yet."""
        return self._held

    def start(self) -> None:
        self._thread.start()

    def kill(self) -> None:
        """``kill -9``, and leave it dead until `release`."""
        with self._turn:
            self._held, self._shot = True, self._process
            self._signal(signal.SIGKILL)

    def release(self) -> None:
        with self._turn:
            self._held = False
            self._turn.notify_all()

    def pause(self) -> None:
        """Let the process stand still until `resume`; what it has begun waits."""
        with self._turn:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        with self._turn:
            self._signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """SIGTERM, and no restart; returns at once."""
        with self._turn:
            self._stopping = True
            self._turn.notify_all()
            self._signal(signal.SIGTERM)

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Returns when the process is gone."""
        self.ask_to_stop()
        if self._thread.ident is None:
            return
        self._thread.join(patience_s)
        if self._thread.is_alive():
            with self._turn:
                self._signal(signal.SIGKILL)
            self._thread.join()

    def last_words(self) -> str:
        """The last line that the process wrote, which says why it died; empty when it wrote none."""
        try:
            lines = self.log.read_text(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _keep(self) -> None:
        rest_s = 0.0
        while self._may_run(rest_s):
            began = time.monotonic()
            process = self._spawn()
            if process is None:
                return
            until_dead(process)
            shot = self._bury(process)
            quick = time.monotonic() - began < QUICK_DEATH_S
            rest_s = min(max(rest_s * 2, 0.2), LONGEST_REST_S) if quick and not shot else 0.0

    def _may_run(self, rest_s: float) -> bool:
        """Rests, and waits while the process is held down; False when it shall not start again."""
        with self._turn:
            self._turn.wait_for(lambda: self._stopping, rest_s)
            self._turn.wait_for(lambda: self._stopping or not self._held)
            return not self._stopping

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        command = [sys.executable, "-m", "paramedic_demo.fleet_ward", self.job.module, *self.job.arguments]
        with self._turn, self.log.open("ab") as log:
            if self._stopping:
                return None
            self._process = subprocess.Popen(
                command, env=dict(self.job.env), stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0
            )
            return self._process

    def _bury(self, process: subprocess.Popen[bytes]) -> bool:
        """Takes away what is left of a process; True when we killed it ourselves."""
        with self._turn:
            self._signal(signal.SIGKILL)  # what it had started goes with it
            code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            shot = self._stopping or process is self._shot
            if not shot:
                self.restarts, self.last_exit = self.restarts + 1, code
            return shot

    def _signal(self, number: signal.Signals) -> None:
        """To the process and all that it started. The lock is held, so the number is still theirs."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def until_dead(process: subprocess.Popen[bytes]) -> None:
    """Waits for the end; where the system can, without giving the process number up yet."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()
