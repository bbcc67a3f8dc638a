"""The embedded collector: the one place where its parts are put together.

gRPC 4317 --+                                        +--> Forwarder --> the team's own backends
            +--> Intake --> Recorder (on disk, then acknowledged) <-- traces(ids)
HTTP 4318 --+       |
                    +--queue--> FoldThread: Windower --every 0.5 s--> Bus
"""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from paramedic_collector.bus import Bus, InProcessBus
from paramedic_collector.config.model import CollectorConfig
from paramedic_collector.counted import Counted
from paramedic_collector.counters import Counters
from paramedic_collector.flows import Flows
from paramedic_collector.fold_thread import FoldThread
from paramedic_collector.forward.forwarder import Forwarder
from paramedic_collector.intake import Intake
from paramedic_collector.join import Join
from paramedic_collector.memory import Memory, few_arenas, resident_bytes
from paramedic_collector.prices import Prices
from paramedic_collector.process.filter import Filter
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.receive.build import least_room, receivers_of
from paramedic_collector.receive.http_app import Page
from paramedic_collector.receive.room import Room
from paramedic_collector.record.recorder import Limits, Recorder
from paramedic_collector.record.replay import Past
from paramedic_collector.redact import Redactor
from paramedic_collector.tables import Tables
from paramedic_collector.warm_up import warm_up
from paramedic_collector.windower import Windower
from paramedic_collector.windows import Resume

REPLAY_S: Final = 300.0  # what is folded after a restart for a consumer that knows nothing
_JOIN_WAIT_S: Final = 1.0  # after a parent came, its last children may come
_JOIN_KEEP_S: Final = 120.0  # that children wait for their parent
_SERIES_LIMIT: Final = 100_000
_KEEP_NAMES_S: Final = 600.0
_TRACE_ID: Final = re.compile("[0-9a-fA-F]{32}")


