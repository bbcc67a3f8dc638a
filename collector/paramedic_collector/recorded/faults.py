"""The truth beside a recorded data set: `faults.csv`, one fault a row."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

_NEEDED: Final = ("start", "root_cause_service", "fault_type")
_OWN: Final = ("case", "start", "end", "root_cause_service", "fault_type")


@dataclass(frozen=True, slots=True)
class RecordedFault:
    """One fault that was there."""

    case: str
    start: float  # unix seconds; NaN when the set does not say, and nothing in time can be measured by it
    end: float  # unix seconds, `start` when the set does not say
    root_cause_service: str  # "" when the set does not say
    fault_type: str
    more: Mapping[str, str]  # the other columns


def read_faults(path: Path, mistakes: list[str]) -> tuple[RecordedFault, ...]:
    """Every fault, in the order of the file."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        missing = [name for name in _NEEDED if name not in columns]
        if missing:
            there = ", ".join(columns) or "none"
            mistakes.append(f"{path.name}: the columns {', '.join(missing)} are missing; there are {there}")
            return ()
        return tuple(_fault(path.name, number, row, mistakes) for number, row in enumerate(reader))


def _fault(file: str, number: int, row: Mapping[str, str | None], mistakes: list[str]) -> RecordedFault:
    case = (row.get("case") or "").strip() or str(number)
    begun = (row.get("start") or "").strip()
    start = _moment(file, number, "start", begun, mistakes) if begun else math.nan
    said = (row.get("end") or "").strip()
    end = _moment(file, number, "end", said, mistakes) if said and said.lower() != "nan" else start
    if end < start:
        mistakes.append(f"{file}: row {number} (case {case}) ends at {said!r}, before it starts at {row['start']!r}")
    more = {key: (value or "") for key, value in row.items() if key and key not in _OWN}
    service, kind = ((row[name] or "").strip() for name in ("root_cause_service", "fault_type"))
    return RecordedFault(case, start, end, service, kind, MappingProxyType(more))


def _moment(file: str, number: int, column: str, value: str | None, mistakes: list[str]) -> float:
    text = (value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _of_date(text)
    if math.isfinite(seconds) and abs(seconds) < 1e11:
        return seconds
    mistakes.append(f"{file}: {column} of row {number} should be unix seconds or a date with a time, it is {text!r}")
    return 0.0


def _of_date(text: str) -> float:
    """A date without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
