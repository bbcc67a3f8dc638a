"""The figures of the ingest benchmark: build/bench/ingest.json, and the tables for people.

    python benchmarks/ingest_report.py                       the tables in Markdown
    python benchmarks/ingest_report.py docs/benchmarks.md    the same, written between the marks in that page

A figure with `peer` is that of another project.
"""

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from report_page import put

FILE: Final = Path("build/bench/ingest.json")
_BEGIN: Final = "<!-- made by benchmarks/ingest_report.py -->"
_END: Final = "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, in the form that all benchmarks share."""

    case: str
    metric: str
    value: float
    unit: str
    peer: bool = False


def spread(case: str, metric: str, values: list[float], unit: str, *, peer: bool = False, digits: int = 0) -> list[Row]:
    """The median of some rounds, the lowest and the highest."""
    named = {metric: median(values), f"{metric}, lowest": min(values), f"{metric}, highest": max(values)}
    return [Row(case, name, round(value, digits), unit, peer) for name, value in named.items()]


def write(rows: Iterable[Row], file: Path = FILE) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")


def markdown(file: Path = FILE) -> str:
    """A table of the comparison, and one line a figure for the rest."""
    known = json.loads(file.read_text())
    rows = [Row(**row) for row in known["rows"]]
    compared = [row for row in rows if row.case.endswith((", HTTP", ", gRPC", "alone"))]
    lines = [f"Measured on {known['machine']}.", "", *(_comparison(compared) if compared else []), ""]
    others = [row for row in rows if row not in compared]
    lines += ["| case | figure | value |", "| --- | --- | ---: |"] if others else []
    lines += [f"| {row.case} | {row.metric} | {row.value:,g} {row.unit} |" for row in others]
    return "\n".join(lines) + "\n"


def _comparison(rows: list[Row]) -> list[str]:
    of = {(row.case, row.metric): row.value for row in rows}
    ratios = list(
        dict.fromkeys(
            row.metric
            for row in rows
            if row.metric.startswith("of ") and not row.metric.endswith(("lowest", "highest"))
        )
    )
    lines = [
        f"| engine | spans per CPU-second | lowest to highest | {' | '.join(ratios)} | peak memory, MiB |",
        f"| --- | ---: | ---: | {' | '.join('---:' for _ in ratios)} | ---: |",
    ]
    rate = "spans per CPU-second"
    for case in dict.fromkeys(row.case for row in rows):
        span = f"{of[case, f'{rate}, lowest']:,.0f} to {of[case, f'{rate}, highest']:,.0f}"
        shares = " | ".join(f"{of[case, name]:.2f}" if (case, name) in of else "" for name in ratios)
        peak = of.get((case, "peak resident memory"))
        lines.append(
            f"| {case} | {of[case, rate]:,.0f} | {span} | {shares} | {'' if peak is None else f'{peak:,.0f}'} |"
        )
    return lines


if __name__ == "__main__":
    if len(sys.argv) > 1:
        put(Path(sys.argv[1]), _BEGIN, _END, markdown())
    else:
        print(markdown())  # noqa: T201
