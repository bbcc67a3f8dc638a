"""paramedic: guards for the calls of a bot, the telemetry of those calls, and commands from its platform.

    import paramedic

    paramedic.init(service="support-bot")

    @paramedic.guard("llm.primary", peer="aurora", deadline_s=8, fallbacks=[ask_light_model, cached_answer])
    async def ask_model(question: str) -> str: ...

Depends on OpenTelemetry and the standard library only, and works without any platform.
"""

from paramedic.budget import deadline, left_s
from paramedic.calls import Call
from paramedic.guards import Guard, guard
from paramedic.refusals import BreakerOpen, BulkheadFull, CommandRefused, DeadlineExceeded, Refused, Shed
from paramedic.routers import Router
from paramedic.start import init, shutdown

__all__ = [
    "BreakerOpen",
    "BulkheadFull",
    "Call",
    "CommandRefused",
    "DeadlineExceeded",
    "Guard",
    "Refused",
    "Router",
    "Shed",
    "deadline",
    "guard",
    "init",
    "left_s",
    "shutdown",
]
