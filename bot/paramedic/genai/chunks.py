"""The chunks of a streamed answer, read by their shape as they pass. Nothing of them is kept but what is counted.

choices[].delta          OpenAI chat completions, and all that speak like them
type: "response.*"       OpenAI responses
type: "message_start"... Anthropic messages
a text                   what a team's own generator gives
"""

from collections.abc import Sequence
from typing import Any

from paramedic.genai.answers import block_says, kind_of, read
from paramedic.genai.shapes import CUT, EMPTY, REFUSED, Reading, Usage, count, part, several, text, usage_of

_ENDS = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
_DELTA = ("content", "refusal", "tool_calls", "function_call", "audio", "reasoning_content", "reasoning")
_THOUGHTS = frozenset({"thinking_delta", "signature_delta"})


class ChunkReader:
    """Reads the chunks of one stream: `feed` each, then ask for the `reading`."""

    def __init__(self) -> None:
        self._known = self._says = self._refuses = self._ended = False
        self._model = self._id = ""
        self._reasons: dict[int, str] = {}
        self._usage = Usage()
        self._whole: Reading | None = None  # the response that the last event of a responses stream carries

    def feed(self, chunk: Any) -> bool:
        """Take note of a chunk; whether it carries a piece of the answer."""
        if (choices := several(chunk, "choices")) is not None:
            return self._choices(chunk, choices)
        kind = text(chunk, "type")
        if kind.startswith("response."):
            return self._response(chunk, kind)
        if kind.startswith(("message_", "content_block_")):
            return self._message(chunk, kind)
        if isinstance(chunk, str):
            self._known = True
            self._says = self._says or bool(chunk.strip())
            self._ended = True  # nobody says when a stream of texts is whole
            return bool(chunk)
        return False

    @property
    def reading(self) -> Reading | None:
        """What the stream said about itself until now, taken as its end; None when its chunks are of no known shape."""
        if not self._known:
            return None
        if self._whole is not None:
            return self._whole
        reasons = tuple(self._reasons.values())
        kind = REFUSED if self._refuses and not self._says else kind_of(reasons, says_something=self._says)
        unfinished = not self._ended and kind in (None, EMPTY)
        if unfinished and self._says:
            kind = CUT
        return Reading(self._model, self._id, reasons, self._usage, kind, unfinished)

    def _about(self, told: Any) -> None:
        if not self._known or not self._model:
            self._known = True
            self._model, self._id = text(told, "model"), text(told, "id")
        if (usage := part(told, "usage")) is not None:
            self._usage = self._usage.then(usage_of(usage))

    def _choices(self, chunk: Any, choices: Sequence[Any]) -> bool:
        self._about(chunk)
        useful = False
        for choice in choices:
            delta = part(choice, "delta")
            says, anything = _delta_says(delta) if delta is not None else (bool(text(choice, "text").strip()),) * 2
            self._says, useful = self._says or says, useful or anything
            if not says:
                self._refuses = self._refuses or bool(text(delta, "refusal"))
            if reason := text(choice, "finish_reason"):
                self._ended = True
                self._reasons[count(choice, "index") or 0] = reason
        return useful

    def _response(self, chunk: Any, kind: str) -> bool:
        self._known = True
        if (response := part(chunk, "response")) is not None:
            self._about(response)
            if kind in _ENDS:
                self._ended, self._whole = True, read(response)
            return False
        if kind.endswith(".delta"):
            said = bool(part(chunk, "delta"))
            if "refusal" in kind:
                self._refuses = self._refuses or said
            elif "reasoning" not in kind:
                self._says = self._says or said
            return said
        acts = kind == "response.output_item.added" and text(part(chunk, "item"), "type") not in (
            "message",
            "reasoning",
        )
        self._says = self._says or acts
        return acts

    def _message(self, chunk: Any, kind: str) -> bool:
        self._known = True
        if kind == "message_start":
            self._about(part(chunk, "message"))
        elif kind == "message_stop":
            self._ended = True
        elif kind == "message_delta":
            self._about(chunk)
            if reason := text(part(chunk, "delta"), "stop_reason"):
                self._reasons[0] = reason
        elif kind == "content_block_start":
            says = block_says(part(chunk, "content_block"))
            self._says = self._says or says
            return says
        elif kind == "content_block_delta":
            says, anything = _block_delta_says(part(chunk, "delta"))
            self._says = self._says or says
            return anything
        return False


def _delta_says(delta: Any) -> tuple[bool, bool]:
    """Whether a delta of a chat says or does something, and whether it carries anything, also a thought."""
    content = part(delta, "content")
    if content and not (isinstance(content, str) and content.isspace()):
        return True, True  # as nearly always
    says = any(part(delta, act) for act in ("tool_calls", "function_call", "audio"))
    return says, says or any(part(delta, name) for name in _DELTA)


def _block_delta_says(delta: Any) -> tuple[bool, bool]:
    kind = text(delta, "type")
    if kind in _THOUGHTS:
        return False, bool(text(delta, "thinking"))
    said = text(delta, "text") if kind == "text_delta" else text(delta, "partial_json")
    return bool(said.strip()), bool(said)


def useful(chunk: Any) -> bool:
    """Whether a chunk carries a piece of an answer: not a role, a ping or a count of tokens."""
    if several(chunk, "choices") is None and not text(chunk, "type"):
        return bool(chunk)
    return ChunkReader().feed(chunk)


def ends(chunk: Any) -> bool:
    """Whether a chunk is the one without which a streamed answer is not whole."""
    if (choices := several(chunk, "choices")) is not None:
        return any(text(choice, "finish_reason") for choice in choices)
    return text(chunk, "type") in _ENDS
