"""Processes of the ingest benchmark: started, measured through /proc, asked, stopped.

with Process([...], log) as one:   one.cpu_s(), one.peak_mib()
with Talker([...], log) as one:    one.hello, one.ask("report") -> dict
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from ingest_sender import Order

HERE: Final = Path(__file__).parent
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STOP_S: Final = 10.0


class Process:
    """A child process, measured as a whole: all its threads.

    Args:
        log: Where what it says goes.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(list(command), **self._pipes(), stderr=out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def cpu_s(self) -> float:
        """CPU seconds so far, of the user and of the system."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak_mib(self) -> float:
        """Most resident memory so far."""
        return self._status_kib("VmHWM") / 1024

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def _pipes(self) -> dict[str, Any]:
        return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}

    def _status_kib(self, name: str) -> int:
        lines = Path(f"/proc/{self._child.pid}/status").read_text().split("\n")
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Talker(Process):
    """One of our own scripts: it answers each line with a line; the first line it says by itself."""

    def __init__(self, script: str, *words: str, log: Path) -> None:
        super().__init__([sys.executable, str(HERE / script), *words], log)
        self.hello: dict[str, Any] = json.loads(self._line())

    def ask(self, question: str) -> Any:
        self.tell(question)
        return json.loads(self._line())

    def tell(self, question: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{question}\n".encode())
        self._child.stdin.flush()

    def _line(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the benchmark ended; it said: {self.log.read_text()[-2000:]}")
        return str(line.decode().strip())

    def _pipes(self) -> dict[str, Any]:
        return {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


class Sender(Talker):
    """Sends what it is ordered to."""

    def __init__(self, log: Path) -> None:
        super().__init__("ingest_sender.py", log=log)

    def prepare(self, order: Order) -> None:
        """Returns once its first batches are made."""
        self.ask(json.dumps(asdict(order)))

    def start(self) -> None:
        self.tell("go")

    def result(self) -> Any:
        """{"accepted_spans", "replies", "seconds"}; waits for the end."""
        return json.loads(self._line())

    def send(self, order: Order) -> Any:
        self.prepare(order)
        self.start()
        return self.result()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        if time.monotonic() > ends:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0
