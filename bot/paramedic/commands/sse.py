"""Server-sent events, read line by line.

Source: WHATWG HTML, section 9.2 (server-sent events), without `id` and `retry`, which paramedic does not send.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

LONGEST_LINE = 1 << 20
LONGEST_EVENT = 4 << 20


class Event(NamedTuple):
    """One event; a comment has the name ":" and its text as data."""

    name: str
    data: str


class StreamError(Exception):
    """What arrives is not a stream of events."""


def events(read_line: Callable[[int], bytes]) -> Iterator[Event]:
    """The events of a stream, until it ends.

    Args:
        read_line: As of a file: at most so many bytes of the next line; nothing at the end.

    Raises:
        StreamError: A line or an event is too long to be one of ours.
    """
    name, size = "message", 0
    data: list[str] = []
    while line := read_line(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise StreamError(f"a line of more than {LONGEST_LINE} bytes")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            if data:
                yield Event(name, "\n".join(data))
            name, data, size = "message", [], 0
            continue
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if not field:
            yield Event(":", value)
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
            size += len(value)
            if size > LONGEST_EVENT:
                raise StreamError(f"an event of more than {LONGEST_EVENT} bytes")
