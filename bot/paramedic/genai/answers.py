"""Whole answers of language models, read by their shape.

choices[]            OpenAI chat completions and completions, and all that speak like them
output[]             OpenAI responses
content[], "message" Anthropic messages
data[].embedding     embeddings
a text               what a team's own function gives
"""

from collections.abc import Sequence
from typing import Any

from paramedic.genai.shapes import (
    CUT,
    EMPTY,
    REFUSED,
    STOPPED_SHORT,
    WOULD_NOT,
    Reading,
    part,
    several,
    text,
    usage_of,
)

# Parts of an Anthropic message that say nothing to anybody on their own.
_SILENT_BLOCKS = frozenset({"thinking", "redacted_thinking"})
_WORKING = frozenset({"queued", "in_progress"})  # a response that is made in the background


def read(answer: Any) -> Reading | None:
    """What a whole answer says about itself; None when it is of no known shape."""
    if answer is None or isinstance(answer, str):
        return Reading(useless=None if answer and answer.strip() else EMPTY)
    if (choices := several(answer, "choices")) is not None:
        return _read_choices(answer, choices)
    if (output := several(answer, "output")) is not None:
        return _read_response(answer, output)
    if part(answer, "type") == "message" and (blocks := several(answer, "content")) is not None:
        return _read_message(answer, blocks)
    if (vectors := several(answer, "data")) is not None and part(answer, "object") == "list":
        return _about(answer, (), EMPTY if not vectors else None)
    return None


def kind_of(reasons: Sequence[str], *, says_something: bool) -> str | None:
    """Why answers that stopped for these reasons help nobody; None when they do."""
    if WOULD_NOT.intersection(reasons):
        return REFUSED
    if STOPPED_SHORT.intersection(reasons):
        return CUT
    return None if says_something else EMPTY


def _about(answer: Any, reasons: Sequence[str], useless: str | None) -> Reading:
    usage = usage_of(part(answer, "usage"))
    return Reading(text(answer, "model"), text(answer, "id"), tuple(reasons), usage, useless)


def _read_choices(answer: Any, choices: Sequence[Any]) -> Reading:
    reasons = [reason for reason in (text(choice, "finish_reason") for choice in choices) if reason]
    kinds = [_kind_of_choice(choice) for choice in choices] or [EMPTY]
    return _about(answer, reasons, None if None in kinds else kinds[0])


def _kind_of_choice(choice: Any) -> str | None:
    message = part(choice, "message")
    reason = text(choice, "finish_reason")
    if message is None:
        return kind_of([reason], says_something=bool(text(choice, "text").strip()))
    if text(message, "refusal") and not text(message, "content"):
        return REFUSED
    return kind_of([reason], says_something=_says_something(message))


def _says_something(message: Any) -> bool:
    content = part(message, "content")
    if isinstance(content, str) and content.strip():
        return True
    acts = ("tool_calls", "function_call", "audio", "images")
    return bool(content and not isinstance(content, str)) or any(part(message, act) for act in acts)


def _read_response(answer: Any, output: Sequence[Any]) -> Reading:
    status = text(answer, "status")
    why = text(part(answer, "incomplete_details"), "reason")
    reasons = [why or status] if why or status else []
    if status in _WORKING:
        return _about(answer, reasons, None)
    said, refused = response_says(output)
    if refused and not said:
        return _about(answer, reasons, REFUSED)
    kind = kind_of(reasons, says_something=said)
    broken = status in ("failed", "cancelled", "incomplete")
    return _about(answer, reasons, CUT if kind is None and broken else kind)


def response_says(output: Sequence[Any]) -> tuple[bool, bool]:
    """Whether what a response put out says something, and whether it refuses."""
    said = refused = False
    for item in output:
        kind = text(item, "type")
        if kind != "message":
            said = said or kind not in ("", "reasoning")
            continue
        for content in several(item, "content") or ():
            refused = refused or bool(text(content, "refusal"))
            said = said or bool(text(content, "text").strip())
    return said, refused


def _read_message(answer: Any, blocks: Sequence[Any]) -> Reading:
    reason = text(answer, "stop_reason")
    said = any(block_says(block) for block in blocks)
    return _about(answer, [reason] if reason else [], kind_of([reason], says_something=said))


def block_says(block: Any) -> bool:
    """Whether a block of an Anthropic message says or does something."""
    kind = text(block, "type")
    return bool(text(block, "text").strip()) if kind == "text" else kind not in _SILENT_BLOCKS
