"""Attributes as OTLP lists them, turned into one column for each wanted key.

    [[{key, value}, ...], ...]  --explode, look up the key, scatter-->  text("error.type") -> [None, "503", ...]

Only keys in WANTED are looked at; of a key that comes twice in one item the last one counts.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic.contract import attributes as names

# Resource attributes.
SERVICE: Final = "service.name"
INSTANCE: Final = ("service.instance.id", "host.name")
VERSION: Final = "service.version"
# Older and newer names of one thing, the better one first.
PEERS: Final = (
    names.PEER,
    "peer.service",
    names.GENAI_PROVIDER,
    "gen_ai.system",
    "db.system.name",
    "db.system",
    "server.address",
)
STATUS_CODES: Final = ("http.response.status_code", "http.status_code")
MODELS: Final = (names.GENAI_REQUEST_MODEL, names.GENAI_RESPONSE_MODEL)
INPUT_TOKENS: Final = (names.GENAI_INPUT_TOKENS, "gen_ai.usage.prompt_tokens")
OUTPUT_TOKENS: Final = (names.GENAI_OUTPUT_TOKENS, "gen_ai.usage.completion_tokens")
FIRST_TOKEN: Final = (names.TIME_TO_FIRST_CHUNK, "gen_ai.server.time_to_first_token")
EXCEPTION: Final = "exception.type"

WANTED: Final = (
    SERVICE,
    *INSTANCE,
    VERSION,
    names.ZONE,
    *PEERS,
    names.PEER_ZONE,
    names.ERROR_TYPE,
    *STATUS_CODES,
    EXCEPTION,
    names.GUARD,
    names.DECISION,
    names.REFUSED_BY,
    names.PROBE,
    names.USELESS,
    names.COST_USD,
    *MODELS,
    *INPUT_TOKENS,
    *OUTPUT_TOKENS,
    *FIRST_TOKEN,
)
_CODES: Final = {key: code for code, key in enumerate(WANTED)}
_WANTED: Final = pa.array(WANTED, pa.string())


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of n items."""

    n: int
    _item: NDArray[np.int64]  # the item of each wanted attribute, sorted by key, then item
    _position: NDArray[np.int64]  # where its value stands in `_values`
    _bounds: NDArray[np.int64]  # where each key of WANTED begins in the two above
    _values: pa.StructArray  # AnyValue of every attribute

    @classmethod
    def of(cls, lists: pa.ListArray) -> "Attributes":
        """From one list<struct<key, value>> column; a null list is an empty one."""
        pairs = lists.flatten()
        code = pc.index_in(pairs.field("key"), value_set=_WANTED).fill_null(-1)
        codes = np.asarray(code, dtype=np.int64)
        position = np.flatnonzero(codes >= 0)
        position = position[np.argsort(codes[position], kind="stable")]
        item = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)[position]
        bounds = np.searchsorted(codes[position], np.arange(len(WANTED) + 1))
        return cls(len(lists), item, position, bounds, pairs.field("value"))

    def text(self, *keys: str) -> pa.StringArray:
        """The first of `keys` that an item has, as text; null where it has none."""
        columns = [self._text(key) for key in keys if self._has(key)]
        if not columns:
            return pa.nulls(self.n, pa.string())
        return columns[0] if len(columns) == 1 else pc.coalesce(*columns)

    def number(self, *keys: str) -> NDArray[np.float64]:
        """The first of `keys` that an item has, as a number; NaN where it has none or it is not one."""
        out = np.full(self.n, np.nan)
        for key in reversed([key for key in keys if self._has(key)]):
            item, position = self._where(key)
            value = self._values.take(pa.array(position))
            both = pc.coalesce(value.field("double_value"), value.field("int_value").cast(pa.float64(), safe=False))
            found = np.asarray(both.fill_null(np.nan))
            known = ~np.isnan(found)
            out[item[known]] = found[known]
        return out

    def flag(self, key: str) -> NDArray[np.bool_]:
        """Whether an item says true for `key`."""
        out = np.zeros(self.n, bool)
        if self._has(key):
            item, position = self._where(key)
            out[item] = np.asarray(self._values.take(pa.array(position)).field("bool_value").fill_null(False))
        return out

    def _has(self, key: str) -> bool:
        code = _CODES[key]
        return bool(self._bounds[code + 1] > self._bounds[code])

    def _where(self, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        part = slice(self._bounds[_CODES[key]], self._bounds[_CODES[key] + 1])
        return self._item[part], self._position[part]

    def _text(self, key: str) -> pa.StringArray:
        item, position = self._where(key)
        at = np.full(self.n, -1, np.int64)
        at[item] = position
        value = self._values.take(pa.array(at, mask=at < 0))
        text = value.field("string_value")
        if text.null_count > self.n - len(item):  # some are no strings: a status code is a number to some SDKs
            text = pc.coalesce(text, value.field("int_value").cast(pa.string()))
        return text


def attributes_of_events(events: pa.ListArray) -> Attributes:
    """The attributes of each item's span events, as if they were the item's own."""
    inner = events.flatten().field("attributes")
    event_ends = np.concatenate(([0], np.cumsum(np.asarray(pc.list_value_length(inner).fill_null(0)))))
    item_ends = np.concatenate(([0], np.cumsum(np.asarray(pc.list_value_length(events).fill_null(0)))))
    offsets = pa.array(event_ends[item_ends], pa.int32())
    return Attributes.of(pa.ListArray.from_arrays(offsets, inner.flatten()))
