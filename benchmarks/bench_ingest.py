"""What a span costs the collector, side by side with others; prints tables and writes build/bench/ingest.json.

    python benchmarks/bench_ingest.py [--only compare --only series] [--rounds 5] [--requests 600]

Batches of 512 spans with 12 attributes, all different in ids, times and most values. CPU time is that of the engine's
whole process; the senders are processes of their own, so their cost is not counted.
"""

import argparse
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ingest_cases import overload, series, ticks
from ingest_compare import compare
from ingest_report import FILE, Row, markdown, write

WORK = Path("build/bench")  # on a real disk, as the flight recorder's folder would be


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", action="append", choices=["compare", "series", "overload", "ticks"])
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison")
    parser.add_argument("--requests", type=int, default=600, help="of 512 spans, for each measurement")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of overload; two thirds of it for each half of the ticks"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ingest-", dir=WORK))
    parts: dict[str, Callable[[], list[Row]]] = {
        "compare": lambda: compare(folder, options.rounds, options.requests, dice),
        "series": lambda: series(folder, options.requests),
        "overload": lambda: overload(folder, options.seconds),
        "ticks": lambda: ticks(folder, options.seconds * 2 / 3),
    }
    rows: list[Row] = []
    try:
        for name, measure in parts.items():
            if not options.only or name in options.only:
                rows += measure()
                write(rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{markdown()}\nwritten to {FILE}; `python benchmarks/ingest_report.py` prints it again")  # noqa: T201


if __name__ == "__main__":
    main()
