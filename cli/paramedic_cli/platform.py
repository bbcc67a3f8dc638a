"""The platform as a child process: start `paramedic up`, wait until it is ready, stop it.

PlatformProcess.start() -> `paramedic up --json ADDRESSES` -> wait_ready() -> stop()
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paramedic_cli.errors import UserError
from paramedic_cli.processes import ChildProcess, warded

STOP_S = 20.0  # how long a platform may take to stop before it is killed
LOOK_EVERY_S = 0.2  # for the file that says it is ready


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running platform is; the JSON that `paramedic up --json FILE` writes once it is ready."""

    api: str  # URL
    dashboard: str  # URL; "" without a dashboard
    otlp_grpc: str  # URL, as OTEL_EXPORTER_OTLP_ENDPOINT takes it
    otlp_http: str  # URL
    data_dir: str
    pid: int


class PlatformProcess:
    """One `paramedic up` of our own.

    Args:
        env: The child's whole environment; PARAMEDIC_* in it is its configuration.
        folder: Where its log and its addresses go.
        flags: Further words of the command.
    """

    def __init__(self, env: Mapping[str, str], folder: Path, flags: Sequence[str] = ()) -> None:
        self._env, self._flags = dict(env), list(flags)
        self._addresses, self.log_file = folder / "addresses.json", folder / "platform.log"
        self._child: ChildProcess | None = None

    def start(self) -> None:
        self._addresses.unlink(missing_ok=True)
        command = warded("paramedic_cli.main", ["up", "--json", str(self._addresses), *self._flags])
        self._child = ChildProcess(command, self._env, self.log_file)

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def wait_ready(self, timeout_s: float = 60.0) -> Addresses:
        """Where it is, once everything in it answers.

        Raises:
            UserError: It ended instead, with its own last words, or took longer than `timeout_s` seconds.
        """
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if self._addresses.exists():
                return Addresses(**json.loads(self._addresses.read_text()))
            if self._child is None or not self._child.alive:
                raise UserError(f"the platform did not start: {self._child.last_words() if self._child else ''}")
            time.sleep(LOOK_EVERY_S)
        raise UserError(f"the platform was not ready after {timeout_s:.0f} s; its log is {self.log_file}")

    def stop(self) -> int | None:
        """Ask it to stop, and kill it when it does not; its exit code."""
        return self._child.stop(STOP_S) if self._child else None

    def kill(self) -> None:
        """`kill -9`, of its dashboard too."""
        if self._child:
            self._child.kill()
