"""Which faults levels show, after how long, how often they alert without one; and how early drifts are told.

    python benchmarks/bench_levels.py [--steps 1,15,60,300] [--seeds 1,2] [--json build/bench/levels.json]

Systems of `levels_sets.py`, replayed through the table as recorded metrics are. A fault is found when an alert that may
open an incident begins in [start, end + 60 s]; everything else that begins is false. The series of an alert are held,
as by an open incident.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from levels_sets import System, system

from paramedic_collector.windows import SCHEMAS, WindowBatch
from paramedic_detector.scores.drift import SCALES_S, Drifts
from paramedic_detector.scores.levels import Levels
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

SIZES = {1: (2.0, 8, 0.25, 0.3), 15: (8.0, 20, 0.4, 0.4), 60: (24.0, 20, 0.6, 0.5), 300: (96.0, 15, 3.0, 2.0)}
OPENS = 5.0
APART_S = 60.0  # alerts that are further apart are two


def batches(one: System) -> Iterator[WindowBatch]:
    """One batch a moment."""
    names = list(one.values)
    service, metric = (pa.array([name[part] for name in names]) for part in (0, 1))
    grid, schema, count = np.stack([one.values[name] for name in names]), SCHEMAS["gauge"], len(names)
    step_s = int(one.at[1] - one.at[0])
    for place, ts in enumerate(one.at):
        value = pa.array(grid[:, place])
        ones, nothing = pa.array(np.ones(count, np.int64)), pa.nulls(count, schema.field("distribution").type)
        columns = [pa.array(np.full(count, ts)), service, service, metric, ones, value, value, value, nothing]
        rows = pa.RecordBatch.from_arrays(columns, schema=schema)
        yield WindowBatch("bench", place, int(ts) + step_s, {"gauge": rows})


def openings(one: System) -> list[tuple[float, str]]:
    """When alerts began that may open an incident, and of which service the strongest was."""
    table, levels, found, last = SeriesTable(), Levels(), [], -1e9
    held_until: dict[int, float] = {}
    for batch in batches(one):
        start = table.watermark or batch.watermark
        table.add(batch)
        for now in range(start, batch.watermark, 5):
            held = np.zeros(table.size, bool)
            held[[number for number, until in held_until.items() if until >= now]] = True
            alerts = [a for a in levels.score(table, now, held) if a.signal is Signal.GAUGE and a.score >= OPENS]
            if alerts and now - last > max(APART_S, 2.5 * (one.at[1] - one.at[0])):
                found.append((float(now), alerts[0].key.parts[0]))
            last = now if alerts else last
            held_until.update({number: now + 10 for a in alerts if (number := table.number(a.key)) is not None})
    return found


def scorecard(one: System) -> dict[str, float | int | None]:
    """Found, false, delays."""
    opened, step_s = openings(one), int(one.at[1] - one.at[0])
    delays, right = [], 0
    for fault in one.faults:
        hits = [(at, who) for at, who in opened if fault.start <= at <= fault.end + max(60, step_s)]
        if hits:
            delays.append(hits[0][0] - fault.start)
            right += hits[0][1] == f"s{fault.service}"
    during = [(fault.start, fault.end + max(300, 2.5 * step_s)) for fault in one.faults]
    false = sum(not any(start <= at <= end for start, end in during) for at, _ in opened)
    hours = float(one.at[-1] - one.at[0]) / 3600
    return {
        "faults": len(one.faults), "found": len(delays), "right_service": right,
        "delay_s_p50": round(median(delays), 1) if delays else None, "false": false, "hours": round(hours, 1),
    }  # fmt: skip


def drifts(seeds: int) -> dict[str, float | int | None]:
    """Leaks that end in 40 to 300 minutes, and as many walks without one."""
    rng, ahead, off, inside, told, false = np.random.default_rng(1), [], [], [], 0, 0
    for _ in range(seeds):
        length_s, noise = rng.uniform(40, 300) * 60, rng.uniform(0.2, 2.0)
        leak, walk, walked, first = Drifts(), Drifts(), 50.0, None
        leak.follow(1)
        walk.follow(1)
        claimed = False
        for second in range(0, int(length_s), SCALES_S[0]):
            walked = 50 + 0.98 * (walked - 50) + rng.normal(0, noise / 3)
            level = 30 + 60 * second / length_s + rng.normal(0, noise)
            leak.add(np.array([0]), np.array([level]), second + 1)
            walk.add(np.array([0]), np.array([walked]), second + 1)
            found = leak.judge(np.array([90.0]), np.array([True]), second)
            claimed |= any(one.left_s for one in walk.judge(np.array([90.0]), np.array([True]), second))
            if first is None and found and found[0].left_s is not None:
                first = found[0]
                left_s = length_s - second
                ahead.append(left_s / 60)
                off.append(abs(first.left_s - left_s) / left_s)
                inside.append((first.soonest_s or 0) <= left_s <= (first.latest_s or 0))
        told, false = told + (first is not None), false + claimed
    return {
        "leaks": seeds, "told": told, "walks_told": false,
        "precision": round(told / max(1, told + false), 3),
        "minutes_ahead_p50": round(median(ahead), 1), "minutes_ahead_least": round(min(ahead), 1),
        "first_claim_off_p50": round(median(off), 3), "end_within_claimed_range": round(float(np.mean(inside)), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", default="60")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--leaks", type=int, default=60)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for step_s in map(int, args.steps.split(",")):
        hours, services, every_h, first_h = SIZES[step_s]
        for seed in map(int, args.seeds.split(",")):
            for every in (None, every_h):
                one = system(seed, step_s=step_s, hours=hours, services=services, every_h=every, first_h=first_h)
                rows.append({"step_s": step_s, "seed": seed, "series": len(one.values), **scorecard(one)})
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
    prospects = drifts(args.leaks)
    sys.stdout.write(json.dumps(prospects) + "\n")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": platform.platform(), "rows": rows, "drifts": prospects}, indent=1))


if __name__ == "__main__":
    main()
