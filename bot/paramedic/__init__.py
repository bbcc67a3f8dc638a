"""paramedic: guards for the calls of a bot, the telemetry of those calls, and commands from its platform.

    import paramedic

    paramedic.init(service="support-bot")

    @paramedic.guard("llm.primary", peer="aurora", deadline_s=8, fallbacks=[ask_light_model, cached_answer])
    async def ask_model(question: str) -> str: ...

Depends on OpenTelemetry and the standard library only, and works without any platform.
"""

import importlib
from typing import TYPE_CHECKING, Any

from paramedic.answers import Answers
from paramedic.feedback import feedback
from paramedic.guards.budget import deadline, left_s
from paramedic.guards.calls import Call
from paramedic.guards.fallbacks import Fallback
from paramedic.guards.guard import Guard, guard
from paramedic.guards.refusals import (
    BreakerOpen,
    BulkheadFull,
    CommandRefused,
    DeadlineExceeded,
    Refused,
    ResidencyRefused,
    Shed,
)
from paramedic.instrument import instrument
from paramedic.policy.breaker import Breaker
from paramedic.policy.retry import Retry
from paramedic.request import request
from paramedic.routing.cascade import Cascade
from paramedic.routing.members import Member
from paramedic.routing.router import Router
from paramedic.start import init, shutdown
from paramedic.streams.generators import StreamCut
from paramedic.tools import available

if TYPE_CHECKING:
    from paramedic import asgi, genai, testing

__all__ = [
    "Answers",
    "Breaker",
    "BreakerOpen",
    "BulkheadFull",
    "Call",
    "Cascade",
    "CommandRefused",
    "DeadlineExceeded",
    "Fallback",
    "Guard",
    "Member",
    "Refused",
    "ResidencyRefused",
    "Retry",
    "Router",
    "Shed",
    "StreamCut",
    "asgi",
    "available",
    "deadline",
    "feedback",
    "genai",
    "guard",
    "init",
    "instrument",
    "left_s",
    "request",
    "shutdown",
    "testing",
]

_ROOMS = frozenset({"asgi", "genai", "testing"})  # imported when they are first looked at


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _ROOMS:
            return importlib.import_module(f"paramedic.{name}")
        raise AttributeError(f"module 'paramedic' has no attribute {name!r}")
