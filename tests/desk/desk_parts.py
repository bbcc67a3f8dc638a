"""Parts for the tests of the desk: a clock moved by hand, windows, and judges that say what a test tells them."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from paramedic.contract.command import Ack, AckState, ActionKind, Target
from paramedic_collector.windows import KEYS, SCHEMAS, SeriesKey, WindowBatch
from paramedic_detector.commands import CommandHub
from paramedic_detector.desk import Desk
from paramedic_detector.engine.engine import Engine
from paramedic_detector.engine.parts import Judges, Parts, Timing
from paramedic_detector.evidence import Vitals
from paramedic_detector.incidents.grouping import Grouper
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.store.database import connect
from paramedic_detector.store.incidents import Case, case_of, timeline
from paramedic_detector.store.store import Store
from paramedic_detector.values import (
    ActionSpec,
    Alert,
    Decision,
    Diagnosis,
    Mode,
    Outcome,
    Ratio,
    Reason,
    Signal,
    Suspect,
    Verdict,
)

MASTER = "0123456789abcdef" * 4
START = 1_800_000_000.0
AURORA = Target(peer="aurora")
FAILOVER = ActionSpec(kind=ActionKind.FAILOVER, service="support-bot", target=AURORA, ttl_s=30.0)
TRIP = ActionSpec(kind=ActionKind.TRIP_BREAKER, service="support-bot", target=AURORA, ttl_s=30.0)
OUTAGE = Diagnosis(
    fault_class="provider_outage",
    probability=0.95,
    classes={"provider_outage": 0.95},
    suspects=(Suspect(AURORA, "provider", 0.95, ("48 % of calls fail",)),),
    summary="aurora answers 503 to 48 % of calls",
)


class Clock:
    """Unix seconds, moved by hand."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def windows(ts: int, *, users: int = 10, hurt: int = 0, failing: int = 0) -> WindowBatch:
    """A second of the demo: users -> front-door -> support-bot -> aurora."""
    op = [("front-door", "POST /chat", "server", "", "eu-1a", "", "1.0", users, hurt)]
    edges = [("front-door", "support-bot", "eu-1a", users, hurt), ("support-bot", "aurora", "", users, failing)]
    tables = {"op": rows("op", ts, op), "edge": rows("edge", ts, edges)}
    return WindowBatch(collector="c1", sequence=ts, watermark=ts + 1, tables=tables)


Probes = Mapping[str, tuple[int, int]]  # by callee: how many of its calls are probes, and how many of those fail


def rows(family: str, ts: int, wanted: Sequence[tuple[object, ...]], probes: Probes | None = None) -> pa.RecordBatch:
    """Windows of one second: the parts of the key, then calls and failed calls."""
    schema = SCHEMAS[family]
    full = [_row(family, ts, row, probes or {}) for row in wanted]
    return pa.RecordBatch.from_pylist([{name: row.get(name) for name in schema.names} for row in full], schema=schema)


def _row(family: str, ts: int, row: tuple[object, ...], probes: Probes) -> dict[str, object]:
    *parts, count, bad = row
    key = dict(zip(KEYS[family], parts, strict=True))
    probing, failing = probes.get(str(key.get("callee", "")), (0, 0))
    return {
        "ts": ts,
        **key,
        "count": count,
        "errors": [{"key": "503", "count": bad}] if bad else [],
        "refused": [],
        "probes": probing,
        "probe_errors": failing,
        "useless": [],
        "duration": {"scale": 3, "zero": 0, "sum": 0.1, "index": [-20], "count": [count]},
        "exemplars": [],
    }


def alert(at: float, *, callee: str = "aurora", score: float = 20.0, signal: Signal = Signal.ERRORS) -> Alert:
    return Alert(
        key=SeriesKey("edge", ("support-bot", callee, "")),
        signal=signal,
        at=at,
        onset=at - 2,
        score=score,
        value=0.48,
        usual=0.001,
        unit="ratio",
        calls=42,
        hurt=0.48,
        explanation=f"48 % of 42 calls to {callee} failed (usual 0.1 %)",
    )


class ScriptedScorer:
    """Finds abnormal what the test says, anew each round."""

    def __init__(self) -> None:
        self.abnormal: list[Alert] = []
        self.rounds = 0
        self.frozen: frozenset[SeriesKey] = frozenset()

    def score(self, table: SeriesTable, now: float, frozen: frozenset[SeriesKey]) -> list[Alert]:
        self.rounds, self.frozen = self.rounds + 1, frozen
        return [replace(one, at=now) for one in self.abnormal]

    def checkpoint(self) -> bytes:
        return b"scripted"


class ScriptedRules:
    def __init__(self) -> None:
        self.fires: list[str] = []
        self.fired_at_once = 0

    def evaluate(self, table: SeriesTable, now: float) -> list[str]:
        fired, self.fires = self.fires, []
        return fired


class ScriptedDiagnoser:
    def __init__(self, diagnosis: Diagnosis = OUTAGE) -> None:
        self.says = diagnosis
        self.past: object = None  # what it was told of earlier incidents

    def diagnose(
        self, alerts: object, table: object, topology: object, now: float, onset: float, past: object = ()
    ) -> Diagnosis:
        self.past = past
        return self.says


