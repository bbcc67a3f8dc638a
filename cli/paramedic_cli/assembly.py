"""The one place that puts the rooms together: collector -> bus -> detector in this process, the dashboard beside it.

    OTLP --> Collector --InProcessBus--> Detector --API--> KeptChild(dashboard)
                 '------ recorder -----------^

Started from the back to the front, so that nothing is received before somebody listens to it, and stopped the
other way round. The dashboard may die as often as it likes.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx

from paramedic.contract.credentials import credentials_file
from paramedic_cli.child import KeptChild
from paramedic_cli.errors import UserError
from paramedic_cli.otel import collector_config, prices_of
from paramedic_cli.platform import Addresses
from paramedic_cli.ports import free_port
from paramedic_cli.processes import ChildProcess, warded
from paramedic_cli.settings import environment_of
from paramedic_collector.bus import InProcessBus
from paramedic_collector.forward.tls import TlsError
from paramedic_collector.main import Collector
from paramedic_collector.receive.addresses import CannotServe, Endpoint
from paramedic_collector.record.recorder import RecorderBusy
from paramedic_dashboard.launch import command
from paramedic_detector.main import Detector
from paramedic_detector.main_start import StartError
from paramedic_detector.settings import Settings

log = logging.getLogger("paramedic.up")
ANSWER_S = 30.0  # the API listens at once and answers when it is warm


class Assembly:
    """A whole platform; use as a context manager.

    Args:
        settings: See there.
        env: The environment, for the collector's file and the dashboard.
        otel_config: The collector's file; None for the usual ones.
        with_dashboard: Whether to serve the pages too.

    Raises:
        UserError: A file has mistakes; told before anything is started.
    """

    def __init__(
        self, settings: Settings, env: Mapping[str, str], otel_config: Path | None, *, with_dashboard: bool = True
    ) -> None:
        self._settings, self._env, self._with_dashboard = settings, environment_of(settings, env), with_dashboard
        self._config, prices = collector_config(otel_config, self._env), prices_of(self._env)
        known = credentials_file({"PARAMEDIC_DATA_DIR": str(settings.data_dir)}).exists()
        self._stack = ExitStack()
        try:
            bus = InProcessBus()
            self.collector = Collector(self._config, bus, settings.data_dir, prices=prices)
            self.detector = Detector(settings, bus, self.collector.recorder, keep_traces=self.collector.keep_traces)
            self.collector.resume = self.detector.applied(self.collector.name)
        except (StartError, RecorderBusy, TlsError) as error:
            raise UserError(*str(error).split("\n")) from None
        self.first_token = None if known else self.detector.operator_token
        self.dashboard: KeptChild | None = None
        self.addresses = Addresses("", "", "", "", str(settings.data_dir), os.getpid())

    def __enter__(self) -> Self:
        """Start everything, and return when it answers.

        Raises:
            UserError: A port was taken at the last moment. Nothing is left running.
        """
        try:
            self._stack.callback(self.detector.stop)
            self.detector.start()
            self._stack.callback(self.collector.stop)
            self.collector.start()
            dashboard_url = self._start_dashboard() if self._with_dashboard else ""
            httpx.get(f"{self.detector.api_url}/healthz", timeout=ANSWER_S, trust_env=False)
        except (StartError, CannotServe) as error:
            self._stack.close()
            raise UserError(str(error)) from None
        except BaseException:
            self._stack.close()
            raise
        listening = self.collector.addresses
        self.addresses = Addresses(
            api=self.detector.api_url,
            dashboard=dashboard_url,
            otlp_grpc=_url(listening.get("grpc")),
            otlp_http=_url(listening.get("http")),
            data_dir=str(self._settings.data_dir),
            pid=os.getpid(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_dashboard(self) -> str:
        host, port = self._settings.dashboard.host, self._settings.dashboard.port or free_port()
        argv, env = command(
            self.detector.api_url,
            self.detector.operator_token,
            host,
            port,
            public_url=self._settings.public_url,
            env=self._env,
        )
        module = argv.index("-m") + 1
        log_file = self._settings.data_dir / "dashboard.log"
        words = warded(argv[module], argv[module + 1 :])
        self.dashboard = KeptChild("dashboard", lambda: ChildProcess(words, env, log_file))
        self._stack.callback(self.dashboard.stop)
        self.dashboard.start()
        return f"http://{host}:{port}"


def _url(endpoint: Endpoint | None) -> str:
    return f"http://{endpoint}" if endpoint else ""
