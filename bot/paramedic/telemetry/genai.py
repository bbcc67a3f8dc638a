"""What a GenAI call tells in metrics, under the names that are deployed, under the new ones, or under both.

OTEL_SEMCONV_STABILITY_OPT_IN                     names
(nothing)                                         gen_ai.client.operation.*, gen_ai.client.token.usage
gen_ai_latest_experimental                        gen_ai.client.inference.*
gen_ai_latest_experimental/dup                    both

Source: OpenTelemetry semantic conventions 1.41 (deployed) and the repository of the GenAI conventions (new).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from paramedic.contract.attributes import (
    COST_USD,
    ERROR_TYPE,
    GENAI_CACHE_READ_TOKENS,
    GENAI_CACHE_WRITE_TOKENS,
    GENAI_CACHE_WRITE_TOKENS_NEW,
    GENAI_DURATION,
    GENAI_DURATION_NEW,
    GENAI_FIRST_CHUNK,
    GENAI_FIRST_CHUNK_NEW,
    GENAI_INPUT_TOKENS,
    GENAI_OPERATION,
    GENAI_OPERATION_TOKENS_NEW,
    GENAI_OUTPUT_TOKENS,
    GENAI_PROVIDER,
    GENAI_REASONING_TOKENS,
    GENAI_REQUEST_MODEL,
    GENAI_RESPONSE_MODEL,
    GENAI_TOKEN_MODALITY,
    GENAI_TOKEN_TYPE,
    GENAI_TOKEN_USAGE,
    GENAI_USAGE_NEW,
    TIME_TO_FIRST_CHUNK,
)
from paramedic.telemetry.tables import Attributes, Instrument

OPT_IN: Final = "gen_ai_latest_experimental"
SAYS_LITTLE: Final = ("cancelled", "abandoned")  # outcomes whose duration is the caller's, not the model's

_INFERENCE = ("chat", "generate_content", "text_completion")
_ABOUT = (GENAI_OPERATION, GENAI_PROVIDER, GENAI_REQUEST_MODEL, GENAI_RESPONSE_MODEL, "server.address", "server.port")
_TOKENS = (
    # attribute, its name as a type of token, its name in the new metrics
    (GENAI_INPUT_TOKENS, "input", "input_tokens"),
    (GENAI_OUTPUT_TOKENS, "output", "output_tokens"),
    (GENAI_CACHE_READ_TOKENS, "cache_read", "cache_read.input_tokens"),
    (GENAI_CACHE_WRITE_TOKENS, "cache_write", "cache_write.input_tokens"),
    (GENAI_CACHE_WRITE_TOKENS_NEW, "cache_write", "cache_write.input_tokens"),
    (GENAI_REASONING_TOKENS, "reasoning", "reasoning.output_tokens"),
)

DURATION = Instrument(GENAI_DURATION, "s", "how long operations of models took")
FIRST_CHUNK = Instrument(GENAI_FIRST_CHUNK, "s", "time to the first piece of an answer")
TOKENS = Instrument(GENAI_TOKEN_USAGE, "{token}", "tokens an operation used")
DURATION_NEW = Instrument(GENAI_DURATION_NEW, "s", "how long inferences took")
FIRST_CHUNK_NEW = Instrument(GENAI_FIRST_CHUNK_NEW, "s", "time to the first piece of an answer")
TOKENS_NEW = {
    name: Instrument(GENAI_OPERATION_TOKENS_NEW + name, "{token}", "tokens an inference used")
    for name in ("input_tokens", "output_tokens")
}
USAGE_NEW = {name: Instrument(GENAI_USAGE_NEW + name, "{token}", "tokens used", counts=True) for _, _, name in _TOKENS}
COST = Instrument(COST_USD, "{USD}", "dollars spent on models", counts=True)

Measured = tuple[Instrument, Attributes, float]


@dataclass(frozen=True, slots=True)
class Names:
    """Which generations of names are used; at least one is."""

    deployed: bool = True
    new: bool = False


DEPLOYED = Names()


def names_of(opt_in: str) -> Names:
    """What OTEL_SEMCONV_STABILITY_OPT_IN asks for."""
    told = {part.strip() for part in opt_in.split(",")}
    if f"{OPT_IN}/dup" in told:
        return Names(deployed=True, new=True)
    return Names(deployed=False, new=True) if OPT_IN in told else DEPLOYED


@dataclass(frozen=True, slots=True)
class GenAICall:
    """One call of a model, after it ended."""

    said: Mapping[str, Any]
    outcome: str
    error_type: str | None
    seconds: float
    first_chunk_s: float | None  # None: as it was said, if it was

    @property
    def waited_s(self) -> float | None:
        """Time to the first piece of the answer."""
        told = self.said.get(TIME_TO_FIRST_CHUNK) if self.first_chunk_s is None else self.first_chunk_s
        return told if _is_number(told) else None


def measured(call: GenAICall, names: Names) -> Iterator[Measured]:
    """What the call adds to which metric."""
    about = _about(call)
    inference = call.said[GENAI_OPERATION] in _INFERENCE
    if names.deployed or not inference:
        yield from _deployed(call, about)
    if names.new and inference:
        yield from _new(call, about)
    cost = call.said.get(COST_USD)
    if _is_number(cost):
        yield COST, tuple(pair for pair in about if pair[0] in (GENAI_PROVIDER, GENAI_REQUEST_MODEL)), cost


def _deployed(call: GenAICall, about: Attributes) -> Iterator[Measured]:
    error: Attributes = () if call.error_type is None else ((ERROR_TYPE, call.error_type),)
    if call.outcome not in SAYS_LITTLE:
        yield DURATION, about + error, call.seconds
    if (waited_s := call.waited_s) is not None:
        yield FIRST_CHUNK, about, waited_s
    for kind, _, count in _tokens(call):
        yield TOKENS, (*about, (GENAI_TOKEN_TYPE, kind)), count


def _new(call: GenAICall, about: Attributes) -> Iterator[Measured]:
    error: Attributes = () if call.error_type is None else ((ERROR_TYPE, call.error_type),)
    if call.outcome not in SAYS_LITTLE:
        yield DURATION_NEW, about + error, call.seconds
    if (waited_s := call.waited_s) is not None:
        yield FIRST_CHUNK_NEW, about, waited_s
    modality = ((GENAI_TOKEN_MODALITY, "unknown"),)
    tokens = list(_tokens(call))
    if not tokens and call.outcome == "failed":  # the convention wants a failed call to be seen as one without tokens
        tokens = [("input", "input_tokens", 0), ("output", "output_tokens", 0)]
    for _, name, count in tokens:
        yield USAGE_NEW[name], about + modality, count
        if name in TOKENS_NEW and call.outcome != "failed":
            yield TOKENS_NEW[name], about, count


def _about(call: GenAICall) -> Attributes:
    said = call.said
    return tuple((name, _label(said[name])) for name in _ABOUT if name in said)


def _label(value: Any) -> str | int:
    return value if isinstance(value, int) else str(value)


def _tokens(call: GenAICall) -> Iterator[tuple[str, str, float]]:
    found = set()
    for attribute, kind, name in _TOKENS:
        count = call.said.get(attribute)
        if _is_number(count) and kind not in found:
            found.add(kind)
            yield kind, name, count


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
