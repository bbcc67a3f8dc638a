"""Ids of traces and spans as numbers, whatever they were written as.

    whole numbers          as they are
    up to 32 hex digits    their value; dashes do not count
    other texts            a hash of 128 bits

"Missing" is null, "", 0 or -1 and below, unless some span has that id.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

U64s = NDArray[np.uint64]
_HEX: Final = r"^[0-9a-fA-F]{1,32}$"
_NOTHING: Final = ("", "-1", "-2", "0", "0000000000000000", "none", "None", "null", "nan")


def trace_ids(column: pa.ChunkedArray) -> U64s:
    """(n, 2): the upper and the lower half of each id."""
    return _integers(column, 0) if _is_whole(column) else _of_texts(_texts(column), _is_hex(_texts(column)))


def given_ids(column: pa.ChunkedArray) -> tuple[U64s, NDArray[np.bool_]]:
    """(n, 2) halves of ids that need not be there, and whether each one is; 0 and "" are none."""
    if _is_whole(column):
        ids = _integers(column, 0)
        return ids, ids[:, 1].view(np.int64) > 0
    texts = _texts(column)
    none = _is_one_of(texts, _NOTHING)
    plain = pc.if_else(pa.array(none), "0", texts)
    return _of_texts(plain, _is_hex(plain)), ~none


def span_ids(span: pa.ChunkedArray, parent: pa.ChunkedArray | None) -> tuple[U64s, U64s]:
    """The ids of spans and of their parents, 0 for none."""
    if parent is None:
        parent = pa.chunked_array([pa.nulls(len(span), span.type)])
    if _is_whole(span) and _is_whole(parent):
        return _whole_ids(span, parent)
    own, others = _texts(span), _texts(parent)
    nothing = _is_one_of(others, tuple(word for word in _NOTHING if not word or not _is_one_of(own, (word,)).any()))
    as_hex = _is_hex(pa.concat_arrays([own, others.filter(pa.array(~nothing))]))
    return _shifted(_mixed(_of_texts(own, as_hex)), _mixed(_of_texts(others, as_hex)), nothing)


def _whole_ids(span: pa.ChunkedArray, parent: pa.ChunkedArray) -> tuple[U64s, U64s]:
    own, theirs = _integers(span, 0)[:, 1].view(np.int64), _integers(parent, 0)[:, 1].view(np.int64)
    none = np.asarray(parent.is_null().to_numpy(), bool)
    candidates = np.unique(theirs[theirs <= 0])
    signed = len(own) > 0 and int(own.min()) < 0
    missing = candidates[candidates >= -2] if signed else candidates
    missing = missing[~np.isin(missing, own)]
    none |= np.isin(theirs, missing)
    return _shifted(own.view(np.uint64), theirs.view(np.uint64), none)


def _shifted(own: U64s, theirs: U64s, none: NDArray[np.bool_]) -> tuple[U64s, U64s]:
    """All ids one higher when some span has the id 0, which is that of nobody."""
    shift = np.uint64(1 if (own == 0).any() else 0)
    return own + shift, np.where(none, np.uint64(0), theirs + shift)


def _is_whole(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type) or (pa.types.is_null(column.type) and not len(column)))


def _integers(column: pa.ChunkedArray, null: int) -> U64s:
    filled = column.fill_null(null)
    if pa.types.is_unsigned_integer(column.type):
        low = np.asarray(filled.cast(pa.uint64()).to_numpy(), np.uint64)
    else:
        low = np.asarray(filled.cast(pa.int64()).to_numpy(), np.int64).view(np.uint64)
    return np.column_stack((np.zeros(len(low), np.uint64), low))


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """Without dashes, which ids are sometimes written with."""
    plain = column.cast(pa.string()).fill_null("")
    plain = pa.concat_arrays(plain.chunks) if plain.num_chunks else pa.array([], pa.string())
    dashed = pc.match_substring_regex(plain, r"^[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}$")
    return pc.if_else(dashed, pc.replace_substring(plain, "-", ""), plain)


def _is_one_of(texts: pa.Array, words: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.asarray(pc.is_in(texts, value_set=pa.array(words)).to_numpy(zero_copy_only=False), bool)


def _is_hex(texts: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, _HEX)).as_py())


def _of_texts(texts: pa.Array, as_hex: bool) -> U64s:
    if not len(texts):
        return np.empty((0, 2), np.uint64)
    if as_hex:
        return _of_hex(pc.utf8_lpad(texts, 32, "0"))
    width = int(pc.max(pc.binary_length(texts)).as_py() or 1)
    letters = _letters(pc.ascii_lpad(texts, width, "\0"), width)
    return np.column_stack([_hashed(letters, factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)])


def _letters(texts: pa.Array, width: int) -> NDArray[np.uint8]:
    """(n, width) bytes of texts that are all that long; longer ones are cut."""
    raw = pc.binary_slice(texts.cast(pa.binary()), 0, width).cast(pa.binary(width))
    return np.frombuffer(raw.buffers()[1], np.uint8, len(texts) * width, raw.offset * width).reshape(-1, width)


def _of_hex(texts: pa.Array) -> U64s:
    digits = _letters(texts, 32) | 0x20  # lower case; digits stay
    values = np.where(digits >= ord("a"), digits - np.uint8(ord("a") - 10), digits - np.uint8(ord("0")))
    packed = np.ascontiguousarray((values[:, 0::2] << 4) | values[:, 1::2])
    return packed.view(">u8").astype(np.uint64)


def _hashed(letters: NDArray[np.uint8], factor: int) -> U64s:
    mixed = np.zeros(len(letters), np.uint64)
    for place in range(letters.shape[1]):  # over the letters of an id, not over ids
        mixed = (mixed ^ letters[:, place]) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _mixed(ids: U64s) -> U64s:
    """One number of two halves; the lower one as it is when the upper one is 0."""
    return np.asarray(ids[:, 1] ^ (ids[:, 0] * np.uint64(0x9E3779B97F4A7C15)))
