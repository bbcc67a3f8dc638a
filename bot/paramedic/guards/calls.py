"""One guarded call in progress, and what the code inside it may say about it.

call = paramedic.Guard.current()
call.set("gen_ai.request.model", "aurora-large")
call.first_token()
call.tokens(input=812, output=64)
"""

import asyncio
from collections.abc import Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from paramedic.contract.attributes import (
    ABANDONED,
    CANCELLED,
    COST_USD,
    DECISION,
    ERROR_TYPE,
    GENAI_INPUT_TOKENS,
    GENAI_OUTPUT_TOKENS,
    REFUSED,
    REFUSED_BY,
    REFUSED_BY_COMMAND,
    TIME_TO_FIRST_CHUNK,
    TIMEOUT,
    USELESS,
)
from paramedic.guards.budget import Frame, frame
from paramedic.policy.effects import Effects
from paramedic.policy.gate import Admission
from paramedic.policy.retry import status_of
from paramedic.telemetry.runtime import dropped, log, runtime

if TYPE_CHECKING:
    from paramedic.guards.admitting import Admitting

Value = str | bool | int | float | list[str]


class Call(Frame):
    """A call that a guard let through, until it ends. Safe to use when nothing records it.

    Attributes:
        plain: Whether it has neither span nor timer, and nothing was said of its answer.
    """

    # Set on few calls; as defaults of the class they cost nothing on the others.
    span: Span | None = None
    useless_as: str | None = None
    criticality = ""  # class of the call; empty when nobody said
    timeout_s: float | None = None  # of this attempt
    own_deadline_s: float | None = None  # of the guard, before the surrounding budget shortened it
    abandoned = False  # a command let it go
    streamed = False  # it lasts until its stream of chunks has ended
    effects: Effects | None = None  # of commands, in force when it began
    said: dict[str, Value] | None = None  # what `set` wrote
    first_token_s: float | None = None
    _described = False
    _context: "Token[context.Context]"

    def __init__(
        self, guard: "Admitting | None", admission: Admission, started: float, task: "asyncio.Task[Any] | None"
    ) -> None:
        self.guard = guard
        self.admission = admission
        self.started = started
        self.task = task
        self.plain = True

    @property
    def call(self) -> "Call":
        return self

    def set(self, name: str, value: Value) -> None:
        """Write an attribute on the call's span; metrics read it too."""
        if self.span is not None:
            self.span.set_attribute(name, value)
        elif runtime.recorder is None:
            return
        if self.said is None:
            self.said = {}
        self.said[name] = value

    def first_token(self) -> None:
        """Say that the first piece of the answer is here; later ones do not count."""
        if self.first_token_s is None and self.guard is not None:
            self.first_token_s = max(0.0, self.guard.clock() - self.started)
            self.set(TIME_TO_FIRST_CHUNK, self.first_token_s)

    def tokens(self, *, input: int, output: int) -> None:
        """Say what the call used."""
        self.set(GENAI_INPUT_TOKENS, input)
        self.set(GENAI_OUTPUT_TOKENS, output)

    def cost_usd(self, usd: float) -> None:
        """Say what the call cost."""
        self.set(COST_USD, float(usd))

    def useless(self, kind: str) -> None:
        """Say that the answer helps nobody ("empty", "cut", "refused"): it fails the call, as `check` does."""
        self.useless_as, self.plain = kind, False

    def cap_tokens(self, wanted: int) -> int:
        """How many tokens to ask for at most: what is wanted, or less when a command caps it."""
        most = getattr(self.effects, "max_tokens", None)
        return wanted if most is None else min(wanted, most)

    def describes(self, attributes: Mapping[str, Value]) -> bool:
        """For an instrumented client inside: whether this call is that client's.

        The first client to ask gets True, and its attributes stand on this call's span; a later one makes
        a span of its own.
        """
        if self._described or self.guard is None:
            return False
        self._described = True
        for name, value in attributes.items():
            self.set(name, value)
        return True

    def leave(self, error_type: str | None, cancelled: bool = False) -> None:
        """Go back to what was current before, and end the span with what became of the call."""
        self.step_out()
        if self.span is not None:
            self._end_span(self.span, error_type, cancelled)

    def step_out(self) -> None:
        """Make what was current before this call current again."""
        try:
            frame.reset(self.token)  # type: ignore[arg-type]
        except (ValueError, TypeError):  # a generator was closed in another context
            dropped.add("context")

    def start_span(self, tracer: Tracer, name: str, attributes: Mapping[str, Value]) -> None:
        """Begin a span and make it the current one."""
        try:
            span = tracer.start_span(
                name,
                kind=SpanKind.CLIENT,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            )
        except Exception as error:  # a broken sampler or processor of the team
            dropped.add("spans")
            log.debug("no span for %s: %r", name, error)
            return
        self.plain = False
        self.span, self._context = span, context.attach(trace.set_span_in_context(span))

    def _end_span(self, span: Span, error_type: str | None, cancelled: bool) -> None:
        if self.useless_as is not None:
            span.set_attribute(USELESS, self.useless_as)
        if self.abandoned:
            span.set_attributes({DECISION: REFUSED, REFUSED_BY: REFUSED_BY_COMMAND, ABANDONED: True})
        elif error_type is not None:
            span.set_attribute(ERROR_TYPE, error_type)
            span.set_status(Status(StatusCode.ERROR))
        elif cancelled:
            span.set_attribute(CANCELLED, True)
        context.detach(self._context)
        try:
            span.end()
        except Exception as error:
            dropped.add("spans")
            log.debug("the span of a call was lost: %r", error)


class NoCall(Call):
    """What stands in for a call outside of one: takes everything and does nothing."""

    def set(self, name: str, value: Value) -> None:
        return

    def useless(self, kind: str) -> None:
        return


NO_CALL = NoCall(None, Admission(None), 0.0, None)


def current_call() -> Call:
    now_in = frame.get()
    return NO_CALL if now_in is None or now_in.call is None else now_in.call


def error_type(error: BaseException) -> str:
    """The value of ``error.type``: a status, "timeout", or the name of the class."""
    status = status_of(error)
    if status is not None:
        return str(status)
    name = type(error).__name__
    late = isinstance(error, TimeoutError) or name.endswith(("Timeout", "TimeoutException", "APITimeoutError"))
    return TIMEOUT if late else name
