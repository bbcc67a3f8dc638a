"""Metrics of made-up systems, 17 of each service: with faults whose truth is known, and with what only looks like one.

Healthy traffic has a daily cycle, waves and bursts; processors have spikes and hourly jobs, memory has sawtooths and
walks, errors come in small bursts, tail latencies are heavy; there are running totals, and levels that never move. A
slow callee slows its callers.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

DAY_S: Final = 86_400
START: Final = 1_700_000_000 // DAY_S * DAY_S + 6 * 3600
FAULTS: Final = ("processor", "memory", "disk", "loss", "delay", "code")
Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, where and when; unix seconds."""

    kind: str
    service: int
    start: float
    end: float


@dataclass
class Effects:
    """What faults do to one service, by moment."""

    processor: Line
    memory: Line
    disk: Line
    slower: Line
    later_s: Line
    failing: Line
    sockets: Line

    @classmethod
    def none(cls, n: int) -> "Effects":
        return cls(np.zeros(n), np.ones(n), np.ones(n), np.ones(n), np.zeros(n), np.zeros(n), np.ones(n))

    def add(self, fault: Fault, at: Line, rng: np.random.Generator) -> None:
        """The marks that stress tools, packet filters and bad code leave."""
        during = (at >= fault.start) & (at < fault.end)
        if fault.kind == "processor":
            self.processor[during] += rng.uniform(0.5, 1.0)
            self.slower[during] *= rng.uniform(1.3, 3)
        elif fault.kind == "memory":
            grown = np.clip((at[during] - fault.start) / 90, 0, 1)
            self.memory[during] *= 1 + rng.uniform(0.4, 2) * grown
        elif fault.kind == "disk":
            self.disk[during] *= 1 + rng.uniform(5, 30)
            self.slower[during] *= rng.uniform(1.2, 2)
        elif fault.kind == "loss":
            self.slower[during] *= rng.uniform(2, 8)
            self.failing[during] += rng.uniform(0.02, 0.2)
            self.sockets[during] *= 1.4
        elif fault.kind == "delay":
            self.later_s[during] += rng.uniform(0.1, 0.5)
            self.sockets[during] *= 1.3
        else:
            self.failing[during] += rng.uniform(0.1, 0.6)


@dataclass(frozen=True, slots=True)
class System:
    """Metrics by (service, metric): (moments,) each."""

    at: NDArray[np.int64]
    values: dict[tuple[str, str], Line]
    faults: tuple[Fault, ...]


def system(
    seed: int, *, step_s: int, hours: float, services: int, every_h: float | None, first_h: float = 1.0
) -> System:
    """A system with a fault each `every_h` hours, in turn of each kind; None for none."""
    rng = np.random.default_rng(seed)
    at = START + np.arange(int(hours * 3600 / step_s)) * step_s
    faults = _faults(rng, hours, services, every_h, first_h, 300.0 if step_s < 300 else 1800.0)
    effects = [Effects.none(len(at)) for _ in range(services)]
    for fault in faults:
        effects[fault.service].add(fault, at.astype(np.float64), rng)
    load = _load(rng, at, hours, step_s)
    latency = _latencies(rng, load, effects, step_s)
    values: dict[tuple[str, str], Line] = {}
    for number in range(services):
        for metric, line in _metrics(rng, at, load, effects[number], latency[number], step_s).items():
            values[f"s{number}", metric] = line
    return System(at, values, tuple(faults))


def _faults(
    rng: np.random.Generator, hours: float, services: int, every_h: float | None, first_h: float, typical_s: float
) -> list[Fault]:
    faults, hour = [], first_h
    while every_h and hour * 3600 + typical_s < hours * 3600 - 600:
        start = START + hour * 3600 + rng.uniform(0, 60)
        kind, service = FAULTS[len(faults) % len(FAULTS)], int(rng.integers(0, services))
        faults.append(Fault(kind, service, start, start + typical_s * rng.uniform(0.6, 1.5)))
        hour += every_h * rng.uniform(0.8, 1.3)
    return faults


def _walk(rng: np.random.Generator, n: int, step_s: int, memory_s: float, spread: float) -> Line:
    phi = np.exp(-step_s / memory_s)
    return np.asarray(lfilter([1], [1, -phi], rng.normal(0, spread * np.sqrt(1 - phi**2), n)))


def _spikes(rng: np.random.Generator, n: int, share: float, height: float, points: float) -> Line:
    line = np.zeros(n)
    for at in np.flatnonzero(rng.random(n) < share):
        line[at : at + max(1, int(rng.exponential(points)))] += rng.pareto(2.0) * height
    return line


