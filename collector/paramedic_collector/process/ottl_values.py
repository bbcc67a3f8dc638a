"""How OTTL compares and calculates, and the functions that conditions may call.

Values of different types are never equal and never ordered, save that numbers compare as numbers and nil equals nil.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from re import Pattern
from typing import Any, Final

from paramedic_collector.process.ottl_paths import Scene, point_has
from paramedic_collector.process.patterns import compiled
from paramedic_collector.process.values import number_of, text_of


class OttlError(Exception):
    """A condition that cannot be answered for one item: a number was expected, and a text came."""


COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED: Final = ("bool", "number", "text", "bytes")


def compare(sign: str, left: Any, right: Any) -> bool:
    kind = _kind(left)
    if kind != _kind(right):
        return sign == "!="
    if kind == "nil":
        return "=" in sign and sign != "!="
    if kind in _ORDERED or sign in ("==", "!="):
        return COMPARISONS[sign](left, right)
    return False


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "text"
        case bytes():
            return "bytes"
        case _:
            return "map" if isinstance(value, dict) else "list"


def calculate(sign: str, left: Any, right: Any) -> int | float:
    """Arithmetic of integers, or of floats as soon as one of the two is.

    Raises:
        OttlError: Anything else, or a division by zero.
    """
    if not {type(left), type(right)} <= {int, float}:
        raise OttlError(f"cannot calculate {left!r} {sign} {right!r}: both must be numbers")
    if sign != "/":
        plus_or_minus = operator.add if sign == "+" else operator.sub
        result: int | float = operator.mul(left, right) if sign == "*" else plus_or_minus(left, right)
        return result
    if right == 0:
        raise OttlError("attempted to divide by 0")
    if isinstance(left, float) or isinstance(right, float):
        return float(left / right)
    return int(abs(left) // abs(right)) * (1 if (left < 0) == (right < 0) else -1)  # towards zero, like Go


def element(held: Any, key: Any) -> Any:
    """What a map has under a key, or a list at a place; None when there is none.

    Raises:
        OttlError: A place beyond the end of a list.
    """
    if isinstance(held, dict):
        return held.get(key)
    if isinstance(held, list) and isinstance(key, int):
        if 0 <= key < len(held):
            return held[key]
        raise OttlError(f"index {key} out of bounds")
    return None


@dataclass(frozen=True, slots=True)
class Function:
    """A converter: what it is called with, and in which context alone it makes sense."""

    parameters: tuple[str, ...]
    call: Callable[..., Any]  # (scene, *values)
    context: str = ""  # "" for any


@lru_cache(maxsize=256)
def _pattern(text: str) -> Pattern[str]:
    try:
        return compiled(text)
    except ValueError as error:
        raise OttlError(str(error)) from None


def _is_match(_: Scene, target: Any, pattern: Any) -> bool:
    return target is not None and _pattern(_text(pattern)).search(text_of(target)) is not None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise OttlError(f"expected string but got {_kind(value)}")
    return value


def _length(_: Scene, value: Any) -> int:
    if not isinstance(value, (str, bytes, list, dict)):
        raise OttlError(f"target arg must be of type string, bytes, list or map, got {_kind(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _to_number(kind: str) -> Callable[[Scene, Any], Any]:
    def convert(_: Scene, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, (bool, int, float, str)):
            raise OttlError(f"unsupported type: {_kind(value)}")
        try:
            return number_of(value, kind)
        except ValueError as error:
            raise OttlError(str(error)) from None

    return convert


def _is(*types: type) -> Callable[[Scene, Any], bool]:
    return lambda _, value: type(value) in types


FUNCTIONS: Final = {
    "IsMatch": Function(("target", "pattern"), _is_match),
    "HasPrefix": Function(("value", "prefix"), lambda _, value, start: _text(value).startswith(_text(start))),
    "HasSuffix": Function(("value", "suffix"), lambda _, value, end: _text(value).endswith(_text(end))),
    "IsString": Function(("value",), _is(str)),
    "IsInt": Function(("value",), _is(int)),
    "IsDouble": Function(("value",), _is(float)),
    "IsBool": Function(("value",), _is(bool)),
    "IsMap": Function(("value",), _is(dict)),
    "IsList": Function(("value",), _is(list)),
    "Len": Function(("target",), _length),
    "Int": Function(("value",), _to_number("int")),
    "Double": Function(("value",), _to_number("double")),
    "String": Function(("value",), lambda _, value: None if value is None else text_of(value)),
    "IsRootSpan": Function((), lambda scene: not any(scene["span"].parent_span_id), "span"),
    "HasAttrKeyOnDatapoint": Function(("key",), lambda scene, key: point_has(scene["metric"], _text(key)), "metric"),
    "HasAttrOnDatapoint": Function(
        ("key", "value"), lambda scene, key, value: point_has(scene["metric"], _text(key), value), "metric"
    ),
}
