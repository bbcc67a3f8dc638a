"""What answers of language models say about themselves: read by their shape, whoever's client gave them.

    reading = genai.describe(answer)     onto the guarded call: model, tokens, why it stopped
    @guard("llm", check=genai.check)     an empty, cut or refused answer goes to the fallbacks
    @guard("llm", useful=genai.useful, ends=genai.ends)     the same for a stream of chunks

Nothing here imports a client, keeps a text or raises: what cannot be read is counted and left alone.
"""

from collections.abc import Sequence
from typing import Any

from paramedic.contract.attributes import USELESS
from paramedic.genai.answers import read
from paramedic.genai.chunks import ChunkReader, ends, useful
from paramedic.genai.shapes import Reading, Usage
from paramedic.guards.calls import current_call
from paramedic.telemetry.runtime import dropped, log

__all__ = ["ChunkReader", "Reading", "Usage", "check", "describe", "ends", "read_answer", "useful"]


def read_answer(answer: Any) -> Reading | None:
    """What an answer says about itself; None when it is of no known shape.

    Args:
        answer: What a client gave, as its own class or as a dictionary; a text; or the list of a stream's chunks.
    """
    try:
        if isinstance(answer, list | tuple):
            return _read_chunks(answer)
        return read(answer)
    except Exception as error:
        dropped.add("genai reading")
        log.debug("an answer could not be read: %r", error)
        return None


def describe(answer: Any) -> Reading | None:
    """Write what an answer says about itself on the guarded call in progress; None when it is of no known shape.

    It changes no verdict: an answer is useless for a guard when its `check` says so.
    """
    reading = read_answer(answer)
    if reading is not None:
        call = current_call()
        for name, value in reading.attributes.items():
            call.set(name, value)
        if reading.useless is not None:
            call.set(USELESS, reading.useless)
    return reading


def check(answer: Any) -> str | None:
    """For `Guard(check=...)`: "empty", "cut" or "refused" when an answer helps nobody, None when it does.

    An answer of no known shape is taken for a good one.
    """
    reading = read_answer(answer)
    return None if reading is None else reading.useless


def _read_chunks(chunks: Sequence[Any]) -> Reading | None:
    reader = ChunkReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.reading if chunks else Reading(useless="empty")
