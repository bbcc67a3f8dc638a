"""What windows need to know of each span: a column a fact, every name a small number.

    Rows (marks of texts) --facts_of--> Facts (numbers of names)

Numbers of names come from the tables in `Tables`, which live as long as the collector; so facts of
different batches can be joined, kept and folded later.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic.contract import attributes as contract
from paramedic_collector.columns.keys import NUMBER, RESOURCE_TEXT, TEXT
from paramedic_collector.columns.marks import mixed_marks
from paramedic_collector.columns.spans import (
    END,
    KIND,
    PARENT,
    RESOURCE,
    SPAN,
    START,
    STATUS,
    TEXTS_FROM,
    TRACE,
    VALUES_FROM,
    Table,
    hash_of_number,
    place_of,
)
from paramedic_collector.columns.wire import hash_of_text
from paramedic_collector.decode import Rows
from paramedic_collector.interner import EMPTY, Interner
from paramedic_collector.prices import Prices
from paramedic_collector.sketch import Flags, Floats, Ints, billionths
from paramedic_collector.tables import Tables

COLUMNS: Final = {
    "ts": "i8",  # unix seconds of its end
    "start": "i8",  # unix nanoseconds
    "end": "i8",  # never before `start`
    "self": "u8",  # mark of (trace, span)
    "parent": "u8",  # mark of (trace, parent); 0 for a root
    "trace": "2u8",
    "span": "u8",
    "kind": "i8",  # of OTLP
    "probe": "?",
    "made": "?",  # False: a guard refused the call, or its caller gave up
    "error": "i8",  # name of error.type; EMPTY when it worked
    "refused": "i8",  # name of who refused
    "useless": "i8",  # name of the kind of useless answer; EMPTY for errors
    "service": "i8",
    "zone": "i8",  # of the callee
    "op": "i8",  # series
    "edge": "i8",  # series; NOWHERE when it has no callee
    "callee": "i8",
    "first_token": "i8",  # nanoseconds; -1 for none
    "input_tokens": "i8",
    "output_tokens": "i8",
    "cost": "i8",  # billionths of a dollar
}
NOWHERE: Final = -1
KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")  # by number; 0 is unspecified
SERVER, CLIENT = 2, 3
_STATUS_ERROR: Final = 2
_OTHER: Final = "_OTHER"
_OTHER_MARK: Final = hash_of_text(_OTHER)
_CODES: Final = np.array([mark for code in range(400, 600) for mark in (hash_of_text(str(code)), hash_of_number(code))])
# Why a model stopped, in the words of several providers.
_FINISH: Final = {
    what: np.array([hash_of_text(one) for one in reasons])
    for what, reasons in {
        "stop": ("stop", "end_turn", "STOP", "complete", "COMPLETE"),
        "cut": ("length", "max_tokens", "MAX_TOKENS", "model_length"),
        "refused": ("content_filter", "refusal", "SAFETY", "safety", "guardrail_intervened"),
    }.items()
}


class Facts:
    """What windows need to know of n spans: a column a fact."""

    def __init__(self, columns: dict[str, NDArray[Any]]) -> None:
        self._columns = columns

    @classmethod
    def nothing(cls, n: int) -> "Facts":
        """Zeros, to be filled."""
        return cls({name: np.zeros(n, kind) for name, kind in COLUMNS.items()})

    @classmethod
    def joined(cls, parts: Sequence["Facts"]) -> "Facts":
        """All spans of all parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.nothing(0)
        return cls({name: np.concatenate([part[name] for part in parts]) for name in COLUMNS})

    def __len__(self) -> int:
        return len(self._columns["ts"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def __setitem__(self, name: str, values: Any) -> None:
        self._columns[name][:] = values

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns.values())

    def where(self, which: Flags) -> "Facts":
        """The spans for which `which` is true."""
        if which.all():
            return self
        return Facts({name: column[which] for name, column in self._columns.items()})


def facts_of(spans: Rows, tables: Tables) -> Facts:
    """Every span's facts."""
    facts = Facts.nothing(len(spans))
    _set_identity(facts, spans.table)
    _set_outcome(facts, spans, tables.names)
    _set_amounts(facts, spans, tables)
    _set_series(facts, spans, tables)
    return facts


def mark(trace: NDArray[np.uint64], span: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number for (trace, span), never 0; two spans share one with a chance of 2^-64."""
    mixed = (trace[:, 0] ^ (trace[:, 1] * np.uint64(0x9E3779B97F4A7C15))) + span * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    marks: NDArray[np.uint64] = np.maximum(mixed, np.uint64(1))
    return marks


def _set_identity(facts: Facts, table: Table) -> None:
    trace = np.column_stack((table[TRACE], table[TRACE + 1])).view(np.uint64)
    span, parent = table[SPAN].view(np.uint64), table[PARENT].view(np.uint64)
    facts["trace"], facts["span"] = trace, span
    facts["self"] = mark(trace, span)
    facts["parent"] = np.where(parent > 0, mark(trace, parent), 0)
    facts["start"] = table[START]
    facts["end"] = np.maximum(table[END], table[START])
    facts["ts"] = table[END] // 1_000_000_000
    kind = table[KIND]
    facts["kind"] = np.where((kind < 0) | (kind >= len(KINDS)), 0, kind)


def _set_outcome(facts: Facts, spans: Rows, names: Interner[str]) -> None:
    """What became of each call. One that was refused, or whose caller gave up, was not made."""
    refused = _text(spans, "decision") == hash_of_text(contract.REFUSED)
    facts["made"] = ~refused & ~(_number(spans, "cancelled") > 0)
    facts["refused"] = np.where(refused, _numbered(names, spans, "refused_by"), EMPTY)
    facts["probe"] = _number(spans, "probe") > 0
    failed = (spans.table[STATUS] == _STATUS_ERROR) | (_text(spans, "error") != 0)
    facts["error"] = np.where(facts["made"] & failed, _errors(spans, names, failed), EMPTY)
    fine = facts["made"] & ~failed
    facts["useless"] = np.where(fine, _useless(spans, names), EMPTY)


def _errors(spans: Rows, names: Interner[str], failed: Flags) -> Ints:
    """error.type; for a failed span without one its status code, exception, or "_OTHER"."""
    marks, slots = _text(spans, "error").copy(), np.full(len(spans), TEXT["error"])
    nameless = np.flatnonzero(failed & (marks == 0))
    if len(nameless):
        code = np.where(np.isin(_text(spans, "code")[nameless], _CODES), _text(spans, "code")[nameless], 0)
        raised = _text(spans, "exception")[nameless]
        marks[nameless] = np.where(code != 0, code, np.where(raised != 0, raised, _OTHER_MARK))
        slots[nameless] = np.where(code != 0, TEXT["code"], np.where(raised != 0, TEXT["exception"], -1))
    marks[~failed] = 0
    return names.numbers_of(marks, lambda at: _text_at(spans, at, slots[at]) if slots[at] >= 0 else _OTHER)


def _useless(spans: Rows, names: Interner[str]) -> Ints:
    """What the span says; else what follows from why the model stopped."""
    said = _numbered(names, spans, "useless")
    finish = _text(spans, "finish")
    if not finish.any():
        return said
    cut, refused, empty = names.intern(["cut", "refused", "empty"])
    silent = np.isin(finish, _FINISH["stop"]) & (_number(spans, "output_tokens") == 0)
    masks = [silent, np.isin(finish, _FINISH["cut"]), np.isin(finish, _FINISH["refused"])]
    return np.where(said != EMPTY, said, np.select(masks, [empty, cut, refused], EMPTY))


def _set_amounts(facts: Facts, spans: Rows, tables: Tables) -> None:
    first_token = _number(spans, "first_token")
    facts["first_token"] = np.where(first_token >= 0, billionths(first_token), -1)
    facts["input_tokens"] = _whole(_number(spans, "input_tokens"))
    facts["output_tokens"] = _whole(_number(spans, "output_tokens"))
    cost = _number(spans, "cost")
    priced = np.flatnonzero(np.isnan(cost) & (facts["input_tokens"] + facts["output_tokens"] > 0))
    if len(priced):
        cost[priced] = _costs(spans, priced, tables.prices)
    facts["cost"] = billionths(cost)
    if not facts["made"].all():
        for name in ("input_tokens", "output_tokens", "cost"):
            facts[name][~facts["made"]] = 0
        facts["first_token"][~facts["made"]] = -1


def _costs(spans: Rows, which: Ints, prices: Prices) -> Floats:
    """Dollars of calls that do not say what they cost: their tokens at the list price of their model."""
    marks = _text(spans, "model")[which]
    names = ("input_tokens", "output_tokens", "cache_read", "cache_write")
    tokens = [np.nan_to_num(_number(spans, name)[which]) for name in names]
    out = np.full(len(which), np.nan)
    for one in np.unique(marks[marks != 0]).tolist():
        same = np.flatnonzero(marks == one)
        rates = prices.rates_of(_text_at(spans, int(which[same[0]]), TEXT["model"]))
        if rates is not None:
            out[same] = rates.cost_usd(*(column[same] for column in tokens))
    return out


def _whole(values: Floats) -> Ints:
    """Token counts: what is negative, no number or absurd counts as 0 or is cut."""
    return np.clip(np.nan_to_num(values), 0, 1e12).astype(np.int64)


def _set_series(facts: Facts, spans: Rows, tables: Tables) -> None:
    service, zone, version = (_of_resource(spans, name) for name in ("service", "zone", "version"))
    client = facts["kind"] == CLIENT
    peer = np.where(client, _text(spans, "peer"), 0)
    peer_zone, kind = _text(spans, "peer_zone"), facts["kind"].copy()
    kind[kind == 0] = 1  # an unspecified one is internal
    operation = np.column_stack((service, _text(spans, "name"), kind, peer, zone, _text(spans, "model"), version))
    facts["op"] = tables.series["op"].numbers_of(
        mixed_marks(operation), lambda at: _operation(spans, at, bool(client[at]))
    )
    facts["service"] = tables.names.numbers_of(service, lambda at: _resource_text(spans, at, "service"))
    facts["zone"] = _numbered(tables.names, spans, "peer_zone")
    facts["edge"] = facts["callee"] = NOWHERE
    known = np.flatnonzero(peer)
    if len(known):
        pairs = np.column_stack((service, peer, peer_zone))[known]
        edge, callee = mixed_marks(pairs), mixed_marks(pairs[:, 1:])
        facts["edge"][known] = tables.series["edge"].numbers_of(edge, lambda at: _edge(spans, int(known[at])))
        facts["callee"][known] = tables.series["callee"].numbers_of(callee, lambda at: _edge(spans, int(known[at]))[1:])


def _operation(spans: Rows, at: int, client: bool) -> tuple[str, ...]:
    kind = spans.table[KIND, at]
    return (
        _resource_text(spans, at, "service"),
        _text_at(spans, at, TEXT["name"]),
        KINDS[kind] if 0 <= kind < len(KINDS) else KINDS[0],
        _text_at(spans, at, TEXT["peer"]) if client else "",
        _resource_text(spans, at, "zone"),
        _text_at(spans, at, TEXT["model"]),
        _resource_text(spans, at, "version"),
    )


def _edge(spans: Rows, at: int) -> tuple[str, ...]:
    peer, zone = (_text_at(spans, at, TEXT[name]) for name in ("peer", "peer_zone"))
    return _resource_text(spans, at, "service"), peer, zone


def _text(spans: Rows, name: str) -> Ints:
    """The marks of a text, by its name in `columns.keys`."""
    marks: Ints = spans.table[TEXTS_FROM + 2 * TEXT[name]]
    return marks


def _text_at(spans: Rows, at: int, slot: int) -> str:
    return spans.text(at, *place_of(int(spans.table[TEXTS_FROM + 2 * slot + 1, at])))


def _of_resource(spans: Rows, name: str) -> Ints:
    """The marks of a text of each span's resource."""
    marks: Ints = spans.resources[TEXTS_FROM + 2 * RESOURCE_TEXT[name]][spans.table[RESOURCE]]
    return marks


def _resource_text(spans: Rows, at: int, name: str) -> str:
    where = spans.resources[TEXTS_FROM + 2 * RESOURCE_TEXT[name] + 1, spans.table[RESOURCE, at]]
    return spans.text(at, *place_of(int(where)))


def _numbered(names: Interner[str], spans: Rows, name: str) -> Ints:
    """The numbers of a text."""
    return names.numbers_of(_text(spans, name), lambda at: _text_at(spans, at, TEXT[name]))


def _number(spans: Rows, name: str) -> Floats:
    """A number, by its name in `columns.keys`; NaN where there is none."""
    bits = spans.table[VALUES_FROM + NUMBER[name]]
    return np.where(bits == 0, np.nan, bits.view(np.float64))


def set_callee(facts: Facts, peer: Ints, tables: Tables) -> None:
    """Put the edge and callee series in, for the spans whose `peer` is known."""
    facts["edge"] = facts["callee"] = NOWHERE
    known = peer != EMPTY
    if known.any():
        zone = facts["zone"][known]
        facts["edge"][known] = tables.series_of("edge", facts["service"][known], peer[known], zone)
        facts["callee"][known] = tables.series_of("callee", peer[known], zone)
