"""Processors: `memory_limiter` and `batch`, which change nothing, and those that change what is forwarded.

A reader gives a `Step`: what to build for each pipeline that names the processor.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from paramedic_collector.config.model import Processor
from paramedic_collector.config.settings import ELSEWHERE, Settings
from paramedic_collector.otlp import Signal
from paramedic_collector.process.redaction import HASHES, KEYED_HASHES, SUMMARIES, Redaction, Rules, mask_with

_SHORTEST_KEY: Final = {"hmac-sha256": 32, "hmac-sha512": 64}  # bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What a processor is in a pipeline.

    Args:
        build: A new one; None for a processor that changes nothing.
        memory_bytes: Of `memory_limiter`; 0 for others.
        spike_bytes: Of `memory_limiter`; 0 for the default.
        signals: Those it can process.
        counts_all: Whether it may stand in a pipeline that ends in paramedic.
    """

    build: Callable[[], Processor] | None = None
    memory_bytes: int = 0
    spike_bytes: int = 0
    signals: Collection[Signal] = tuple(Signal)
    counts_all: bool = True


def memory_limiter(_name: str, settings: Settings) -> Step:
    gc = [f"{least}_gc_interval_when_{how}_limited" for least in ("min", "max") for how in ("soft", "hard")]
    settings.only(
        "check_interval",
        "limit_mib",
        "spike_limit_mib",
        ignored=gc,
        missing=("limit_percentage", "spike_limit_percentage"),
    )
    if settings.seconds("check_interval", 0.0) <= 0:
        settings.wrong("", "'check_interval' must be greater than zero")
    limit, spike = settings.whole("limit_mib"), settings.whole("spike_limit_mib")
    if not limit:
        settings.wrong("", "'limit_mib' or 'limit_percentage' must be greater than zero")
    elif spike >= limit:
        settings.wrong("", "'spike_limit_mib' must be smaller than 'limit_mib'")
    return Step(memory_bytes=limit << 20, spike_bytes=spike << 20)


def batch(_name: str, settings: Settings) -> Step:
    """Nothing here needs it: windows go out twice a second, and what is forwarded is batched as it is read."""
    settings.only("timeout", "send_batch_size", "send_batch_max_size", "metadata_keys", "metadata_cardinality_limit")
    if settings.seconds("timeout", 0.2) < 0:
        settings.wrong("", "timeout must be greater or equal to 0")
    size, largest = settings.whole("send_batch_size", 8192), settings.whole("send_batch_max_size")
    if largest and largest < size:
        settings.wrong("", "send_batch_max_size must be greater or equal to send_batch_size")
    settings.whole("metadata_cardinality_limit")
    _no_repeats(settings, settings.texts("metadata_keys"))
    return Step()


def _no_repeats(settings: Settings, keys: tuple[str, ...]) -> None:
    lower = [key.lower() for key in keys]
    for key in dict.fromkeys(lower):
        if lower.count(key) > 1:
            settings.wrong("", f'duplicate entry in metadata_keys: "{key}" (case-insensitive)')


def redaction(name: str, settings: Settings) -> Step:
    settings.only(
        "allow_all_keys", "allowed_keys", "ignored_keys", "ignored_key_patterns", "blocked_key_patterns",
        "blocked_values", "allowed_values", "redact_all_types", "hash_function", "hmac_key", "summary",
        missing=("url_sanitizer", "db_sanitizer"),
    )  # fmt: skip
    rules = Rules(
        allow_all_keys=settings.truth("allow_all_keys"),
        allowed_keys=frozenset(settings.texts("allowed_keys")),
        ignored_keys=frozenset(settings.texts("ignored_keys")),
        ignored_key_patterns=settings.patterns("ignored_key_patterns"),
        blocked_key_patterns=settings.patterns("blocked_key_patterns"),
        blocked_values=settings.patterns("blocked_values"),
        allowed_values=settings.patterns("allowed_values"),
        redact_all_types=settings.truth("redact_all_types"),
        mask=mask_with(*_hash(settings)),
        summary=settings.choice("summary", (*SUMMARIES, ""), "silent"),
    )
    return Step(build=lambda: Redaction(name, rules))


def _hash(settings: Settings) -> tuple[str, str]:
    """The hash function and its key, "" for none."""
    function, key = settings.text("hash_function").lower(), settings.text("hmac_key")
    known = (*HASHES, *KEYED_HASHES)
    if function not in ("", *known):
        settings.wrong("hash_function", f"unknown HashFunction {function}, allowed functions are {', '.join(known)}")
        return "", ""
    least = _SHORTEST_KEY.get(function, 0)
    if least and not key:
        settings.wrong("", f'hmac_key must not be empty when hash_function is "{function}"')
    elif len(key.encode()) < least:
        got = len(key.encode())
        settings.wrong("", f'hmac_key must be at least {least} bytes long for "{function}", got {got} bytes')
    return function, key


def not_here(settings: Settings, what: str) -> None:
    """Note that only the OpenTelemetry Collector has this."""
    settings.wrong("", f"the collector inside paramedic does not have {what}: {ELSEWHERE}")
