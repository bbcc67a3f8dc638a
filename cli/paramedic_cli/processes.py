"""Child processes of a command: started so that none outlives it, told to stop, and killed when they do not listen.

Each runs under `paramedic_demo.fleet_ward`, which ends it when our end of its standard input closes: also when
we are killed. Each is a process group of its own, so that Ctrl-C reaches the command alone, which then stops it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_S = 5.0


def warded(module: str, flags: Sequence[str]) -> list[str]:
    """The command line of `python -m MODULE` under the ward."""
    return [sys.executable, "-m", "paramedic_demo.fleet_ward", module, *flags]


class ChildProcess:
    """One `python -m MODULE FLAGS...`, started at once.

    Args:
        command: From `warded`.
        env: Its whole environment.
        log_file: Where its output is added.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log_file: Path) -> None:
        self.log_file = log_file
        with log_file.open("ab") as out:
            self._process = subprocess.Popen(
                list(command), env=dict(env), stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Its exit code; None when it still runs after `timeout_s` seconds."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_stop(self) -> None:
        """SIGTERM; returns at once."""
        if self.alive:
            self._process.terminate()

    def stop(self, patience_s: float = STOP_S) -> int | None:
        """Ask it to stop, and kill it when it does not within `patience_s` seconds; its exit code."""
        if self.alive:
            self._process.terminate()
            if self.wait(patience_s) is None:
                self.kill()
        return self.wait()

    def kill(self) -> None:
        """`kill -9`, and of what it started too: what a machine that dies would do."""
        if self.alive:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = [line for line in self.log_file.read_text(errors="replace").split("\n") if line.strip()]
        return lines[-1].removeprefix("paramedic: ") if lines else f"it said nothing; its log is {self.log_file}"
