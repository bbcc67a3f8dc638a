"""The thread that turns what was accepted into windows: first what an earlier run left, then what comes.

    flight recorder --replay--+
                              +--> Counted (processors) --> Windower --every 0.5 s--> Bus
    Intake ---------drain-----+

While it replays, the intake goes on to accept: that waits in the queue, within its limit.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from paramedic_collector import counters as count
from paramedic_collector.bus import Bus
from paramedic_collector.counted import Counted
from paramedic_collector.counters import Counters
from paramedic_collector.intake import Intake
from paramedic_collector.record.recorder import Recorder
from paramedic_collector.record.replay import Past, Replay
from paramedic_collector.windower import Windower

log = logging.getLogger(__name__)

PUBLISH_S: Final = 0.5  # between two batches
_SWEEP_S: Final = 5.0  # between two looks for old segments
_DRAIN_S: Final = 0.1  # the fold looks at what has come this often, to work on many payloads at once
_STALLED_S: Final = 10.0  # without a sign of life
_STOP_S: Final = 10.0


class FoldThread:
    """Folds between `start` and `stop`.

    Args:
        clock: Unix seconds.
    """

    def __init__(
        self,
        intake: Intake,
        counted: Counted,
        windower: Windower,
        bus: Bus,
        recorder: Recorder,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self.replayed_frames = 0  # of earlier runs, folded now
        self._intake, self._counted, self._windower, self._bus = intake, counted, windower, bus
        self._recorder, self._counters, self._clock = recorder, counters, clock
        self._past: Past | None = None
        self._stopping = threading.Event()
        self._alive_at = 0.0  # monotonic seconds of the last sign of life
        self._thread = threading.Thread(target=self._run, name="fold", daemon=True)

    @property
    def alive(self) -> bool:
        return time.monotonic() - self._alive_at < _STALLED_S

    def start(self, past: Past) -> None:
        self._past, self._alive_at = past, time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Fold what was accepted, and give it out. May be called twice."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        if not self._replay():
            return  # what came meanwhile is on disk, and behind what was not replayed: the next start folds both
        publish_at = sweep_at = time.monotonic()
        while True:
            last_round = self._stopping.is_set()
            self._alive_at = time.monotonic()
            more = self._round(self._take)
            if self._alive_at >= publish_at or (last_round and not more):
                publish_at = self._alive_at + PUBLISH_S
                self._round(self._give)
            if self._alive_at >= sweep_at:
                sweep_at = self._alive_at + _SWEEP_S
                self._round(self._recorder.sweep)
            if last_round and not more:
                return
            if not more:
                self._stopping.wait(_DRAIN_S)

    def _round(self, step: Callable[[], bool | None]) -> bool:
        """The thread must not end: what is acknowledged would never become a window."""
        try:
            return bool(step())
        except Exception:
            log.exception("the collector goes on without what it was folding")
            self._counters.add(count.FOLD_FAILURES, signal="any")
            return False

    def _replay(self) -> bool:
        """Whether everything of earlier runs is folded."""
        if self._past is None:
            return True
        now, ready, publish = self._clock(), self._counted.of_frame, self._bus.publish
        replay = Replay(self._past, self._windower, ready, publish, now)
        started = time.monotonic()
        try:
            done = replay.run(self._goes_on)
        except Exception:
            log.exception("what an earlier run left could not be replayed; the collector goes on without")
            self._counters.add(count.FOLD_FAILURES, signal="any")
            done = True
        self.replayed_frames, self._past = replay.frames, None
        if replay.frames:
            log.info("replayed %d requests of an earlier run in %.1f s", replay.frames, time.monotonic() - started)
        return done

    def _goes_on(self) -> bool:
        self._alive_at = time.monotonic()
        return not self._stopping.is_set()

    def _take(self) -> bool:
        """Whether there was anything."""
        taken, now = self._intake.drain(_DRAIN_S), self._clock()
        wanted = [counted for one in taken if (counted := self._counted.of_taken(one, now)) is not None]
        for batch in self._windower.take(wanted, now):
            self._bus.publish(batch)
        return bool(taken)

    def _give(self) -> None:
        for batch in self._windower.give(self._clock()):
            self._bus.publish(batch)
