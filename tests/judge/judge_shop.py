"""A shop that tells metrics alone: services that call each other, each with levels that callers feel or do not feel."""

import numpy as np
import pyarrow as pa

from paramedic_collector.windows import SCHEMAS, WindowBatch
from paramedic_detector.series.table import SeriesTable

START = 1_700_000_000
METRICS = ("cpu", "mem", "diskio", "socket", "load", "latency_p50", "latency_p90", "error")


class Shop:
    """Metrics of `services` services on a random graph without cycles.

    Args:
        seed: Of graph, traffic and noise.
        step_s: Seconds between two points of a series.
        spikes: Share of all points that are wild, as scrapes and garbage collection make them.
    """

    def __init__(
        self,
        seed: int,
        *,
        services: int = 12,
        step_s: int = 1,
        quiet_s: int = 900,
        fault_s: int = 300,
        spikes: float = 0.0,
    ) -> None:
        rng = self._rng = np.random.default_rng(seed)
        self.names = [f"service-{number:02d}" for number in range(services)]
        self.callers = {
            n: rng.choice(n, size=min(n, int(rng.integers(1, 3))), replace=False) for n in range(1, services)
        }
        self.step_s, self.onset, self._spikes = step_s, START + quiet_s, spikes
        self.now = self.onset + fault_s
        self._times = np.arange(START, self.now, step_s)
        self._usual_cpu = rng.lognormal(-2, 0.7, services)
        self._usual_mem = rng.lognormal(5, 0.8, services)
        self._own_s = rng.lognormal(-5, 0.6, services)

    def table(self, kind: str, root: int, strength: float = 1.0) -> SeriesTable:
        """Everything told up to `now`, with a fault of this kind in one service since the onset."""
        table = SeriesTable(100_000)
        values = self.values(kind, root, strength)
        steps, services, metrics = values.shape
        rows = {
            "ts": np.repeat(self._times, services * metrics),
            "service": np.tile(np.repeat(self.names, metrics), steps),
            "instance": np.full(steps * services * metrics, ""),
            "metric": np.tile(METRICS, steps * services),
            "count": np.ones(steps * services * metrics, np.int64),
            **{name: values.ravel() for name in ("sum", "min", "max")},
        }
        columns = [
            pa.array(rows[field.name], field.type) if field.name in rows else pa.nulls(len(rows["ts"]), field.type)
            for field in SCHEMAS["gauge"]
        ]
        told = pa.RecordBatch.from_arrays(columns, schema=SCHEMAS["gauge"])
        table.add(WindowBatch("test", 0, int(self.now), {"gauge": told}))
        return table

    def values(self, kind: str, root: int, strength: float = 1.0) -> np.ndarray:
        """(steps, services, METRICS)."""
        rng, times = self._rng, self._times
        steps, services = len(times), len(self.names)
        wrong = strength * np.clip((times - self.onset) / 20, 0, 1)  # a fault is in force within seconds

        def noise(sigma: float) -> np.ndarray:
            rough = rng.normal(0, sigma, (steps, services))
            return np.exp(rough / np.sqrt(max(1.0, self.step_s / 5)))

        load = 50 * noise(0.08) * (1 + 0.1 * np.sin(times / 700))[:, None]
        own = self._own_s * noise(0.15)
        lost = 0.002 * noise(0.5)
        cpu, mem = self._usual_cpu * load / 50 * noise(0.1), self._usual_mem * noise(0.004)
        disk, sockets = 20 * noise(0.4), 30 * noise(0.03)
        if kind == "cpu":
            cpu[:, root] += wrong * 0.8
            own[:, root] *= 1 + 2 * wrong
        elif kind == "mem":
            mem[:, root] *= 1 + 0.8 * wrong
        elif kind == "disk":
            disk[:, root] += 400 * wrong
            own[:, root] *= 1 + wrong
        elif kind == "socket":
            sockets[:, root] += 200 * wrong
        elif kind == "delay":
            own[:, root] += 0.3 * wrong
        elif kind == "loss":
            own[:, root] += 0.08 * wrong * (rng.random(steps) < 0.7)
            lost[:, root] += 0.1 * wrong
        whole, failed = own.copy(), lost.copy()
        for callee in range(services - 1, 0, -1):
            for caller in self.callers[callee]:
                whole[:, caller] += whole[:, callee]
                failed[:, caller] += 0.5 * failed[:, callee]
        felt = np.clip(whole[:, 0] / np.median(whole[: self.step_s + 30, 0]), 1, None)
        load /= (felt**0.3)[:, None]  # users who wait ask less
        cpu *= ((1 / felt) ** 0.3)[:, None]
        p90 = whole * (1.6 + 0.3 * noise(0.1))
        values = np.stack([cpu, mem, disk, sockets, load, whole, p90, failed], axis=-1)
        wild = rng.random(values.shape) < self._spikes
        return np.where(wild, values * rng.lognormal(1.0, 0.8, values.shape), values)
