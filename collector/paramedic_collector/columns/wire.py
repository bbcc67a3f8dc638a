"""The protobuf wire format, one field at a time, for compiled functions.

    tag, at = varint(payload, at, end)      number = tag >> 3, type = tag & 7

Every function that reads gives the place behind what it read; BROKEN says that the bytes end too early or are no
protobuf, and no place in `payload` is ever looked at that lies outside of [at, end).

Source: protobuf.dev, "Encoding".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.columns.compiled import compiled, inlined, inner, word_at

Bytes = NDArray[np.uint8]
BROKEN: Final = -1
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types


@inlined
def varint(payload: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where the next thing begins or BROKEN; 64-bit numbers come as signed ones."""
    if at < end and payload[at] < 128:
        return np.int64(payload[at]), at + 1
    return _long_varint(payload, at, end)


@inner
def _long_varint(payload: Bytes, at: int, end: int) -> tuple[int, int]:
    value, shift = np.int64(0), 0
    while at < end and shift < 70:
        byte = np.int64(payload[at])
        at += 1
        if shift < 64:
            value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    return np.int64(0), np.int64(BROKEN)


@inner
def content(payload: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a length-delimited field begins and ends; the end is BROKEN when it lies behind `end`."""
    size, at = varint(payload, at, end)
    if at < 0 or size < 0 or size > end - at:
        return at, BROKEN
    return at, at + size


@inner
def skipped(payload: Bytes, tag: int, at: int, end: int) -> int:
    """Where the field after `tag` ends; BROKEN when it does not, or is no field that OTLP may have."""
    kind = tag & 7
    if tag < 8 or tag >= 1 << 32:
        return BROKEN
    if kind == LENGTH:
        _, at = content(payload, at, end)
    elif kind == VARINT:
        _, at = varint(payload, at, end)
    elif kind == FIXED64:
        at += 8
    elif kind == FIXED32:
        at += 4
    else:
        return BROKEN
    return at if at <= end else BROKEN


@compiled
def hash_of(payload: Bytes, at: int, end: int) -> int:
    """64 bits, as a signed number, that stand for the bytes; never 0, which stands for "nothing".

    Each step is one to one in the word that it takes in, so texts of up to eight bytes never collide, and two
    longer ones do with a chance of 2^-64.
    """
    mixed = np.uint64(end - at) * np.uint64(0x9E3779B97F4A7C15)
    while end - at >= 8:
        mixed = (mixed ^ np.uint64(word_at(payload, at))) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= mixed >> np.uint64(29)
        at += 8
    if end > at:
        word = np.uint64(0)
        if len(payload) - at >= 8:
            word = np.uint64(word_at(payload, at)) << np.uint64(8 * (8 - end + at))
        else:
            for place in range(end - at):
                word |= np.uint64(payload[at + place]) << np.uint64(8 * (8 - end + at + place))
        mixed = (mixed ^ word) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed) if mixed != 0 else np.int64(1)


def hash_of_text(text: str) -> int:
    """`hash_of` of a Python string; 0 of the empty one."""
    raw = np.frombuffer(text.encode(), np.uint8)
    return int(hash_of(raw, 0, len(raw))) if text else 0
