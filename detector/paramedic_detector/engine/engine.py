"""The engine: windows in, one round through the stages every half second, commands and messages out.

    bus -> merge -> score -> burn -> rules -> hear -> group -> diagnose -> decide -> act -> verify -> close -> tell

`pipeline` builds the list and is the place to read it. Whatever must survive is in the store before anything
leaves the process; what a stage could not do now, because the store is locked or a person was faster, the next
round does. A store that is gone stops neither the scores nor, for a while, the renewal of leases.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from paramedic_collector.bus import Bus
from paramedic_collector.windows import WindowBatch
from paramedic_detector.engine.cases import Diagnose, Exemplars
from paramedic_detector.engine.group import Group
from paramedic_detector.engine.hear import Hear
from paramedic_detector.engine.parts import Parts, Stage, Tick
from paramedic_detector.engine.tell import Describe, PutAway, Tell
from paramedic_detector.engine.treat import Act, Decide, renewal_is_due
from paramedic_detector.engine.verify import Close, Verify
from paramedic_detector.engine.watch import Burn, CountRules, Merge, Score, still_open
from paramedic_detector.store import incidents, records
from paramedic_detector.store.store import StoreDown

log = logging.getLogger("paramedic.engine")
STORE_PAUSE_S = 1.0  # after a failure of the store, before it is asked again
STORE_FREE = frozenset({"merge", "score", "burn"})  # stages that need no store


def pipeline(parts: Parts) -> list[Stage]:
    """The stages, in order."""
    return [
        Merge(parts),
        Score(parts),
        Burn(parts),
        CountRules(parts),
        Hear(parts),
        Group(parts),
        Diagnose(parts),
        Decide(parts),
        Act(parts),
        Verify(parts),
        Exemplars(parts),
        Close(parts),
        Describe(parts),
        Tell(parts),
        PutAway(parts),
    ]


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine is."""

    ticked_at: float | None  # the last round; None before the first
    store_trouble: str  # "" while the store works
    store_failures: int
    stage_failures: dict[str, int]


class Engine:
    """Runs the pipeline; `tick` by hand, or `run` until stopped.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, parts: Parts, clock: Callable[[], float]) -> None:
        self.parts, self._clock = parts, clock
        self.stages = pipeline(parts)
        self._last = Tick(now=0.0)
        self._ticked_at: float | None = None
        self._store_ok_at = clock()
        self._store_pause_ends = 0.0
        self._trouble = ""
        self._store_failures = 0
        self._stage_failures: Counter[str] = Counter()
        self._stopping = threading.Event()

    def resume(self) -> None:
        """Put back into the hub what the store says is in force, before the first bot connects.

        Raises:
            StoreDown: The store cannot be read.
        """
        with self.parts.store.reading() as session:
            self.parts.hub.stop(records.desk(session).stopped)
            self._last = Tick(now=self._clock(), cases=tuple(incidents.unfinished_cases(session)))
        Act(self.parts)(self._last)

    def run(self, bus: Bus) -> None:
        """Rounds until `stop`: when windows arrive, and every `tick_s` when none do."""
        while not self._stopping.is_set():
            batches = tuple(bus.batches(self.parts.timing.tick_s))
            started = time.monotonic()
            self.tick(batches)
            self._stopping.wait(max(0.0, self.parts.timing.tick_s / 2 - (time.monotonic() - started)))

    def stop(self) -> None:
        self._stopping.set()

    def tick(self, batches: tuple[WindowBatch, ...] = ()) -> Tick:
        """One round."""
        now = self._clock()
        tick = Tick(now=now, batches=batches, cases=still_open(self._last.cases))
        for stage in self.stages:
            if stage.name in STORE_FREE or now >= self._store_pause_ends:
                tick = self._run(stage, tick)
        if self._trouble:
            self._renew_without_store(now)
        self._last, self._ticked_at = replace(tick, batches=()), now
        return tick

    def health(self) -> Health:
        return Health(self._ticked_at, self._trouble, self._store_failures, dict(self._stage_failures))

    def checkpoint(self) -> None:
        """Keep table and baselines, so that a restart need not warm up again.

        Raises:
            StoreDown: Not now; the next one does it.
        """
        with self.parts.vitals.hands_on() as table:
            judges = self.parts.judges
            blobs = {
                "table": table.checkpoint(),
                "scorer": judges.scorer.checkpoint(),
                "objectives": judges.objectives.checkpoint(),
            }
        with self.parts.store.writing(shown=False) as session:
            for name, data in blobs.items():
                records.save_checkpoint(session, name, data, self._clock())

    def _run(self, stage: Stage, tick: Tick) -> Tick:
        try:
            done = stage(tick)
        except StoreDown as error:
            self._store_failed(stage, error, tick.now)
            return tick
        except Exception:
            self._stage_failures[stage.name] += 1
            log.exception("stage %s failed; the other stages go on", stage.name)
            return tick
        if stage is self.stages[-1]:
            self._store_works(tick.now)
        return done

    def _store_failed(self, stage: Stage, error: StoreDown, now: float) -> None:
        self._store_failures += 1
        self._store_pause_ends = now + STORE_PAUSE_S
        if not self._trouble:
            log.warning("the store failed in stage %s: %s; scoring goes on, the rest is tried again", stage.name, error)
        self._trouble = str(error)

    def _store_works(self, now: float) -> None:
        if self._trouble:
            log.warning("the store works again after %.0f s", now - self._store_ok_at)
        self._trouble, self._store_ok_at = "", now

    def _renew_without_store(self, now: float) -> None:
        """A treatment outlives a store that is away for a while, not one that is gone."""
        if now - self._store_ok_at > self.parts.timing.store_grace_s:
            return
        for command_id, live in self.parts.hub.live().items():
            if renewal_is_due(live, now):
                self.parts.hub.renew(command_id)
