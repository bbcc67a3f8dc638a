"""The window: one second of one series. The schema that collectors and detectors share.

One Arrow schema a family. A row is one window of one series: `ts` (unix seconds, start of the second),
the family's key columns, then its values. Rows merge: see `paramedic_collector.merge`.

Histograms are base-2 exponential like OTLP's, but sparse: bucket `index` holds values in
(2^(index * 2^-scale), 2^((index + 1) * 2^-scale)] seconds. Spans are folded at SCALE; a coarser source
keeps its own scale, and a merge goes down to the coarser one by shifting indexes, which is exact.

Source of the sketch: OpenTelemetry metrics data model, exponential histograms.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa

SCALE: Final = 3  # eight buckets a factor of two: an estimate is at most 4.5 % off
EXEMPLARS: Final = 4  # kept per window: failed before useless before slow, then the longest

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "op": ("service", "operation", "kind", "peer", "zone", "model", "version"),  # zone: where it ran
    "edge": ("caller", "callee", "zone"),  # zone: the callee's, "" when not known
    "callee": ("callee", "zone"),
    "gauge": ("service", "instance", "metric"),
    "log": ("service", "severity", "template"),
    "flow": ("service", "template", "next"),  # a line of a log, and the next one within the same span; "" at its end
}
ALERT_KEYS: Final[dict[str, tuple[str, ...]]] = {  # of alerts that are about no window
    "slo": ("service", "objective"),
    "outside": ("service", "peer", "name", "kind"),  # sent in by another system
}


class SeriesKey(NamedTuple):
    """The name of a series: its family, then its key columns as KEYS or ALERT_KEYS say; "" for what is not known."""

    family: str
    parts: tuple[str, ...]

    def part(self, name: str) -> str:
        """The key column `name`; "" when this family has no such column."""
        names = KEYS.get(self.family) or ALERT_KEYS[self.family]
        return self.parts[names.index(name)] if name in names else ""

    def __str__(self) -> str:
        return f"{self.family}:" + "/".join(self.parts)


HISTOGRAM: Final = pa.struct(
    [
        ("scale", pa.int8()),
        ("zero", pa.int64()),  # values of 0
        ("sum", pa.float64()),  # seconds; of a gauge family's distribution, the metric's own unit
        ("index", pa.list_(pa.int32())),  # ascending
        ("count", pa.list_(pa.int64())),  # of the bucket at the same place in `index`
    ]
)
COUNTS: Final = pa.list_(pa.struct([("key", pa.string()), ("count", pa.int64())]))  # sorted by key
EXEMPLAR: Final = pa.struct(
    [
        ("trace_id", pa.string()),  # 32 hex digits
        ("span_id", pa.string()),  # 16 hex digits
        ("rank", pa.int8()),  # 2 failed, 1 useless, 0 the rest
        ("duration_s", pa.float64()),
        ("note", pa.string()),  # error.type, or the kind of useless answer, or ""
    ]
)

_CALLS: Final[list[tuple[str, pa.DataType]]] = [
    ("count", pa.int64()),  # calls that were made and ended in this second
    ("errors", COUNTS),  # of them, by error.type
    ("refused", COUNTS),  # calls that were NOT made, by who refused them; not in `count`
    ("probes", pa.int64()),  # of `count`, let through a tripped path on purpose
    ("probe_errors", pa.int64()),  # of `probes`
    ("useless", COUNTS),  # of `count`, not errors: "empty", "cut", "refused"
    ("duration", HISTOGRAM),
    ("exemplars", pa.list_(EXEMPLAR)),
    ("in_flight", pa.int64()),  # calls begun and not ended, summed over instances; null when nobody said
    ("oldest_s", pa.float64()),  # age of the oldest of them; null when nobody said
]
VALUES: Final[dict[str, list[tuple[str, pa.DataType]]]] = {
    "op": [
        *_CALLS,
        ("self_time", HISTOGRAM),  # duration less the union of its children; null while a child may still come
        ("first_token", HISTOGRAM),  # null when no call streamed
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
    ],
    "edge": [*_CALLS, ("gap", HISTOGRAM)],  # client duration less server duration; null without a server span
    "callee": [*_CALLS, ("gap", HISTOGRAM)],
    "gauge": [
        ("count", pa.int64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("distribution", HISTOGRAM),  # of what a histogram metric counted, on its NAME.count; null elsewhere
    ],
    "log": [("count", pa.int64()), ("example", pa.string()), ("trace_ids", pa.list_(pa.string()))],
    "flow": [("count", pa.int64())],
}
SCHEMAS: Final[dict[str, pa.Schema]] = {
    family: pa.schema(
        [("ts", pa.int64()), *((key, pa.string()) for key in keys), *VALUES[family]],
        metadata={"family": family, "version": "1"},
    )
    for family, keys in KEYS.items()
}


Position = tuple[str, int]  # in a flight recorder: name of a segment, bytes from its beginning; sorts as time does


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """The windows that one collector closed at one moment, and where in its flight recorder they came from."""

    collector: str
    sequence: int  # grows by one a batch
    watermark: int  # unix seconds: windows before this one are complete, save late data
    tables: dict[str, pa.RecordBatch] = field(default_factory=dict)  # by family; a family may be missing
    segment: str = ""  # "" for what is in memory only, or when nothing but self-times, gaps and flows is in it
    offsets: tuple[int, int] = (0, 0)  # [from, to) in bytes of `segment`
    late: int = 0  # spans and points that came after their window had been given out, counted in a later one
    joined: Position = ("", 0)  # everything up to here has given its self-times and gaps too
    replayed: bool = False  # of the past, and more of it follows: no picture of now
    flowed: Position = ("", 0)  # everything up to here has given its flows too


@dataclass(frozen=True, slots=True)
class Resume:
    """How far a consumer has applied the batches of one collector; kept with whatever it makes of them.

    A consumer that stores both together, and a collector that begins there after a restart, count everything once.
    """

    folded: Position = ("", 0)
    joined: Position = ("", 0)
    flowed: Position = ("", 0)

    def has(self, batch: WindowBatch) -> bool:
        """Whether the rows of a batch were applied before."""
        if batch.segment:
            return (batch.segment, batch.offsets[1]) <= self.folded
        only_later = batch.offsets == (0, 0) and batch.joined[0] != ""
        return only_later and batch.joined <= self.joined and batch.flowed <= self.flowed

    def after(self, batch: WindowBatch) -> "Resume":
        """Once the batch is applied."""
        folded = (batch.segment, batch.offsets[1]) if batch.segment else self.folded
        return Resume(max(self.folded, folded), max(self.joined, batch.joined), max(self.flowed, batch.flowed))
