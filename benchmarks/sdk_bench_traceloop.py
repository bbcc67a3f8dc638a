"""What the decorator of traceloop-sdk costs."""

from opentelemetry.sdk.trace import SpanProcessor
from sdk_cases import bare
from sdk_measure import TOLD, Case
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task


def cases() -> list[Case]:
    Traceloop.init("bench", processor=SpanProcessor(), telemetry_enabled=False, disable_batch=True)
    return [Case("traceloop @task", task(name="call")(bare), peer=True, beside=TOLD, share=0.25)]
