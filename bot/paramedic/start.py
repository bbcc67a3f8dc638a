"""`init` and `shutdown`: connect this process to its collector and its platform, or to neither.

Nothing here raises at a bot: what cannot be done is one line in the log, and the guards work alone.
"""

import atexit
import logging
import os
import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paramedic.ids import salt
from paramedic.telemetry.runtime import dropped, runtime

if TYPE_CHECKING:
    from paramedic.commands.client import CommandClient
    from paramedic.settings import Settings
    from paramedic.telemetry.setup import Telemetry

log = logging.getLogger("paramedic")

SHUTDOWN_S = 2.0


class _Started:
    """What `init` started in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.on = False
        self.telemetry: Telemetry | None = None
        self.commands: CommandClient | None = None


_started = _Started()


def init(
    service: str | None = None, version: str | None = None, zone: str | None = None, *, redact: Sequence[str] = ()
) -> None:
    """Record what the guards of this process do, and listen to its platform when it has one.

    Spans go out each second, so do calls in flight; counters go out each five seconds. A TracerProvider that
    is there already is joined, not replaced. Never raises because of a platform that is dead or wrongly configured.

    Args:
        service: Name of this bot; OTEL_SERVICE_NAME when not given.
        version: Its version; ``service.version`` of OTEL_RESOURCE_ATTRIBUTES when not given.
        zone: Where it runs; ``cloud.availability_zone`` of OTEL_RESOURCE_ATTRIBUTES when not given.
        redact: Regular expressions of what must not be sent, beside what is known to be private:
            ``[r"\\bC-\\d{6}\\b"]``. PARAMEDIC_REDACT=off switches all redaction off.

    Raises:
        ValueError: One of `redact` is no regular expression.
    """
    _check_patterns(redact)
    with _started.lock:
        if _started.on:
            log.warning("paramedic.init() was called again; the first call stands")
            return
        _started.on = True
        from paramedic.settings import read_settings  # what only `init` needs is not imported before

        settings = read_settings(service, version, zone, os.environ)
        runtime.criticality = settings.criticality
        if settings.platform is not None:
            salt.use(settings.platform.secret)
        _start_telemetry(settings, redact)
        _start_commands(settings)
        atexit.register(shutdown)


def shutdown(within_s: float = SHUTDOWN_S) -> None:
    """Send what is left, stop listening, and give up after `within_s` seconds. Also done at exit."""
    with _started.lock:
        if not _started.on:
            return
        _started.on, runtime.criticality = False, ""
        atexit.unregister(shutdown)
        if _started.commands is not None:
            _started.commands.stop()
            runtime.forget(_restart_commands)
        if _started.telemetry is not None:
            _started.telemetry.close(within_s)
        _started.commands = _started.telemetry = None


def _check_patterns(redact: Sequence[str]) -> None:
    if redact:  # rarely; what checks them costs to import
        from paramedic.telemetry.private import Private

        Private(redact)


def _start_telemetry(settings: "Settings", redact: Sequence[str]) -> None:
    if settings.disabled:
        return
    try:
        from paramedic.telemetry.setup import Telemetry

        _started.telemetry = Telemetry(settings, redact)
    except Exception as error:
        dropped.add("telemetry")
        log.warning("telemetry is off: %s; check the OTEL_* variables", error)


def _start_commands(settings: "Settings") -> None:
    if settings.platform is None:
        log.info("no platform is configured; the guards of %s work alone", settings.service)
        return
    try:
        from paramedic.commands.client import CommandClient

        _started.commands = CommandClient(settings.platform, settings.service, _instance)
        _started.commands.start()
        runtime.on_revival(_restart_commands)
    except Exception as error:
        dropped.add("commands")
        log.warning("commands are off: %s", error)


def _restart_commands() -> None:
    if _started.commands is not None:
        _started.commands.start()


_own_instance = ""
_own_pid = 0


def _instance() -> str:
    """Who this process is; the same as in its telemetry, unless a forked child was left its parent's name there."""
    global _own_instance, _own_pid
    if _own_pid != os.getpid():
        told = _started.telemetry.instance if _started.telemetry is not None else ""
        inherited = bool(told) and told == _own_instance
        _own_instance = f"{told}-{os.getpid()}" if inherited else told or str(uuid.uuid4())
        _own_pid = os.getpid()
    return _own_instance
