"""Small recorded sets of other shapes than those that the project was developed on, in the normalised form."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = 1_800_000_000


def write_faults(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "faults.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def fault_row(
    start: float, end: float, service: str, kind: str = "cpu_contention", case: str = "a"
) -> dict[str, object]:
    return {
        "case": case, "start": START + start, "end": START + end, "root_cause_service": service, "fault_type": kind,
    }  # fmt: skip


def metrics_only(folder: Path, *, step_s: int, services: int, points: int, fault: tuple[int, int]) -> Path:
    """Levels of processor and memory; the last service runs hot from one point to another."""
    rng = np.random.default_rng(5)
    names = [f"service-{number}" for number in range(services)]
    ts = np.repeat(START + step_s * np.arange(points), services)
    service = np.tile(names, points)
    cpu = rng.normal(40, 2, points * services)
    hot = (service == names[-1]) & (ts >= START + step_s * fault[0]) & (ts < START + step_s * fault[1])
    cpu[hot] += 55
    memory = rng.normal(500, 5, points * services)
    table = pa.table(
        {
            "value": np.concatenate([cpu, memory]),
            "metric": ["cpu_percent"] * len(ts) + ["memory_mib"] * len(ts),
            "ts": np.concatenate([ts, ts]),
            "service": np.concatenate([service, service]),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "metrics.parquet")
    return write_faults(folder, [fault_row(step_s * fault[0], step_s * fault[1], names[-1])])


def spans_only(
    folder: Path,
    *,
    seconds: int,
    fault: tuple[int, int],
    faults: list[dict[str, object]] | None = None,
    first_s: int = 0,
) -> Path:
    """shop -> cart -> stock, two requests a second; from one second to another most calls of stock fail."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, object]] = []
    for number in range(2 * seconds):
        begun = START + first_s + number / 2 + rng.uniform(0, 0.4)
        failed = fault[0] <= begun - START - first_s < fault[1] and rng.random() < 0.8
        length = float(rng.lognormal(np.log(0.02), 0.2))
        chain = (("shop", "SERVER"), ("shop", "CLIENT"), ("cart", "SERVER"), ("cart", "CLIENT"), ("stock", "SERVER"))
        for depth, (service, kind) in enumerate(chain):
            rows.append(
                {
                    "trace_id": f"t-{number}",
                    "span_id": f"{number}-{depth}",
                    "parent_id": f"{number}-{depth - 1}" if depth else "",
                    "service": service,
                    "name": "GET /" if kind == "SERVER" else f"call {chain[depth + 1][0]}",
                    "kind": kind,
                    "start_unix_ns": int((begun + 0.001 * depth) * 1e9),
                    "duration_ns": int((length + 0.002 * (len(chain) - depth)) * 1e9),
                    "status": "error" if failed else "ok",
                }
            )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "spans.parquet")
    return write_faults(folder, faults or [fault_row(*fault, "stock", "exception")])


def alerts_only(folder: Path, cases: int = 6) -> Path:
    """The sick component alerts in a way of its own, everybody else in the usual ways."""
    faults, alerts = [], []
    for number in range(cases):
        sick = f"node{number % 3}"
        faults.append(fault_row(3600 * number, 3600 * number + 300, sick, "memory_anomalies", f"case-{number}"))
        for component in ("node0", "node1", "node2", "front"):
            alerts.append({"component": component, "signal": "cpu_pct", "kind": "up"})
        alerts += [{"component": sick, "signal": "memory_pct", "kind": "up"}] * 2
        for alert in alerts[-6:]:
            alert |= {"case": f"case-{number}", "ts_ms": 1000 * (START + 3600 * number), "modality": "metric"}
            alert |= {"peer": "", "count": 1}
    write_faults(folder, faults)
    pq.write_table(pa.Table.from_pylist([dict(alert) for alert in alerts]), folder / "alerts.parquet")
    return folder
