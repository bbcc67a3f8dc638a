"""Each word on a command as an event: what the platform asked, and what this bot made of it."""

from paramedic.contract.attributes import (
    COMMAND_EVENT,
    COMMAND_GUARDS,
    COMMAND_ID,
    COMMAND_KIND,
    COMMAND_OWNER,
    COMMAND_REASON,
    COMMAND_STATE,
    COMMAND_VERSION,
    INCIDENT,
    LEASE_ID,
)
from paramedic.contract.command import Ack, AckState, Command
from paramedic.telemetry.runtime import dropped, runtime

Value = str | int | list[str]
INFO, WARNING = 9, 13  # of OpenTelemetry's severity numbers


def tell(ack: Ack, command: Command | None) -> None:
    """Emit an event; never raises.

    Args:
        ack: What became of it.
        command: What was asked; None when it was not proved to be the platform's.
    """
    if runtime.events is None:
        return
    try:
        severity = WARNING if ack.state is AckState.REJECTED else INFO
        runtime.events.emit(COMMAND_EVENT, attributes_of(ack, command), severity=severity)
    except Exception:  # it promises not to; a command must be obeyed all the same
        dropped.add("events")


def attributes_of(ack: Ack, command: Command | None) -> dict[str, Value]:
    about: dict[str, Value] = {
        COMMAND_ID: ack.command_id,
        COMMAND_VERSION: ack.version,
        COMMAND_STATE: ack.state.value,
        COMMAND_REASON: ack.reason,
        COMMAND_GUARDS: list(ack.guards),
    }
    if command is not None:
        about.update({COMMAND_KIND: command.kind.value, COMMAND_OWNER: command.owner, LEASE_ID: command.lease.id})
        about[INCIDENT] = command.incident
    return {name: value for name, value in about.items() if value or name == COMMAND_VERSION}
