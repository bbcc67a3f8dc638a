"""What an answer of a language model says about itself, and how to look into one without knowing its class.

Clients give objects, raw responses give dictionaries; both are read by the names of their parts. A part that is
not there, or is of another kind than it should be, is as good as missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from paramedic.contract.attributes import (
    GENAI_CACHE_READ_TOKENS,
    GENAI_CACHE_WRITE_TOKENS,
    GENAI_FINISH_REASONS,
    GENAI_INPUT_TOKENS,
    GENAI_OUTPUT_TOKENS,
    GENAI_REASONING_TOKENS,
    GENAI_RESPONSE_MODEL,
)

EMPTY: Final = "empty"
CUT: Final = "cut"
REFUSED: Final = "refused"

GENAI_RESPONSE_ID: Final = "gen_ai.response.id"

# Why a model stopped, in the words of OpenAI, of its responses API, and of Anthropic.
STOPPED_SHORT: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
WOULD_NOT: Final = frozenset({"content_filter", "refusal"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; None where nobody said.

    Attributes:
        input: All tokens of the question, also those that came from a cache or went into one.
        output: All tokens of the answer, also those of its reasoning.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    def then(self, later: "Usage") -> "Usage":
        """With what is known later: counts of a stream grow, each says the whole."""
        return Usage(
            _first(later.input, self.input),
            _first(later.output, self.output),
            _first(later.cache_read, self.cache_read),
            _first(later.cache_write, self.cache_write),
            _first(later.reasoning, self.reasoning),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says about itself.

    Attributes:
        model: That answered.
        id: Of the answer.
        finish_reasons: Why it stopped, in the provider's words, one a choice.
        usage: Its tokens.
        useless: "empty", "cut" or "refused" when it helps nobody.
        unfinished: It is cut and nobody said so: a stream that stopped.
    """

    model: str = ""
    id: str = ""
    finish_reasons: tuple[str, ...] = ()
    usage: Usage = Usage()
    useless: str | None = None
    unfinished: bool = False

    @property
    def input_tokens(self) -> int | None:
        return self.usage.input

    @property
    def output_tokens(self) -> int | None:
        return self.usage.output

    @property
    def cache_read(self) -> int | None:
        return self.usage.cache_read

    @property
    def cache_write(self) -> int | None:
        return self.usage.cache_write

    @property
    def attributes(self) -> dict[str, str | int | list[str]]:
        """As they stand on a span, under their GenAI names; what is not known is left out."""
        told = {
            GENAI_RESPONSE_MODEL: self.model or None,
            GENAI_RESPONSE_ID: self.id or None,
            GENAI_FINISH_REASONS: list(self.finish_reasons) or None,
            GENAI_INPUT_TOKENS: self.usage.input,
            GENAI_OUTPUT_TOKENS: self.usage.output,
            GENAI_CACHE_READ_TOKENS: self.usage.cache_read,
            GENAI_CACHE_WRITE_TOKENS: self.usage.cache_write,
            GENAI_REASONING_TOKENS: self.usage.reasoning,
        }
        return {name: value for name, value in told.items() if value is not None}


def part(thing: Any, name: str) -> Any:
    """A part of an object or a dictionary; None when there is none."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def text(thing: Any, name: str) -> str:
    found = part(thing, name)
    return found if isinstance(found, str) else ""


def count(thing: Any, name: str) -> int | None:
    found = part(thing, name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def several(thing: Any, name: str) -> Sequence[Any] | None:
    """A list that is a part; None when it is no list."""
    found = part(thing, name)
    return found if isinstance(found, list | tuple) else None


def usage_of(told: Any) -> Usage:
    """Tokens in the words of OpenAI, of its responses API, or of Anthropic.

    Anthropic counts what a cache read or wrote apart from its input tokens; here, as in OpenTelemetry, the input
    tokens are all of them.
    """
    if told is None:
        return Usage()
    if (cache_read := count(told, "cache_read_input_tokens")) is not None or part(told, "cache_creation_input_tokens"):
        cache_write = count(told, "cache_creation_input_tokens")
        asked = count(told, "input_tokens")
        whole = None if asked is None else asked + (cache_read or 0) + (cache_write or 0)
        return Usage(whole, count(told, "output_tokens"), cache_read, cache_write, _reasoning(told))
    of_input = part(told, "prompt_tokens_details") or part(told, "input_tokens_details")
    return Usage(
        _first(count(told, "prompt_tokens"), count(told, "input_tokens")),
        _first(count(told, "completion_tokens"), count(told, "output_tokens")),
        count(of_input, "cached_tokens"),
        count(of_input, "cache_write_tokens"),
        _reasoning(told),
    )


def _reasoning(told: Any) -> int | None:
    details = part(told, "completion_tokens_details") or part(told, "output_tokens_details")
    return _first(count(details, "reasoning_tokens"), count(details, "thinking_tokens"))


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)