class Collector:
    """Takes OTLP in and gives windows out, between `start` and `stop`.

    Args:
        config: What to listen on and what to do with each signal.
        bus: Where window batches go.
        data_dir: The flight recorder's folder is made in it.
        clock: Unix seconds.
        name: What its batches call it. By default that of the host on which `data_dir` was first used: a container
            may get another name each time, and its consumer must know it again.
        resume: How far the consumer of its windows had come; None when it knows nothing.
        replay_s: For a consumer that knows nothing, the age up to which recorded telemetry is folded.
        series_limit: Most series a family; more share one overflow series.
        limits: How much the flight recorder keeps.
        prices: Of models, for calls that do not say what they cost; None for those that come with paramedic.

    Raises:
        RecorderBusy: Another collector records to the same `data_dir`.
    """

    def __init__(
        self,
        config: CollectorConfig,
        bus: Bus,
        data_dir: Path,
        clock: Callable[[], float] = time.time,
        *,
        name: str = "",
        resume: Resume | None = None,
        replay_s: float = REPLAY_S,
        series_limit: int = _SERIES_LIMIT,
        limits: Limits | None = None,
        prices: Prices | None = None,
    ) -> None:
        self.addresses: dict[str, Endpoint] = {}  # once started, as they really are: "grpc", "http", "health"
        self.name = name or _name_in(Path(data_dir))
        self.resume = resume  # may be set until `start`
        self._config, self._clock, self._replay_s = config, clock, replay_s
        self._counters = Counters()
        self.recorder = Recorder(Path(data_dir) / "recorder", limits, clock=clock)
        self._earlier = self.recorder.committed.segments()
        few_arenas()
        self._memory = Memory(config.memory_bytes, config.memory_spike_bytes)
        most = config.memory_bytes  # until `start` shares out what is left
        redactor = Redactor(keep_content=config.keep_content)
        self.intake = Intake(
            self.recorder, redactor, self._counters, limit_bytes=most, memory_full=self._memory.why_full
        )
        tables = Tables(limit=series_limit, keep_s=_KEEP_NAMES_S, clock=time.monotonic, prices=prices)
        join = self._join = Join(tables, wait_s=_JOIN_WAIT_S, keep_s=_JOIN_KEEP_S, limit_bytes=most)
        flows = Flows(tables)
        self._windower = Windower(self.name, tables, join, self._counters, wait_s=_JOIN_WAIT_S, flows=flows)
        counted = Counted(config.pipelines)
        self._fold = FoldThread(self.intake, counted, self._windower, bus, self.recorder, self._counters, clock)
        self._forwarder = Forwarder(config.pipelines, self.recorder, self._counters, clock=clock)
        room = self._room = Room(most)
        self._receivers = receivers_of(config, self.intake, self._pages(), self._health_page(), room, self._counters)
        self._started_at = clock()
        self._add_gauges(tables, join, flows, bus)

    @property
    def counters(self) -> dict[str, float]:
        """Every counter and gauge by name."""
        return self._counters.as_dict()

    @property
    def ready(self) -> bool:
        """Whether it takes telemetry in and turns it into windows."""
        return bool(self.addresses) and self._fold.alive

    def start(self) -> None:
        """Begin to listen; what an earlier run left is folded first, beside it.

        Raises:
            AddressInUse: A port is taken; the message names it. Nothing is left running.
        """
        warm_up()
        self._share_memory()
        self._windower.resume(self.resume or Resume())
        self._fold.start(self._past())
        try:
            self._forwarder.start()
            for name, receiver in self._receivers.items():
                self.addresses[name] = receiver.start()
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop listening, fold what was accepted, give it out, close the recorder. May be called twice."""
        self.intake.close()
        for name in list(self.addresses):
            self._receivers[name].stop()
        self.addresses = {}
        self._fold.stop()
        self._forwarder.stop()
        self.recorder.close()

    def keep_traces(self, trace_ids: Collection[str]) -> None:
        """Forward these whatever a `tail_sampling` thinks of them, and those of the last time no longer.

        Args:
            trace_ids: 32 hex digits each; others are ignored.
        """
        if self._config.keep_traces is not None:
            self._config.keep_traces.replace([bytes.fromhex(one) for one in trace_ids if _TRACE_ID.fullmatch(one)])

    def _share_memory(self) -> None:
        shares = self._memory.shares()
        self.intake.limit_bytes, self._join.limit_bytes = shares.queue, shares.join
        self._room.limit_bytes = max(shares.requests, least_room(self._config))

    def _past(self) -> Past:
        return Past(
            self.recorder.folder,
            self._earlier,
            self.resume,
            since=self._clock() - self._replay_s,
            refill_s=self._replay_s,
            join_s=_JOIN_KEEP_S,
        )

    def _pages(self) -> dict[str, Page]:
        plain = "text/plain; charset=utf-8"
        return {
            "/healthz": Page(plain, lambda: (200, "ok\n")),
            "/readyz": self._health_page(),
            "/metrics": Page("text/plain; version=0.0.4; charset=utf-8", lambda: (200, self._counters.text())),
        }

    def _health_page(self) -> Page:
        return Page("application/json", self._health)

    def _health(self) -> tuple[int, str]:
        """In the words of the Collector's `health_check`."""
        status = (200, "Server available") if self.ready else (503, "Server not available")
        since = datetime.fromtimestamp(self._started_at, UTC).isoformat().replace("+00:00", "Z")
        uptime = f"{max(self._clock() - self._started_at, 0.0):.3f}s"
        return status[0], json.dumps({"status": status[1], "upSince": since, "uptime": uptime})

    def _add_gauges(self, tables: Tables, join: Join, flows: Flows, bus: Bus) -> None:
        recorder, gauge = self.recorder, self._counters.gauge
        gauge("otelcol_exporter_queue_size", "Bytes that wait for the fold.", lambda: self.intake.queued_bytes)
        gauge("otelcol_exporter_queue_capacity", "Most bytes that may wait.", lambda: self.intake.limit_bytes)
        gauge("otelcol_process_memory_rss", "Bytes that the process takes up.", resident_bytes)
        if isinstance(bus, InProcessBus):
            gauge("paramedic_bus_dropped_batches", "Windows lost to a slow detector.", lambda: bus.dropped)
        gauge("paramedic_join_bytes", "Spans and children that wait for each other.", lambda: join.kept_bytes)
        gauge("paramedic_join_evicted", "Children whose parent did not come in time.", lambda: join.evicted)
        gauge("paramedic_self_time_unknown", "Spans without a self-time, for that reason.", lambda: join.unknown)
        gauge("paramedic_flow_evicted", "Lines of logs let go before what follows them.", lambda: flows.evicted)
        gauge("paramedic_series_overflow", "Names and series turned away by the limit.", lambda: tables.overflows)
        gauge("paramedic_recorder_degraded", "1 while traces are in memory only.", lambda: recorder.degraded)
        gauge("paramedic_recorder_memory_frames", "Frames the disk refused.", lambda: recorder.degraded_frames)
        gauge("paramedic_recorder_torn_bytes", "Bytes cut off by a crash.", lambda: recorder.torn_bytes)
        gauge("paramedic_recorder_bytes", "Bytes on disk.", lambda: recorder.disk_bytes)
        gauge(
            "paramedic_recorder_commits", "Writes to the disk; each holds all that had come.", lambda: recorder.commits
        )
        gauge("paramedic_duplicate_requests", "Requests sent again and not counted again.", lambda: recorder.duplicates)
        for pipeline in self._config.pipelines:
            for step in pipeline.processors:
                if isinstance(step, Filter):
                    gauge("paramedic_filter_failed", "Conditions of a filter that could not be answered.",
                          partial(getattr, step, "failed"), pipeline=pipeline.name, processor=step.name)  # fmt: skip
        gauge("paramedic_replayed_frames", "Requests of an earlier run that were folded at the start.",
              lambda: self._fold.replayed_frames)  # fmt: skip


def _name_in(data_dir: Path) -> str:
    """The collector's name in its folder; the host's when there is none yet."""
    path, name = data_dir / "collector-name", socket.gethostname()
    try:
        return path.read_text().strip() or name
    except OSError:
        with contextlib.suppress(OSError):  # a disk that refuses writes is the recorder's to tell
            data_dir.mkdir(parents=True, exist_ok=True)
            path.write_text(name + "\n")
        return name
