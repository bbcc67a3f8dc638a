"""What an instrumented client's answer tells the guarded call that it belongs to."""

from typing import Any

from paramedic import genai
from paramedic.contract.attributes import USELESS
from paramedic.genai.content import answered_content, asked_content, chunk_text, text_content
from paramedic.genai.requests import Asked
from paramedic.genai.shapes import CUT, EMPTY
from paramedic.guards.calls import Call
from paramedic.instrument.client_guards import guards_on
from paramedic.telemetry.content import capturing
from paramedic.telemetry.runtime import dropped, log

NO_CAP = 1 << 60
LONGEST_TEXT = 16_384


class Described:
    """One call of a client, on the span of the guarded call that it belongs to.

    Args:
        call: Guard's own when no guard of the team stands around it, else the team's.
        asked: What is asked for.
        own: Whether the guard is one of the client's own: then a useless answer is a useless call. About calls
            of a team's guard, its own `check` says that.
    """

    def __init__(self, call: Call, asked: Asked, *, own: bool) -> None:
        self._call, self._own = call, own
        self.cap = call.cap_tokens(NO_CAP)
        self.body = asked.capped(self.cap) if self.cap < NO_CAP else None
        self._capped = self.body is not None
        self._reader: genai.ChunkReader | None = genai.ChunkReader()
        self._texts: list[str] | None = [] if capturing() else None
        if self._texts is not None:
            self._set(asked_content(asked.body))
        if own and call.span is not None:
            call.span.update_name(asked.span_name)

    def answered(self, answer: Any) -> None:
        """The whole answer is here."""
        if answer is not None:
            self._note(genai.read_answer(answer))
            if self._texts is not None:
                self._set(answered_content(answer))

    def chunk(self, chunk: Any) -> None:
        """A piece of the answer is here."""
        if self._reader is None:
            return
        try:
            if self._reader.feed(chunk):
                self._call.first_token()
            if self._texts is not None and len(self._texts) < LONGEST_TEXT:
                self._texts.append(chunk_text(chunk))
        except Exception as error:
            dropped.add("genai reading")
            log.debug("a chunk could not be read: %r", error)
            self._reader = None

    def streamed(self, *, whole: bool) -> None:
        """The last piece was here.

        Args:
            whole: Nobody stopped it before its end: then what is missing is missing.
        """
        reading = None if self._reader is None else self._reader.reading
        if reading is not None:
            self._note(reading, judged=whole)
        if self._texts:
            self._set(text_content("".join(self._texts)))

    def _note(self, reading: genai.Reading | None, *, judged: bool = True) -> None:
        if reading is None:
            return
        self._set(reading.attributes)
        kind = reading.useless
        if kind is None or not judged or (kind == CUT and self._capped):  # cut because a command asked for less
            return
        # With a breaker, only what the provider alone is to blame for may open it: not long answers, not bad questions.
        if self._own and (not guards_on() or kind == EMPTY or reading.unfinished):
            self._call.useless(kind)
        else:
            self._call.set(USELESS, kind)

    def _set(self, attributes: Any) -> None:
        for name, value in attributes.items():
            self._call.set(name, value)
