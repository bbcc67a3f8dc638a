"""Which segments go: the oldest, when they are too old or too much, unless a reader still needs them."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from paramedic_collector.record.committed import Committed, Segment
from paramedic_collector.record.segments import segment_paths
from paramedic_collector.record.writer import Limits


class Holder(Protocol):
    """A reader, as retention sees it."""

    def holds(self, segment: Segment) -> bool: ...

    def lost(self, segment: Segment) -> None: ...


def sweep(
    folder: Path, committed: Committed, newest: str, limits: Limits, holders: Sequence[Holder], now: float
) -> None:
    """Delete what is too old or too much.

    Args:
        newest: The segment that may be open; it stays.
        now: Unix seconds.
    """
    known = committed.segments()
    excess = sum(segment.end for segment in known) - limits.total_bytes
    for segment in known:
        if segment.name == newest:
            continue
        too_old = segment.newest < now - limits.age_s
        if not (excess > 0 or too_old) or any(holder.holds(segment) for holder in holders):
            continue
        for holder in holders:
            holder.lost(segment)
        excess -= segment.end
        committed.forget(segment.name)
        with contextlib.suppress(OSError):
            (folder / segment.name).unlink()
    _delete_unknown(folder, committed, newest)


def _delete_unknown(folder: Path, committed: Committed, newest: str) -> None:
    """Segments without a whole frame, and of older formats."""
    names = {segment.name for segment in committed.segments()}
    for path in segment_paths(folder):
        if path.name not in names and path.name < newest:
            with contextlib.suppress(OSError):
                path.unlink()
