"""What a span of logfire costs."""

import logfire
from opentelemetry.sdk.trace import SpanProcessor
from sdk_cases import FIVE, bare
from sdk_measure import TOLD, Case


def cases() -> list[Case]:
    logfire.configure(
        send_to_logfire=False, console=False, additional_span_processors=[SpanProcessor()], inspect_arguments=False
    )

    async def span() -> int:
        with logfire.span("call", **FIVE):  # type: ignore[arg-type]
            return await bare()

    return [
        Case("logfire.span, 5 attributes", span, peer=True, beside=TOLD, share=0.25),
        Case(
            "logfire.instrument",
            logfire.instrument("call", extract_args=False)(bare),
            peer=True,
            beside=TOLD,
            share=0.25,
        ),
    ]
