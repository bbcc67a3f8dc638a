"""The words of an OTTL condition.

'name == "x"'  --tokens_of-->  word name, sign ==, string "x", end
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

_TOKEN: Final = re.compile(
    r'(?P<string>"(?:\\.|[^"\\])*")|(?P<bytes>0x[0-9a-fA-F]+)|(?P<float>\d*\.\d+(?:[eE][-+]?\d+)?)|(?P<int>\d+)'
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|[-+*/<>()\[\].,])|(?P<blank>\s+)|(?P<strange>.)",
    re.DOTALL | re.ASCII,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class Token(NamedTuple):
    """One word; `column` counts characters from 0."""

    kind: str  # string, bytes, float, int, word, sign, strange or end
    text: str
    column: int

    def literal(self) -> Any:
        """The value of a string, bytes, float or int."""
        return _READ[self.kind](self.text)


def tokens_of(text: str) -> list[Token]:
    """The words in order, the last one of kind "end"; blanks are left out."""
    found = [Token(str(one.lastgroup), one[0], one.start()) for one in _TOKEN.finditer(text)]
    return [*(one for one in found if one.kind != "blank"), Token("end", "end of condition", len(text))]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text[1:-1], flags=re.DOTALL)


def _bytes(text: str) -> bytes:
    digits = text[2:]
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)


_READ: Final[dict[str, Callable[[str], Any]]] = {"string": _unquoted, "int": int, "float": float, "bytes": _bytes}