def _load(rng: np.random.Generator, at: NDArray[np.int64], hours: float, step_s: int) -> Line:
    daily = 0.4 * np.sin(2 * np.pi * (at % DAY_S) / DAY_S - 1.5)
    load = np.exp(daily + _walk(rng, len(at), step_s, 120, 0.12))
    for _ in range(rng.poisson(hours / 8)):
        begin = rng.integers(0, len(at))
        load[begin : begin + int(rng.uniform(120, 900) / step_s) + 1] *= rng.uniform(1.3, 1.8)
    return np.asarray(load)


def _latencies(rng: np.random.Generator, load: Line, effects: list[Effects], step_s: int) -> list[Line]:
    """Seconds; a service waits for the ones that it calls."""
    n, lines = len(load), [np.zeros(len(load)) for _ in effects]
    for number in reversed(range(len(effects))):
        own = np.exp(rng.normal(-4, 1)) * effects[number].slower * (1 + 0.3 * np.clip(load - 1, 0, None))
        jitter = _walk(rng, n, step_s, 120, 0.12) + rng.normal(0, 0.1 if step_s > 5 else 0.25, n)
        lines[number] += own * np.exp(jitter) + effects[number].later_s
        if number:
            lines[int(rng.integers(0, number))] += lines[number] * rng.uniform(0.3, 1)
    return lines


def _metrics(
    rng: np.random.Generator, at: NDArray[np.int64], load: Line, effects: Effects, latency: Line, step_s: int
) -> dict[str, Line]:
    n, hot, seconds = len(at), rng.uniform(0.3, 3), at - START
    wanted = 40 * hot * load * np.exp(rng.normal(0, 0.05, n))
    requests = rng.poisson(wanted * step_s) / step_s
    cpu = 0.02 + 0.002 * wanted * np.exp(_walk(rng, n, step_s, 120, 0.15))
    cpu = (cpu + 0.3 * _spikes(rng, n, step_s / 7200, 0.05, 3)) * np.exp(
        rng.normal(0, 0.15 if step_s < 15 else 0.07, n)
    )
    if rng.random() < 0.1:  # a job each hour
        cpu += np.where((at + int(rng.integers(0, 3600))) % 3600 < rng.uniform(60, 240), 0.3, 0.0)
    memory, shape = rng.uniform(1e8, 1e9), int(rng.integers(0, 3))
    teeth = (seconds / rng.uniform(600, 7200) + rng.random()) % 1
    wave = (0.15 * teeth, 0.02 * _walk(rng, n, step_s, 3000, 1), 0.002 * rng.normal(0, 1, n))[shape]
    disk = np.exp(rng.normal(0, 0.6, n)) * 20e3 * rng.uniform(0.2, 2) + _spikes(rng, n, step_s / 1800, 2e4, 2)
    errors = rng.poisson(requests * step_s * (3e-4 + effects.failing)) + rng.poisson(
        _spikes(rng, n, step_s / 7200, 3, 1)
    )
    return {
        "container_cpu_usage": cpu + effects.processor,
        "container_memory_working_set_bytes": memory * (1 + wave) * effects.memory,
        "container_fs_io": disk * effects.disk,
        "errors_count": errors.astype(np.float64),
        "sockets": np.round(20 * hot * effects.sockets * (0.8 + 0.2 * load) + _walk(rng, n, step_s, 120, 3)),
        "latency_p50": latency,
        "latency_p90": latency * np.exp(0.8 + rng.normal(0, 0.1 if step_s > 5 else 0.3, n)),
        "latency_p99": latency * np.exp(1.6 + 0.3 * np.abs(rng.standard_t(3, n))),
        "network_receive_bytes": wanted * 1200 * np.exp(rng.normal(0, 0.1, n)),
        "network_transmit_bytes": wanted * 8000 * np.exp(rng.normal(0, 0.1, n)) * (1 - 0.5 * effects.failing),
        "requests": requests,
        "requests_total": np.cumsum(requests * step_s),
        "replicas": np.full(n, 3.0),
        "gc_pause": np.exp(rng.normal(-5, 1, n)),
        "heap_used": memory * 0.5 * (0.4 + 0.6 * ((seconds / rng.uniform(60, 300)) % 1)),
        "threads": np.round(50 + _walk(rng, n, step_s, 120, 2)),
        "queue_length": rng.poisson(0.3 * load * hot, n).astype(np.float64),
    }
