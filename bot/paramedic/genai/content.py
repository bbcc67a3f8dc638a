"""What was asked and answered, for spans: only while OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so.

Source: the form of ``gen_ai.input.messages`` in OpenTelemetry's GenAI conventions: a JSON list of messages with a
role and parts.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from paramedic.genai.shapes import part, several, text

INPUT: Final = "gen_ai.input.messages"
OUTPUT: Final = "gen_ai.output.messages"
SYSTEM: Final = "gen_ai.system_instructions"
LONGEST = 16_384  # characters of one attribute


def asked_content(body: Mapping[str, Any]) -> dict[str, str]:
    """The question of a request."""
    asked = body.get("messages") or body.get("input") or body.get("prompt")
    system = body.get("system") or body.get("instructions")
    told = {INPUT: _messages(asked, "user") if asked else None, SYSTEM: _parts(system) if system else None}
    return {name: _json(value) for name, value in told.items() if value}


def answered_content(answer: Any) -> dict[str, str]:
    """The text of a whole answer."""
    choices = several(answer, "choices")
    if choices is not None:
        said = "\n".join(text(part(choice, "message"), "content") or text(choice, "text") for choice in choices)
    else:
        blocks = [answer, *(several(answer, "output") or ())]
        said = "".join(text(piece, "text") for block in blocks for piece in several(block, "content") or ())
    return text_content(said)


def text_content(said: str) -> dict[str, str]:
    return {OUTPUT: _json([{"role": "assistant", "parts": _parts(said)}])} if said else {}


def chunk_text(chunk: Any) -> str:
    """The piece of text that a chunk of a stream carries."""
    if (choices := several(chunk, "choices")) is not None:
        return "".join(text(part(choice, "delta"), "content") or text(choice, "text") for choice in choices[:1])
    if text(chunk, "type") == "response.output_text.delta":
        return text(chunk, "delta")
    return text(part(chunk, "delta"), "text")


def _messages(told: Any, role: str) -> list[dict[str, Any]]:
    if isinstance(told, str):
        return [{"role": role, "parts": _parts(told)}]
    return [{"role": text(one, "role") or role, "parts": _parts(part(one, "content"))} for one in told]


def _parts(content: Any) -> list[dict[str, str]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    found = [(text(piece, "type") or "text", text(piece, "text")) for piece in content or ()]
    return [{"type": "text" if said else kind, **({"content": said} if said else {})} for kind, said in found]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:LONGEST]
