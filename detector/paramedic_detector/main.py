"""The detector as one part: engine thread, API server, periodic jobs; started and stopped together.

    Detector(settings, bus, recorder, clock).start() -> .api_url, .operator_token ... .stop()

Order matters: what is in force is put back into the hub before the API listens, or a bot that reconnects would
read an empty snapshot and drop its treatment.
"""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import uvicorn

from paramedic.contract.credentials import write_credentials
from paramedic.contract.keys import operator_token
from paramedic_collector.bus import Bus
from paramedic_collector.windows import Resume
from paramedic_detector.api.app import create_app
from paramedic_detector.api.backend import Backend
from paramedic_detector.commands import CommandHub
from paramedic_detector.desk import Desk
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.engine.engine import Engine
from paramedic_detector.engine.parts import Judges, KeepsTraces, Parts, Recorder, Timing, keeps_none
from paramedic_detector.evidence import Vitals
from paramedic_detector.incidents.grouping import Grouper
from paramedic_detector.learn.versions import Shelf
from paramedic_detector.main_start import StartError, checkpoints, listen, master_key, objectives
from paramedic_detector.notify.channels import Channel, SlackWebhook
from paramedic_detector.notify.outbox import Outbox
from paramedic_detector.policy import Policy
from paramedic_detector.rules import RuleSet
from paramedic_detector.schedule import Schedule
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.settings import Settings
from paramedic_detector.store.database import connect
from paramedic_detector.store.store import Store, StoreDown
from paramedic_detector.verify import verdict

log = logging.getLogger("paramedic.detector")
STOP_S = 10.0


class Detector:
    """Everything of the detector, on this machine.

    Args:
        settings: See there.
        bus: Where window batches come from.
        recorder: The flight recorder, asked for example traces.
        clock: Unix seconds.
        timing: Waits of the engine.
        keep_traces: Told the example traces of all open incidents, each round.

    Raises:
        StartError: It cannot start: a file has mistakes, the store cannot be opened or the port is in use.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        recorder: Recorder,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
        *,
        keep_traces: KeepsTraces = keeps_none,
    ) -> None:
        timing = timing or Timing()
        self.settings, self._bus, self._clock = settings, bus, clock
        judges = _judges(settings.policy, settings.data_dir / "models")
        self._diagnoser = judges[2]
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.master = master_key(settings.data_dir)
        self.store = Store(connect(settings.store_url))
        self._start_store()
        table, scorer = checkpoints(self.store, clock())
        burning = objectives(settings.slo, self.store)
        self.hub = CommandHub(self.master, clock)
        channels: list[Channel] = [SlackWebhook(settings.slack_webhook_url)] if settings.slack_webhook_url else []
        self.outbox = Outbox(self.store, channels, clock=clock, rng=random.random)
        vitals = self._vitals = Vitals(table or SeriesTable())
        parts = Parts(
            vitals=vitals,
            judges=Judges(scorer or Scorer(), *judges, verdict, burning),
            store=self.store,
            hub=self.hub,
            recorder=recorder,
            timing=timing,
            new_id=lambda: uuid.uuid4().hex,
            public_url=settings.public_url,
            keep_traces=keep_traces,
            endpoints=tuple(channel.name for channel in channels),
        )
        self.engine = Engine(parts, clock)
        desk = Desk(self.store, self.hub, clock, timing.settle_s)
        backend = Backend(self.store, vitals, self.hub, desk, clock, self.engine.health, burning, timing.tick_s)
        self.app = create_app(backend, self.master)
        self._schedule = Schedule(self.engine, self.outbox, self.store, clock)
        self._threads: list[threading.Thread] = []
        self._server: uvicorn.Server | None = None
        self.api_url = ""  # once it listens

    def applied(self, collector: str) -> Resume | None:
        """How far the windows of a collector are counted here, by the last checkpoint: it begins there after a restart.

        Returns:
            None when nothing is known of it.
        """
        with self._vitals.hands_on() as table:
            return table.applied(collector)

    @property
    def operator_token(self) -> str:
        return operator_token(self.master)

    def start(self) -> None:
        """Take up what was in force, then listen, then run.

        Raises:
            StartError: The port is in use.
        """
        listening = listen(self.settings.api)
        self.api_url = f"http://{self.settings.api.host}:{listening.getsockname()[1]}"
        self.engine.resume()
        write_credentials(self.settings.data_dir / "credentials", url=self.api_url, master=self.master)
        config = uvicorn.Config(
            self.app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._threads = [
            threading.Thread(target=self._diagnoser.warm_up, name="model", daemon=True),
            threading.Thread(target=self.engine.run, args=(self._bus,), name="engine", daemon=True),
            threading.Thread(target=self._server.run, args=([listening],), name="api", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._schedule.start()

    def stop(self) -> None:
        """Stop in order: no new rounds, streams end, the last checkpoint. Leases go on in the bots until they end."""
        self.engine.stop()
        self.hub.close()
        self._schedule.stop()
        if self._server is not None:
            self._server.should_exit = True
        for thread in self._threads:
            thread.join(STOP_S)
        try:
            self.engine.checkpoint()
        except StoreDown as error:
            log.warning("the last checkpoint could not be written: %s", error)
        self.store.close()

    def _start_store(self) -> None:
        try:
            self.store.start()
        except StoreDown as error:
            where = self.settings.store_url.rpartition("@")[2]  # without a password
            raise StartError(f"the store {where} cannot be opened: {error}; `paramedic doctor` says more") from error


def _judges(policy: Path | None, models: Path) -> tuple[RuleSet, Grouper, Diagnoser, Policy]:
    """Raises: StartError, when a data file has mistakes."""
    try:
        diagnoser = Diagnoser.load(model_path=Shelf(models).current())
        return RuleSet.load(), Grouper(), diagnoser, Policy.load(policy)
    except (ValueError, OSError) as error:
        raise StartError(str(error)) from error
