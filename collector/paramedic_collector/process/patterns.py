"""Regular expressions of a Collector configuration, which are Go's, for Python's engine.

They are searched for anywhere in a text, as Go does, and ``(?<name>...)`` names a group too.
"""

import re
from collections.abc import Callable

_NAMED = re.compile(r"(?<!\\)\(\?<(?=[A-Za-z_])")


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, ready to search with.

    Raises:
        ValueError: It is no regular expression; the message says why.
    """
    try:
        return re.compile(_NAMED.sub("(?P<", pattern))
    except re.error as error:
        raise ValueError(f"error compiling regex {pattern!r}: {error}") from None


def replaced(pattern: re.Pattern[str], instead: Callable[[str], str], text: str) -> str:
    """Every match replaced; unlike Python, Go takes no empty match right behind another one."""
    parts, done, last_end = [], 0, -1
    for match in pattern.finditer(text):
        if match.start() == match.end() == last_end:
            continue
        parts += [text[done : match.start()], instead(match[0])]
        done = last_end = match.end()
    return "".join((*parts, text[done:]))
