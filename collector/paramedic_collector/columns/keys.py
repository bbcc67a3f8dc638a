"""Which attributes make a series or a value, by name: older and newer names of one thing, the better one first.

    TEXTS["peer"] = (service.peer.name, peer.service, gen_ai.provider.name, ...)

Source: OpenTelemetry semantic conventions 1.41 (general, GenAI) and the older names that are still sent.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic.contract import attributes as names
from paramedic_collector.columns.wire import hash_of_text

# Resource attributes.
SERVICE: Final = "service.name"
INSTANCE: Final = ("service.instance.id", "host.name")
VERSION: Final = "service.version"
# Attributes of spans and of metric points.
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
EXCEPTION: Final = "exception.type"

RESOURCE_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "service": (SERVICE,),
    "zone": (names.ZONE,),
    "version": (VERSION,),
}
TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "name": (),  # of the span itself
    "peer": PEERS,
    "peer_zone": (names.PEER_ZONE,),
    "error": (names.ERROR_TYPE,),
    "code": STATUS_CODES,
    "exception": (EXCEPTION,),  # the span's own, or else that of its events
    "decision": (names.DECISION,),
    "refused_by": (names.REFUSED_BY,),
    "useless": (names.USELESS,),
    "model": MODELS,
    "finish": ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason"),  # the first of a list
}
NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": (names.GENAI_INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
    "output_tokens": (names.GENAI_OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
    "cache_read": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    "first_token": (names.TIME_TO_FIRST_CHUNK, "gen_ai.server.time_to_first_token"),
    "cost": (names.COST_USD,),
    "probe": (names.PROBE,),  # true is 1
    "cancelled": (names.CANCELLED,),
}
TEXT: Final = {name: place for place, name in enumerate(TEXTS)}  # columns of the walker's arrays
NUMBER: Final = {name: place for place, name in enumerate(NUMBERS)}
RESOURCE_TEXT: Final = {name: place for place, name in enumerate(RESOURCE_TEXTS)}


NUMBERS_FROM: Final = 16  # slots of texts are below, slots of numbers from here on
OF_SPANS, OF_EVENTS, OF_RESOURCES = 0, 1, 2  # whose attribute it is
_EVENT_RANK: Final = 8  # any attribute of the span's own is better than one of its events


def key_table() -> NDArray[np.int64]:
    """The wanted keys by their hashes: a table with open addresses, its size a power of two.

    Returns:
        (size, 3): hash + whose it is (0 for a free place), slot, rank; the slot is the place in the table of texts, or
        NUMBERS_FROM + the place in that of numbers, and rank 0 the best name.
    """
    wanted = [(OF_SPANS, key, slot, rank) for slot, keys in enumerate(TEXTS.values()) for rank, key in enumerate(keys)]
    wanted += [
        (OF_SPANS, key, NUMBERS_FROM + slot, rank)
        for slot, keys in enumerate(NUMBERS.values())
        for rank, key in enumerate(keys)
    ]
    wanted.append((OF_EVENTS, EXCEPTION, TEXT["exception"], _EVENT_RANK))
    wanted += [
        (OF_RESOURCES, key, slot, rank)
        for slot, keys in enumerate(RESOURCE_TEXTS.values())
        for rank, key in enumerate(keys)
    ]
    size = 1 << (4 * len(wanted)).bit_length()
    table = np.zeros((size, 3), np.int64)
    for whose, key, slot, rank in wanted:
        mark = hash_of_text(key) + whose
        place = mark & (size - 1)
        while table[place, 0]:
            place = (place + 1) & (size - 1)
        table[place] = mark, slot, rank
    return table
