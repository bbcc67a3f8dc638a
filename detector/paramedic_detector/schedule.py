"""What is periodic beside the engine: deliver messages, keep checkpoints, forget what is old.

Each job runs in a thread of its own, never twice at once, and an error of one is one log line and its next turn.
"""

import logging
from collections.abc import Callable
from functools import partial

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from paramedic_detector.engine.engine import Engine
from paramedic_detector.notify.outbox import Outbox
from paramedic_detector.store import records
from paramedic_detector.store.store import Moved, Store, StoreDown

log = logging.getLogger("paramedic.schedule")
DELIVER_S = 1.0
CHECKPOINT_S = 7.0
FORGET_S = 3600.0
KEEP_S = 90 * 86_400.0  # resolved incidents


class Schedule:
    """The periodic jobs, on threads of APScheduler.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, engine: Engine, outbox: Outbox, store: Store, clock: Callable[[], float]) -> None:
        self._engine, self._store, self._clock = engine, store, clock
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a slow endpoint is no news each second
        jobs: dict[str, tuple[Callable[[], object], float]] = {
            "checkpoint": (self.checkpoint, CHECKPOINT_S),
            "forget": (self.forget, FORGET_S),
        }
        for channel in outbox.channels:
            jobs[f"deliver to {channel.name}"] = (partial(outbox.deliver, channel), DELIVER_S)
        executors = {"default": ThreadPoolExecutor(len(jobs))}
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(executors=executors, job_defaults=defaults, timezone="UTC")
        for name, (job, every_s) in jobs.items():
            self._scheduler.add_job(_guarded(name, job), "interval", seconds=every_s, id=name)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Wait for jobs that run; a message on its way takes five seconds at most."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def checkpoint(self) -> None:
        self._engine.checkpoint()

    def forget(self) -> None:
        with self._store.writing() as session:
            number = records.forget(session, before=self._clock() - KEEP_S)
        if number:
            log.info("forgot %d incidents that were resolved over %.0f days ago", number, KEEP_S / 86_400)


def _guarded(name: str, job: Callable[[], object]) -> Callable[[], None]:
    """The job, with its errors logged: a store that is away is expected, anything else is a fault of ours."""

    def run() -> None:
        try:
            job()
        except (StoreDown, Moved) as error:
            log.warning("%s: %s; tried again at its next turn", name, error)
        except Exception:
            log.exception("%s failed; tried again at its next turn", name)

    return run
