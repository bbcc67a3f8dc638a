"""`paramedic up`: the whole platform on this machine, in one process; the dashboard is its child."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from paramedic_cli.options import Config, DataDir, JsonTo, OtelConfig, environment
from paramedic_cli.output import check_json_target, console_for, write_json
from paramedic_cli.platform import Addresses


def _address(flag: str, help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(flag, metavar="HOST:PORT", help=help_text)
    return option


Api = Annotated[str | None, _address("--api", "Where the API listens; localhost:8600 without.")]
Dashboard = Annotated[str | None, _address("--dashboard", "Where the pages are served; localhost:8501 without.")]
OtlpGrpc = Annotated[str | None, _address("--otlp-grpc", "Where bots send OTLP over gRPC; localhost:4317 without.")]
OtlpHttp = Annotated[str | None, _address("--otlp-http", "Where bots send OTLP over HTTP; localhost:4318 without.")]
PublicUrl = Annotated[
    str | None, typer.Option("--public-url", metavar="URL", help="The dashboard as people reach it; in every message.")
]
Store = Annotated[str | None, typer.Option("--store", metavar="URL", help="SQLAlchemy URL; SQLite in the data folder.")]
Policy = Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="policy.yaml; the built-in one without.")]
Slo = Annotated[Path | None, typer.Option("--slo", metavar="FOLDER", help="OpenSLO files; usual objectives without.")]
NoDashboard = Annotated[bool, typer.Option("--no-dashboard", help="Leave the dashboard out.")]


def up(
    data_dir: DataDir = None,
    api: Api = None,
    dashboard: Dashboard = None,
    otlp_grpc: OtlpGrpc = None,
    otlp_http: OtlpHttp = None,
    public_url: PublicUrl = None,
    store: Store = None,
    policy: Policy = None,
    slo: Slo = None,
    config: Config = None,
    otel_config: OtelConfig = None,
    no_dashboard: NoDashboard = False,
    json_to: JsonTo = None,
) -> None:
    """Start the whole platform here and stay until Ctrl-C; --json gets its addresses once it is ready."""
    from paramedic_cli.assembly import Assembly
    from paramedic_cli.first_start import first_start
    from paramedic_cli.lock import FolderLock
    from paramedic_cli.ports import check_free
    from paramedic_cli.settings import settings_of, wanted_addresses

    check_json_target(json_to)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    flags = {
        "data_dir": data_dir,
        "api": api,
        "dashboard": dashboard,
        "otlp_grpc": otlp_grpc,
        "otlp_http": otlp_http,
        "public_url": public_url,
        "store": store,
        "policy": policy,
        "slo": slo,
    }
    env = environment()
    settings, console = settings_of(flags, env, config), console_for(json_to)
    with stop_asked() as asked, FolderLock(settings.data_dir):
        check_free(wanted_addresses(settings, with_dashboard=not no_dashboard))
        for sentence in first_start():
            console.print(sentence)
        with Assembly(settings, env, otel_config, with_dashboard=not no_dashboard) as assembly:
            _tell(console, assembly.addresses, assembly.first_token)
            write_json(asdict(assembly.addresses), json_to)
            asked.wait()


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts as usual."""
    asked = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(console: Console, addresses: Addresses, first_token: str | None) -> None:
    lines = {
        "dashboard": addresses.dashboard or "left out",
        "API": f"{addresses.api}/docs",
        "OTLP gRPC": addresses.otlp_grpc,
        "OTLP HTTP": addresses.otlp_http,
        "data": addresses.data_dir,
    }
    console.print("paramedic is up", style="bold")
    for name, value in lines.items():
        console.print(f"  {name:<10} {value}", markup=False, soft_wrap=True)
    if first_token:
        console.print(f"  {'token':<10} {first_token}", markup=False, soft_wrap=True)
        console.print("  An operator's token, shown this once; `paramedic token SERVICE` makes those of bots.")
