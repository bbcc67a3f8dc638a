"""What users said or did about an answer, as a signal of quality.

paramedic.feedback("thumbs_down", conversation="c-12")
paramedic.feedback("resolved", value=0.8)            # a team's own kind, with a score of its own
"""

import math
import re

from paramedic.contract.attributes import (
    EVALUATION_EXPLANATION,
    EVALUATION_NAME,
    EVALUATION_SCORE,
    GENAI_CONVERSATION,
    GENAI_EVALUATION_EVENT,
)
from paramedic.guards.budget import frame
from paramedic.telemetry.content import capturing
from paramedic.telemetry.runtime import dropped, log, runtime

THUMBS_UP, THUMBS_DOWN = "thumbs_up", "thumbs_down"
HANDOFF = "handoff"  # a human had to take over
REPEATED_QUESTION = "repeated_question"  # the user asked the same again

_SCORES = {THUMBS_UP: 1.0, THUMBS_DOWN: 0.0, HANDOFF: 0.0, REPEATED_QUESTION: 0.0}
_KIND = re.compile(r"[a-z][a-z0-9_.\-]{0,63}")


def feedback(kind: str, *, conversation: str = "", value: float | None = None, comment: str | None = None) -> None:
    """Count feedback, and send it as an event in the trace of the call or request around it.

    >>> paramedic.feedback("thumbs_down", conversation="c-12")

    Args:
        kind: "thumbs_up", "thumbs_down", "handoff", "repeated_question", or a team's own: few different ones.
        conversation: Its id; that of the surrounding `paramedic.request` when not given.
        value: The score; 1 for thumbs_up and 0 for the three others when not given.
        comment: What the user wrote. It is content: sent only when content is captured.

    Raises:
        ValueError: The kind is no word of at most 64 characters, or the value no number.
    """
    if not isinstance(kind, str) or _KIND.fullmatch(kind) is None:
        raise ValueError(f"the kind of feedback must be a word like 'thumbs_up' (a-z, 0-9, _ . -), got {kind!r}")
    if value is not None and not _is_score(value):
        raise ValueError(f"the value of feedback {kind!r} must be a number, got {value!r}")
    try:
        _send(kind, conversation, _SCORES.get(kind) if value is None else float(value), comment)
    except Exception as error:
        dropped.add("feedback")
        log.debug("feedback was lost: %r", error)


def _is_score(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _send(kind: str, conversation: str, score: float | None, comment: str | None) -> None:
    if runtime.recorder is not None:
        runtime.recorder.feedback(kind)
    if runtime.events is None:
        return
    now_in = frame.get()
    about: dict[str, str | float] = {EVALUATION_NAME: kind}
    if now_in is not None and now_in.request is not None:
        about.update(now_in.request.attributes)
    if conversation:
        about[GENAI_CONVERSATION] = conversation
    if score is not None:
        about[EVALUATION_SCORE] = score
    if comment and capturing():
        about[EVALUATION_EXPLANATION] = comment
    runtime.events.emit(GENAI_EVALUATION_EVENT, about)
