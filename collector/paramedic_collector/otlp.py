"""The three signals of OTLP, and what it means that a payload is none of them."""

from enum import StrEnum


class Signal(StrEnum):
    """What a payload carries; the value is the last part of its HTTP path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Undecodable(ValueError):
    """The payload is no OTLP message of its signal; the message says what is wrong with it."""
