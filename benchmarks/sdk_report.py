"""The figures of the SDK's benchmark as tables for people, out of build/bench/sdk.json.

python benchmarks/sdk_report.py                       the tables in Markdown
python benchmarks/sdk_report.py docs/benchmarks.md    the same, written between the marks in that page
"""

import json
import sys
from pathlib import Path
from typing import Final

from report_page import put

FILE: Final = Path("build/bench/sdk.json")
BEGIN: Final = "<!-- made by benchmarks/sdk_report.py -->"
END: Final = "<!-- end of the SDK's figures -->"
SPAN: Final = "of an OpenTelemetry span"
OURS: Final = "of our "

Figures = dict[str, dict[str, float]]  # by case, then by figure


def markdown(file: Path = FILE) -> str:
    """Three tables: ours, other libraries, imports."""
    known = json.loads(file.read_text())
    ours, others, imports = Figures(), Figures(), Figures()
    compared = {row["case"] for row in known["rows"] if row["metric"].startswith(OURS)}
    for row in known["rows"]:
        if row["case"].startswith("bare "):
            continue  # what the others are measured over
        theirs = row["case"] in compared
        table = imports if row["unit"] == "s" else others if theirs else ours
        table.setdefault(row["case"], {})[row["metric"]] = row["value"]
    lines = [f"Measured on {known['machine']}.", "", "| case | µs a call (a chunk) | of a bare OpenTelemetry span |"]
    lines += ["|---|---:|---:|", *(f"| {case} | {_over(found)} | {_of(found, SPAN)} |" for case, found in ours.items())]
    lines += ["", "| other libraries | µs a call | of a bare OpenTelemetry span | beside ours, in the same rounds |"]
    lines += ["|---|---:|---:|---|"]
    lines += [f"| {case} | {_over(f)} | {_of(f, SPAN)} | {_beside(f)} |" for case, f in others.items()]
    lines += ["", "| | CPU seconds |", "|---|---:|"]
    lines += [f"| `{case}` | {found['cpu']:.2f} |" for case, found in imports.items()]
    return "\n".join(lines) + "\n"


def _over(found: dict[str, float]) -> str:
    over = next(value for metric, value in found.items() if metric.startswith("cpu over"))
    return f"{over:.2f}" if over < 10 else f"{over:,.0f}"


def _of(found: dict[str, float], metric: str) -> str:
    return f"{found[metric]:.2f}" if metric in found else ""


def _beside(found: dict[str, float]) -> str:
    """As "3.1 of: guard with a deadline"."""
    return next(f"{value:.2f} × {metric[len(OURS) :]}" for metric, value in found.items() if metric.startswith(OURS))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        put(Path(sys.argv[1]), BEGIN, END, markdown())
    else:
        print(markdown())  # noqa: T201
