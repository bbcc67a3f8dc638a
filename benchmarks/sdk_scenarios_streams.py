"""Bad days of streams: an answer that comes in pieces, or does not."""

import time

from sdk_backends import TOKENS, Source, light
from sdk_libraries import END, Cell, Library, Stream, bounded, not_offered, said, timed

PATIENCE = 20
LIGHT = "from the light model"


async def read(stream: Stream, patience_s: float) -> tuple[str, Exception | None, bool]:
    """What a caller gets of a stream: its text, its error, and whether they had to give up on it."""
    got: list[str] = []

    async def reads() -> None:
        async for chunk in stream():
            if chunk != END:
                got.append(chunk)

    error, given_up = await bounded(reads(), patience_s)
    return "".join(got), error, given_up


def guarded(library: Library, source: Source) -> Stream | None:
    unit = library.unit_s
    return library.stream(source, fallback=light(), idle_s=2 * unit, deadline_s=4 * unit)


async def cut_before(library: Library) -> Cell:
    if (stream := guarded(library, Source(gives=0, times=1))) is None:
        return not_offered("no streams")
    text, error, _ = await read(stream, PATIENCE * library.unit_s)
    if text == LIGHT:
        return Cell("right", "the fallback's answer, unseen by the caller")
    if text == "".join(TOKENS):
        return Cell("right", "a second attempt, unseen by the caller")
    return Cell("wrong", f"{type(error).__name__} reaches the caller" if error else f"the caller gets {text!r}")


async def cut_after(library: Library) -> Cell:
    return await _cut(library, "error")


async def cut_silently(library: Library) -> Cell:
    return await _cut(library, "silence")


async def _cut(library: Library, wrong: str) -> Cell:
    if (stream := guarded(library, Source(gives=3, wrong=wrong, times=1))) is None:
        return not_offered("no streams")
    text, error, _ = await read(stream, PATIENCE * library.unit_s)
    half = "".join(TOKENS[:3])
    if text == half and error is not None:
        return Cell("right", f"{type(error).__name__} after the part that came")
    if text == half:
        return Cell("wrong", "half an answer that looks whole")
    return Cell("wrong", f"the caller gets {text!r}{' and no error' if error is None else ''}")


async def trickle(library: Library) -> Cell:
    source = Source()
    source.each_s, source.endless = 0.5 * library.unit_s, True
    if (stream := guarded(library, source)) is None or not library.stream_deadlines:
        return not_offered("no streams" if stream is None else "no deadline for a stream")
    deadline_s, began = 4 * library.unit_s, time.monotonic()
    _, error, given_up = await read(stream, PATIENCE * deadline_s)
    if given_up or error is None:
        return Cell("wrong", f"still trickling after {PATIENCE} deadlines")
    took = (time.monotonic() - began) / deadline_s
    return said(took < 10, f"{type(error).__name__} after {timed(took)} deadlines")


async def silence(library: Library) -> Cell:
    """Nothing comes at all, although the stream was opened."""
    stream = guarded(library, Source(gives=0, wrong="hang", times=1))
    if stream is None or not library.stream_deadlines:
        return not_offered("no streams" if stream is None else "no deadline for a stream")
    began, idle_s = time.monotonic(), 2 * library.unit_s
    text, error, given_up = await read(stream, PATIENCE * idle_s)
    if given_up:
        return Cell("wrong", f"no answer after {PATIENCE} deadlines")
    took = (time.monotonic() - began) / idle_s
    got = "the fallback's answer" if text == LIGHT else type(error).__name__
    return said(text == LIGHT and took < 10, f"{got} after {timed(took)} deadlines")


SCENARIOS = (
    (
        "stream_silent",
        "Stream that never begins",
        "The stream is opened and no token comes; a deadline for the first token and a fallback. Right: the "
        "fallback's answer after about that deadline.",
        silence,
    ),
    (
        "cut_before",
        "Stream cut before the first token",
        "The connection breaks once the stream is open, before any token. Right: the caller gets a whole answer, from "
        "the fallback or a second attempt, and sees nothing of it.",
        cut_before,
    ),
    (
        "cut_after",
        "Stream cut after the first token",
        "The connection breaks after three tokens. Right: the caller gets those three, once, and an error.",
        cut_after,
    ),
    (
        "cut_silently",
        "Stream that ends too early",
        "After three tokens the stream ends as if it were complete, without its closing mark. Right: an error, not "
        "half an answer that looks whole.",
        cut_silently,
    ),
    (
        "trickle",
        "Slow trickle",
        "Tokens for ever, each in time for the idle deadline. Right: the deadline of the whole stream ends it with an "
        "error.",
        trickle,
    ),
)
