"""What windows need to know of each span: one flat array, a field a fact, every name a small number.

    Items (Arrow, text) --facts_of--> FACT array (NumPy, numbers)

Numbers of names come from the tables in `Tables`, which live as long as the collector; so facts of
different batches can be joined, kept and folded later.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic.contract import attributes as contract
from paramedic_collector.decode import Items, ids
from paramedic_collector.interner import EMPTY, Interner, intern_column
from paramedic_collector.pivot import (
    EXCEPTION,
    FIRST_TOKEN,
    INPUT_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    PEERS,
    SERVICE,
    STATUS_CODES,
    VERSION,
    Attributes,
    attributes_of_events,
)
from paramedic_collector.sketch import Ints, billionths, group
from paramedic_collector.windows import KEYS

FACT: Final = np.dtype(
    [
        ("ts", "i8"),  # unix seconds of its end
        ("start", "i8"),  # unix nanoseconds
        ("end", "i8"),  # never before `start`
        ("self", "u8"),  # mark of (trace, span)
        ("parent", "u8"),  # mark of (trace, parent); 0 for a root
        ("trace", "u8", (2,)),
        ("span", "u8"),
        ("kind", "i1"),  # of OTLP
        ("probe", "?"),
        ("made", "?"),  # False: a guard refused the call
        ("error", "i8"),  # name of error.type; EMPTY when it worked
        ("refused", "i8"),  # name of who refused
        ("useless", "i8"),  # name of the kind of useless answer; EMPTY for errors
        ("service", "i8"),
        ("zone", "i8"),  # of the callee
        ("op", "i8"),  # series
        ("edge", "i8"),  # series; NOWHERE when it has no callee
        ("callee", "i8"),
        ("first_token", "i8"),  # nanoseconds; -1 for none
        ("input_tokens", "i8"),
        ("output_tokens", "i8"),
        ("cost", "i8"),  # billionths of a dollar
    ]
)
Facts = NDArray[np.void]
NOWHERE: Final = -1
KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")  # by number; 0 is unspecified
SERVER, CLIENT = 2, 3
_STATUS_ERROR: Final = 2
_LONGEST_NAME: Final = 200  # characters of an operation or error name


class Tables:
    """The names and series that one collector knows.

    Args:
        limit: Most series a family; more share one overflow series.
        keep_s: Seconds that an unused series keeps its number.
        clock: Seconds that never run backwards.
    """

    def __init__(self, *, limit: int, keep_s: float, clock: Callable[[], float]) -> None:
        self.names: Interner[str] = Interner("", "_overflow", limit=8 * limit, keep_s=keep_s, clock=clock)
        self.series: dict[str, Interner[tuple[str, ...]]] = {
            family: Interner(("",) * len(key), ("_overflow",) * len(key), limit=limit, keep_s=keep_s, clock=clock)
            for family, key in KEYS.items()
        }

    @property
    def overflows(self) -> int:
        return self.names.overflows + sum(table.overflows for table in self.series.values())

    def series_of(self, family: str, *parts: Ints) -> Ints:
        """The series numbers of key columns that are given as numbers of names."""
        numbers, first = group(*parts)
        columns = [[self.names[name] for name in part[first].tolist()] for part in parts]
        keys: list[tuple[str, ...]] = list(zip(*columns, strict=True))
        return self.series[family].intern(keys)[numbers]


def facts_of(spans: Items, tables: Tables) -> Facts:
    """Every span's facts."""
    facts = np.zeros(len(spans), FACT)
    own = Attributes.of(spans.column("attributes"))
    _set_identity(facts, spans)
    _set_outcome(facts, spans, own, tables)
    _set_amounts(facts, own)
    _set_series(facts, spans, own, tables)
    return facts


