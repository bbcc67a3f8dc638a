"""Examples from recorded faults whose labels the taxonomy knows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from paramedic.contract.command import Target
from paramedic_collector.windows import WindowBatch
from paramedic_detector.evaluate.truth import FaultRow
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.learn.examples import Example, Source
from paramedic_detector.learn.gather import Scribe, Seen
from paramedic_detector.series.table import SeriesTable

BEFORE_S: Final = 600.0
AGES_S: Final = (15.0, 30.0, 60.0)


class Windows(Protocol):
    """The windows of a recorded set."""

    def batches(
        self, start: float | None = None, end: float | None = None, every_s: int = 1
    ) -> Iterator[WindowBatch]: ...


def recorded_examples(
    name: str, windows: Windows, faults: Iterable[FaultRow], labels: Mapping[str, str]
) -> Iterator[Example]:
    """What each fault with a known label shows at some moments after it began.

    Args:
        name: Of the set.
        labels: Of the taxonomy: what the set's labels mean. Faults with others are left out.
    """
    others = [(fault.start, fault.end) for fault in faults]
    for fault in faults:
        if fault.fault_type in labels:
            past = tuple(span for span in others if span[1] <= fault.start)
            yield from _of_fault(f"{name}/{fault.case}", windows, fault, labels[fault.fault_type], past)


def _of_fault(
    group: str, windows: Windows, fault: FaultRow, fault_class: str, past: tuple[tuple[float, float], ...]
) -> Iterator[Example]:
    table, scribe, due = SeriesTable(), Scribe(), 0
    for batch in windows.batches(fault.start - BEFORE_S, min(fault.end, fault.start + AGES_S[-1]) + 2):
        table.add(batch)
        now = float(batch.watermark)
        if due >= len(AGES_S) or now - fault.start < AGES_S[due]:
            continue
        due += 1
        seen = Seen((), table, Topology.of(table, now), now, fault.start, fault_class,
                    Target(fault.root_cause_service), past)  # fmt: skip
        example = scribe.note(seen, group, Source.RECORDED)
        if example is not None:
            yield example
