"""The production engine in virtual time: windows in, the incidents that it would have opened out.

    WindowBatch --advance--> one tick a second of the same pipeline --> SeenIncident, alerts, messages counted

Nothing here judges: the stages, the store and the rules are those that run live. No bot listens, so nothing is
treated, and nothing is sent; a message counts when it stands in the outbox.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from paramedic_collector.windows import WindowBatch
from paramedic_detector.commands import CommandHub
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.engine.engine import Engine
from paramedic_detector.engine.parts import Diagnoses, Groups, Judges, Parts, Scores, Tick, Timing
from paramedic_detector.evidence import Vitals
from paramedic_detector.incidents.grouping import Grouper
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.policy import Policy
from paramedic_detector.rules import RuleSet
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.store import outbox
from paramedic_detector.store.database import connect
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.store import Store
from paramedic_detector.values import Alert, Diagnosis
from paramedic_detector.verify import verdict

GAP_S: Final = 300.0  # of a longer time without windows only so much is lived through
ENDPOINT: Final = "counted"


@dataclass(slots=True)
class SeenIncident:
    """One incident of a replay, as its store had it."""

    id: str
    opened_at: float
    onset: float
    title: str = ""
    fingerprints: frozenset[str] = frozenset()
    alerts: dict[str, Alert] = field(default_factory=dict)  # the newest of each fingerprint while it was open
    diagnoses: list[tuple[float, Diagnosis]] = field(default_factory=list)  # when each was made, oldest first
    resolved_at: float | None = None
    notifications: int = 0

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The last one; None when it was never diagnosed."""
        return self.diagnoses[-1][1] if self.diagnoses else None


class NoTraces:
    """A flight recorder of windows alone: there are no spans to show."""

    def traces(self, trace_ids: Iterable[str]) -> dict[str, list[Any]]:
        return {}


class VirtualDesk:
    """A detector whose clock is the data's own; use as a context manager.

    Args:
        start: Unix seconds at which it begins.
        scorer, diagnoser, grouper: The judges; the usual ones when not given.
        rules: The published rule set, counted beside; False leaves it out.
        table: What is known already; an empty one of `history_s` seconds when not given.
        history_s: Seconds that the table keeps.
        judge_every_s: Seconds of virtual time between two ticks.

    Raises:
        ValueError: judge_every_s is not above 0.
    """

    def __init__(
        self,
        start: float,
        *,
        scorer: Scores | None = None,
        diagnoser: Diagnoses | None = None,
        grouper: Groups | None = None,
        rules: bool = True,
        table: SeriesTable | None = None,
        history_s: int = 3600,
        judge_every_s: float = 1.0,
    ) -> None:
        if not judge_every_s > 0:
            raise ValueError(f"judge_every_s must be above 0 seconds, got {judge_every_s!r}")
        self.now = start
        self.incidents: dict[str, SeenIncident] = {}
        self.alerts_log: list[tuple[float, str, float]] = []  # when, fingerprint, score
        self.raw_alerts = 0  # firing transitions of the published rule set
        self._every_s = judge_every_s
        self._folder = TemporaryDirectory(prefix="paramedic-virtual-")
        self._store = Store(connect(f"sqlite:///{Path(self._folder.name) / 'desk.db'}"))
        self._store.start()
        self._vitals = Vitals(table or SeriesTable(history_s))
        judges = Judges(
            scorer or Scorer(),
            RuleSet.load() if rules else _NoRules(),
            grouper or Grouper(),
            diagnoser or Diagnoser.load(),
            Policy.load(),
            verdict,
        )
        self._ids = 0
        self.parts = Parts(
            vitals=self._vitals,
            judges=judges,
            store=self._store,
            hub=CommandHub("0" * 64, self._clock),
            recorder=NoTraces(),
            timing=Timing(tick_s=judge_every_s),
            new_id=self._new_id,
            endpoints=(ENDPOINT,),
        )
        self.engine = Engine(self.parts, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()
        self._folder.cleanup()

    @property
    def table(self) -> SeriesTable:
        return self._vitals.table

    @property
    def topology(self) -> Topology:
        """Who calls whom, as of the last tick.

        Raises:
            LookupError: Before the first windows.
        """
        return self.parts.topology

    @property
    def notifications(self) -> int:
        return sum(incident.notifications for incident in self.incidents.values())

    def live(self, batches: Iterable[WindowBatch]) -> Iterator[WindowBatch]:
        """Advance through batches; each is given back when it was lived through."""
        for batch in self.table.ahead(batches):
            self.advance(batch)
            yield batch

    def advance(self, batch: WindowBatch) -> None:
        """Merge a batch, then judge once each step of virtual time up to its watermark."""
        batches: tuple[WindowBatch, ...] = (batch,)
        if batch.watermark - self.now > GAP_S:
            self._live_until(self.now + GAP_S / 2, ())
            self.now = batch.watermark - GAP_S / 2
        if batch.watermark < self.now + self._every_s:
            self.parts.vitals.merge(batches, self.now)
            return
        self._live_until(float(batch.watermark), batches)

    def _live_until(self, end: float, batches: tuple[WindowBatch, ...]) -> None:
        while self.now + self._every_s <= end:
            self.now += self._every_s
            self._look(self.engine.tick(batches))
            batches = ()

    def _look(self, tick: Tick) -> None:
        """Write down what this tick found."""
        self.raw_alerts += tick.raw_alerts
        self.alerts_log += [(tick.now, alert.fingerprint, alert.score) for alert in tick.alerts]
        fresh = {alert.fingerprint: alert for alert in tick.alerts}
        for case in tick.cases:
            self._see(case, fresh)
        if tick.cases:
            with self._store.reading() as session:
                told = outbox.told(session, [case.number for case in tick.cases])
            for case in tick.cases:
                self.incidents[case.incident.id].notifications = len(told[case.number])

    def _see(self, case: Case, fresh: dict[str, Alert]) -> None:
        row = case.incident
        seen = self.incidents.setdefault(row.id, SeenIncident(row.id, row.opened_at, row.onset_at))
        seen.onset, seen.title, seen.resolved_at = row.onset_at, row.title, row.resolved_at
        seen.fingerprints = frozenset(alert.fingerprint for alert in case.alerts)
        seen.alerts |= {name: fresh[name] for name in seen.fingerprints if name in fresh}
        if case.diagnosis is not None and (not seen.diagnoses or seen.diagnoses[-1][1] != case.diagnosis):
            seen.diagnoses.append((self.now, case.diagnosis))

    def _clock(self) -> float:
        return self.now

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:032x}"


class _NoRules:
    """For replays that need no count of what the usual rules would have sent."""

    fired_at_once = 0

    def evaluate(self, table: SeriesTable, now: float) -> list[str]:
        return []
