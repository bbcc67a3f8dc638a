"""Whether what people and models said may be recorded: not unless asked for."""

import os

SWITCH = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_ON = frozenset({"true", "1", "yes", "on", "span_only", "event_only", "span_and_event"})


def capturing() -> bool:
    """What the environment says now."""
    return os.environ.get(SWITCH, "").strip().lower() in _ON
