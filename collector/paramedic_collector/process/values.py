"""Attribute values of OTLP as plain Python values, and back.

AnyValue <--plain, put--> None, bool, int, float, str, bytes, list, dict
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_LARGEST = 1 << 63
_UNSAFE_INTEGER = 1e21  # from here on numbers are written with an exponent


def plain(value: Any) -> Any:
    """What an AnyValue holds; None for an empty one."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def put(value: Any, held: Any) -> None:
    """Make an AnyValue hold a plain value.

    Raises:
        ValueError: An integer beyond 64 bits, or a type that OTLP does not have.
    """
    value.Clear()
    match held:
        case None:
            pass
        case bool():
            value.bool_value = held
        case int():
            value.int_value = held
        case float():
            value.double_value = held
        case str():
            value.string_value = held
        case bytes():
            value.bytes_value = held
        case list():
            value.array_value.SetInParent()
            for one in held:
                put(value.array_value.values.add(), one)
        case dict():
            value.kvlist_value.SetInParent()
            for key, one in held.items():
                pair = value.kvlist_value.values.add(key=str(key))
                put(pair.value, one)
        case _:
            raise ValueError(f"an attribute cannot hold {held!r}")


def any_value(held: Any) -> AnyValue:
    value = AnyValue()
    put(value, held)
    return value


def text_of(held: Any) -> str:
    """A plain value as the Collector writes it: 1.0 is "1", True is "true", bytes are base64, lists are JSON."""
    match held:
        case None:
            return ""
        case str():
            return held
        case bool():
            return "true" if held else "false"
        case float() if held.is_integer() and abs(held) < _UNSAFE_INTEGER:
            return str(int(held))
        case bytes():
            return base64.b64encode(held).decode()
        case list() | dict():
            return json.dumps(held, separators=(",", ":"), ensure_ascii=False, default=text_of)
        case _:
            return str(held)


def number_of(held: bool | int | float | str, kind: str) -> int | float:
    """As an "int" of 64 bits or a "double", from what Go would read as one: " 7" and "1_0" are no integers.

    Raises:
        ValueError: It cannot be one.
    """
    if isinstance(held, str) and (held.strip() != held or (kind == "int" and "_" in held)):
        raise ValueError(f"{held!r} is not a number")
    if kind == "double":
        return float(held)
    try:
        number = int(held, 10) if isinstance(held, str) else int(held)
    except OverflowError:
        raise ValueError("infinity is no integer") from None
    if not -_LARGEST <= number < _LARGEST:
        raise ValueError(f"{held} has more than 64 bits")
    return number


def find(attributes: Iterable[Any], key: str) -> Any | None:
    """The AnyValue under a key; None when there is none."""
    return next((one.value for one in attributes if one.key == key), None)


def set_to(attributes: Any, key: str, held: Any) -> None:
    """Put a plain value under a key, a new one or the old one."""
    value = find(attributes, key)
    put(attributes.add(key=key).value if value is None else value, held)


def remove(attributes: Any, unwanted: Callable[[str], bool]) -> list[str]:
    """Take out what has an unwanted key; gives the keys that went, in their order."""
    gone = [place for place, one in enumerate(attributes) if unwanted(one.key)]
    keys = [attributes[place].key for place in gone]
    for place in reversed(gone):
        del attributes[place]
    return keys