def mark(trace: NDArray[np.uint64], span: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for (trace, span), never 0; two spans share one with a chance of 2^-64."""
    mixed = (trace[:, 0] ^ (trace[:, 1] * np.uint64(0x9E3779B97F4A7C15))) + span * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    marks: NDArray[np.uint64] = np.maximum(mixed, np.uint64(1))
    return marks


def _set_identity(facts: Facts, spans: Items) -> None:
    trace, span = ids(spans.column("trace_id"), 16), ids(spans.column("span_id"), 8)[:, 0]
    parent_column = spans.column("parent_span_id")
    has_parent = np.asarray(pc.equal(pc.binary_length(parent_column), 8))
    parent = np.zeros(len(facts), np.uint64)
    parent[has_parent] = ids(parent_column.filter(pa.array(has_parent)), 8)[:, 0]
    facts["trace"], facts["span"] = trace, span
    facts["self"] = mark(trace, span)
    facts["parent"] = np.where(parent > 0, mark(trace, parent), 0)
    facts["start"], end = spans.numbers("start_time_unix_nano"), spans.numbers("end_time_unix_nano")
    facts["end"] = np.maximum(end, facts["start"])
    facts["ts"] = end // 1_000_000_000
    kind = spans.numbers("kind")
    facts["kind"] = np.where((kind < 0) | (kind >= len(KINDS)), 0, kind)


def _set_outcome(facts: Facts, spans: Items, own: Attributes, tables: Tables) -> None:
    facts["made"] = ~_is_refused(own)
    facts["refused"] = np.where(facts["made"], EMPTY, intern_column(tables.names, own.text(contract.REFUSED_BY)))
    facts["probe"] = own.flag(contract.PROBE)
    error = _error_types(spans, own)
    facts["error"] = np.where(facts["made"], intern_column(tables.names, error), EMPTY)
    useless = intern_column(tables.names, own.text(contract.USELESS))
    facts["useless"] = np.where(facts["made"] & (facts["error"] == EMPTY), useless, EMPTY)


def _is_refused(own: Attributes) -> NDArray[np.bool_]:
    decision = own.text(contract.DECISION)
    return np.asarray(pc.equal(decision, contract.REFUSED).fill_null(False), dtype=bool)


def _error_types(spans: Items, own: Attributes) -> pa.StringArray:
    """error.type; for a failed span without one its status code, exception, or "_OTHER"; "" for the rest."""
    named = own.text(contract.ERROR_TYPE)
    failed = pc.equal(spans.column("status").field("code"), _STATUS_ERROR).fill_null(False)
    if pc.all(pc.or_(pc.invert(failed), named.is_valid())).as_py() is False:
        code = own.text(*STATUS_CODES)
        code = pc.if_else(pc.match_substring_regex(code, "^[45][0-9][0-9]$"), code, None)
        raised = attributes_of_events(spans.column("events")).text(EXCEPTION)
        best = pc.coalesce(code, own.text(EXCEPTION), raised, pa.scalar("_OTHER"))
        named = pc.coalesce(named, pc.if_else(failed, best, None))
    return pc.utf8_slice_codeunits(named, 0, _LONGEST_NAME)


def _set_amounts(facts: Facts, own: Attributes) -> None:
    first_token = own.number(*FIRST_TOKEN)
    facts["first_token"] = np.where(first_token >= 0, billionths(first_token), -1)
    facts["input_tokens"] = _whole(own.number(*INPUT_TOKENS))
    facts["output_tokens"] = _whole(own.number(*OUTPUT_TOKENS))
    facts["cost"] = billionths(own.number(contract.COST_USD))


def _whole(values: NDArray[np.float64]) -> Ints:
    """Token counts: what is negative, no number or absurd counts as 0 or is cut."""
    return np.clip(np.nan_to_num(values), 0, 1e12).astype(np.int64)


def _set_series(facts: Facts, spans: Items, own: Attributes, tables: Tables) -> None:
    names, resources = tables.names, spans.resources
    service = intern_column(names, resources.text(SERVICE))[spans.resource]
    zone = intern_column(names, resources.text(contract.ZONE))[spans.resource]
    version = intern_column(names, resources.text(VERSION))[spans.resource]
    operation = intern_column(names, pc.utf8_slice_codeunits(spans.column("name"), 0, _LONGEST_NAME))
    kind = names.intern(KINDS)[facts["kind"]]
    client = facts["kind"] == CLIENT
    peer = np.where(client, intern_column(names, own.text(*PEERS)), EMPTY)
    model = intern_column(names, own.text(*MODELS))
    facts["service"], facts["zone"] = service, intern_column(names, own.text(contract.PEER_ZONE))
    facts["op"] = tables.series_of("op", service, operation, kind, peer, zone, model, version)
    set_callee(facts, peer, tables)


def set_callee(facts: Facts, peer: Ints, tables: Tables) -> None:
    """Put the edge and callee series in, for the spans whose `peer` is known."""
    facts["edge"] = facts["callee"] = NOWHERE
    known = peer != EMPTY
    if known.any():
        zone = facts["zone"][known]
        facts["edge"][known] = tables.series_of("edge", facts["service"][known], peer[known], zone)
        facts["callee"][known] = tables.series_of("callee", peer[known], zone)
