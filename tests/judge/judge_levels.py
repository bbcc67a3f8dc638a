"""Metrics of a made-up system, with faults whose truth is known; a replay of them through a table."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from judge_rows import batch, row
from numpy.typing import NDArray

from paramedic_collector.windows import SCHEMAS, SeriesKey, WindowBatch
from paramedic_detector.scores.levels import Levels
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Signal

OPENS = 5.0  # of an alert that may open an incident
START = 1_700_000_000 // 86_400 * 86_400


class Sets:
    """Some services that say some metrics.

    Args:
        step_s: Seconds between two points.
    """

    def __init__(self, seed: int, *, services: int = 4, minutes: float = 60, step_s: int = 60) -> None:
        self.rng = np.random.default_rng(seed)
        self.services = [f"svc-{number}" for number in range(services)]
        self.at = START + np.arange(0, int(minutes * 60), step_s)
        self.values: dict[tuple[str, str], NDArray[np.float64]] = {}

    def minute(self, minute: float) -> float:
        return START + 60 * minute

    def add(self, metric: str, *, level: float, noise: float) -> None:
        """A lognormal level of every service, each with its own middle."""
        for service in self.services:
            middle = level * np.exp(self.rng.normal(0, 0.3))
            self.values[service, metric] = middle * np.exp(self.rng.normal(0, noise, len(self.at)))

    def put(self, service: str, metric: str, values: NDArray[np.float64]) -> None:
        self.values[service, metric] = values

    def fault(self, service: str, metric: str, *, at_min: float, until_min: float, times: float) -> None:
        during = (self.at >= self.minute(at_min)) & (self.at < self.minute(until_min))
        self.values[service, metric] = np.where(during, times, 1.0) * self.values[service, metric]

    def batches(self) -> Iterator[WindowBatch]:
        names = list(self.values)
        grid = np.stack([self.values[name] for name in names])
        schema = SCHEMAS["gauge"]
        for place, ts in enumerate(self.at):
            said = np.flatnonzero(np.isfinite(grid[:, place]))
            value = pa.array(grid[said, place])
            columns = [
                pa.array(np.full(len(said), ts)),
                pa.array([names[row][0] for row in said]),
                pa.array([names[row][0] + "-0" for row in said]),
                pa.array([names[row][1] for row in said]),
                pa.array(np.ones(len(said), np.int64)),
                value,
                value,
                value,
                pa.nulls(len(said), schema.field("distribution").type),
            ]
            rows = pa.RecordBatch.from_arrays(columns, schema=schema)
            upto = int(self.at[place + 1]) if place + 1 < len(self.at) else int(ts) + 60
            yield WindowBatch("recorded", place, upto, {"gauge": rows})


def replayed(sets: Sets, table: SeriesTable, every_s: int = 10) -> Iterator[float]:
    """Moments at which to score, each with everything before it in the table."""
    for one in sets.batches():
        start = (table.watermark or one.watermark - every_s) // every_s * every_s
        table.add(one)
        yield from (float(now) for now in range(start + every_s, one.watermark + 1, every_s))


def scored(sets: Sets, *, every_s: int = 10, calls: Sequence[SeriesKey] = ()) -> list[Alert]:
    """The alerts that may open an incident, at every step."""
    found = alerts_of(sets, every_s, calls)
    return [alert for alert in found if alert.score >= OPENS and alert.signal is Signal.GAUGE]


def alerts_of(sets: Sets, every_s: int = 10, calls: Sequence[SeriesKey] = ()) -> list[Alert]:
    """Every alert at every step; a series is held while it alerts, as by an open incident.

    Args:
        calls: Series that count one call at the beginning: so much is known of these services.
    """
    table, levels, found = SeriesTable(), Levels(), []
    if calls:
        table.add(batch([row(key, START, 1) for key in calls], START))
    held_until: dict[int, float] = {}
    for now in replayed(sets, table, every_s):
        held = np.zeros(table.size, bool)
        held[[number for number, until in held_until.items() if until >= now]] = True
        alerts = levels.score(table, now, held)
        for alert in alerts:
            number = table.number(alert.key)
            assert number is not None
            if alert.score >= OPENS:
                held_until[number] = now + 10
        found += alerts
    return found