class ScriptedPolicy:
    """Treatments in order of preference; what was tried is not chosen again."""

    def __init__(self) -> None:
        self.mode, self.reason = Mode.ACT, Reason.CONFIDENT
        self.treatments: list[tuple[ActionSpec, ...]] = [(FAILOVER,), (TRIP,)]
        self.asked_with: list[tuple[list[ActionSpec], list[ActionSpec], bool]] = []

    def decide(
        self,
        diagnosis: Diagnosis,
        topology: object,
        tried: Sequence[ActionSpec],
        running: Sequence[ActionSpec],
        commandable: frozenset[str],
        stopped: bool,
        now: float,
    ) -> Decision:
        self.asked_with.append((list(tried), list(running), stopped))
        if stopped:
            return Decision(Mode.TELL, Reason.STOPPED, "r")
        if self.mode == Mode.TELL:
            return Decision(Mode.TELL, self.reason, "r")
        left = [t for t in self.treatments if not any(spec in tried for spec in t)]
        if not left:
            return Decision(Mode.TELL, Reason.EXHAUSTED, "r")
        return Decision(self.mode, self.reason, "r", left[0], "because the test says so")


class ScriptedVerdict:
    def __init__(self) -> None:
        self.outcome, self.recovered = Outcome.UNDECIDED, False
        self.asked_from: list[float] = []

    def __call__(
        self, spec: ActionSpec, applied_at: float, onset: float, table: object, topology: object, now: float
    ) -> Verdict:
        self.asked_from.append(applied_at)
        return Verdict(
            self.outcome, now, Ratio(52, 100), Ratio(99, 100), Ratio(4, 10), "99 % of calls succeed", self.recovered
        )


class Recorder:
    """A flight recorder with the spans that a test puts there."""

    def __init__(self) -> None:
        self.spans: dict[str, list[object]] = {}

    def traces(self, trace_ids: list[str]) -> dict[str, list[object]]:
        return {trace_id: list(self.spans[trace_id]) for trace_id in trace_ids if trace_id in self.spans}


@cache
def migrated_database() -> Path:
    """An empty store; migrating one for each test would take longer than the tests."""
    path = Path(tempfile.mkdtemp(prefix="paramedic-")) / "empty.db"
    store = Store(connect(f"sqlite:///{path}"))
    store.start()
    store.close()
    return path


class Room:
    """An engine on a database file, with everything around it scripted; `restarted()` is what a kill -9 leaves."""

    def __init__(
        self, path: Path, clock: Clock, *, endpoints: tuple[str, ...] = (), judges: "Room | None" = None
    ) -> None:
        self.path, self.clock = path, clock
        self.scorer = judges.scorer if judges else ScriptedScorer()
        self.rules = judges.rules if judges else ScriptedRules()
        self.diagnoser = judges.diagnoser if judges else ScriptedDiagnoser()
        self.policy = judges.policy if judges else ScriptedPolicy()
        self.verdict = judges.verdict if judges else ScriptedVerdict()
        if not path.exists():
            shutil.copy(migrated_database(), path)
        self.store = Store(connect(f"sqlite:///{path}", busy_timeout_s=0.05))
        self.hub = CommandHub(MASTER, clock)
        self.recorder = Recorder()
        self.ids = iter(range(10_000))
        self.parts = Parts(
            vitals=Vitals(SeriesTable()),
            judges=Judges(self.scorer, self.rules, Grouper(), self.diagnoser, self.policy, self.verdict),
            store=self.store,
            hub=self.hub,
            recorder=self.recorder,
            timing=Timing(),
            new_id=lambda: f"{id(self):x}-{next(self.ids)}",
            public_url="http://paramedic.example",
            endpoints=endpoints,
        )
        self.engine = Engine(self.parts, clock)
        self.engine.resume()
        self.desk = Desk(self.store, self.hub, clock)

    def restarted(self) -> "Room":
        return Room(self.path, self.clock, endpoints=self.parts.endpoints, judges=self)

    def tick(self, seconds: float = 1.0, *, times: int = 1, hurt: int = 0) -> None:
        """Let time pass, with windows for each second."""
        for _ in range(times):
            self.clock.sleep(seconds)
            self.engine.tick((windows(int(self.clock.now) - 1, hurt=hurt),))

    def fault(self, *alerts: Alert) -> None:
        self.scorer.abnormal = list(alerts) or [alert(self.clock.now)]

    def heal(self) -> None:
        self.scorer.abnormal = []

    def case(self, number: int = 1) -> Case:
        with self.store.reading() as session:
            found = case_of(session, number)
        assert found is not None, f"there is no INC-{number}"
        return found

    def story(self, number: int = 1) -> list[str]:
        with self.store.reading() as session:
            return [event.text for event in timeline(session, number)]

    def states(self, number: int = 1) -> list[str]:
        return [action.state for action in self.case(number).actions]

    def answer(self, state: AckState = AckState.APPLIED, *, instance: str = "bot-1", reason: str = "") -> None:
        """What a bot that listens says to everything in force."""
        for live in self.hub.live().values():
            command = live.command
            self.hub.take_acks(
                [Ack(command.id, command.version, command.service, instance, state, self.clock.now, reason)]
            )

    def treat(self, outcome: Outcome = Outcome.VERIFIED) -> None:
        """From a fault to a treatment that the verdict calls `outcome`."""
        self.fault()
        self.tick()
        self.answer()
        self.tick()
        self.verdict.outcome = outcome
        self.tick(times=2)
