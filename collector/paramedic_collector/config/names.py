"""The ids of a Collector configuration: type or type/name."""

import re
import unicodedata
from typing import Final

_TYPE: Final = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_LONGEST: Final = 1024  # characters of a name


def type_of(text: str) -> str:
    """The type in an id.

    Raises:
        ValueError: It is no id; the message is the Collector's.
    """
    if not text:
        raise ValueError("id must not be empty")
    kind, slash, name = text.partition("/")
    if slash and not kind.strip():
        raise ValueError(f'in "{text}" id: the part before / should not be empty')
    if slash and not name.strip():
        raise ValueError(f'in "{text}" id: the part after / should not be empty')
    if not _TYPE.fullmatch(kind.strip()):
        raise ValueError(f'in "{text}" id: invalid character(s) in type "{kind}"')
    if len(name) > _LONGEST:
        raise ValueError(f'in "{text}" id: name "{name}" is longer than {_LONGEST} characters ({len(name)} characters)')
    if any(unicodedata.category(letter)[0] in "ZCS" for letter in name.strip()):
        raise ValueError(f'in "{text}" id: invalid character(s) in name "{name}"')
    return kind.strip()
