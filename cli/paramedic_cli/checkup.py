"""What `paramedic doctor` looks at: a list of checks, each of which finds something to say and changes nothing.

    settings -> data folder, collector configuration, prices, policy, objectives, addresses, store, ... -> [Finding]

Slack gets no message: what is checked is that its host can be reached.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from paramedic.contract.credentials import credentials_file
from paramedic_cli.api import Api
from paramedic_cli.credentials import find_api
from paramedic_cli.errors import UserError
from paramedic_cli.lock import FolderLock
from paramedic_cli.otel import collector_config, config_file, prices_of
from paramedic_cli.ports import Wanted, check_free
from paramedic_cli.settings import environment_of, settings_of, wanted_addresses
from paramedic_collector.prices import VARIABLE
from paramedic_detector.policy import Policy
from paramedic_detector.settings import Settings
from paramedic_detector.slo.openslo import SloError, read
from paramedic_detector.store.database import connect

REACH_S = 3.0
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    state: str  # "ok", "warning" or "wrong"
    what: str
    text: str  # one sentence; for "warning" and "wrong" with what would mend it


def ok(what: str, text: str) -> Finding:
    return Finding("ok", what, text)


def wrong(what: str, text: str) -> Finding:
    return Finding("wrong", what, text)


def warning(what: str, text: str) -> Finding:
    return Finding("warning", what, text)


def checkup(env: Mapping[str, str], config: Path | None, otel_config: Path | None) -> list[Finding]:
    """Everything that there is to say, in the order in which it is worth mending."""
    try:
        settings = settings_of({}, env, config)
    except UserError as error:
        return [wrong("settings", sentence) for sentence in error.sentences]
    running = is_running(settings)
    checks: list[Callable[[], Iterator[Finding]]] = [
        lambda: iter([ok("settings", f"understood; data in {settings.data_dir}")]),
        lambda: data_folder(settings, running=running),
        lambda: collector(otel_config, environment_of(settings, env)),
        lambda: prices(env),
        lambda: policy(settings),
        lambda: objectives(settings),
        lambda: addresses(settings, env, running=running),
        lambda: store(settings),
        lambda: slack(settings),
        lambda: links(settings, running=running),
    ]
    return [finding for check in checks for finding in check()]


def is_running(settings: Settings) -> bool:
    """Whether a platform holds the data folder now."""
    if not (settings.data_dir / "platform.lock").exists():
        return False
    try:
        with FolderLock(settings.data_dir):
            return False
    except UserError:
        return True


def data_folder(settings: Settings, *, running: bool) -> Iterator[Finding]:
    path = credentials_file({"PARAMEDIC_DATA_DIR": str(settings.data_dir)})
    if not path.exists():
        yield ok("data folder", "no platform was started with it yet; `paramedic up` makes what it needs")
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        yield wrong("data folder", f"{path} can be read by others (mode {mode:o}); chmod 600 {path}")
    else:
        yield ok("data folder", "a platform is running with it" if running else "free; credentials are private")


def collector(otel_config: Path | None, env: Mapping[str, str]) -> Iterator[Finding]:
    try:
        collector_config(otel_config, env)
        yield ok("collector", f"{config_file(otel_config)}: understood")
    except UserError as error:
        for sentence in error.sentences:
            yield wrong("collector", sentence)


def prices(env: Mapping[str, str]) -> Iterator[Finding]:
    try:
        prices_of(env)
        yield ok("prices", f"{env.get(VARIABLE) or 'the built-in ones'}: understood")
    except UserError as error:
        for sentence in error.sentences:
            yield wrong("prices", sentence)


def policy(settings: Settings) -> Iterator[Finding]:
    try:
        Policy.load(settings.policy)
        yield ok("policy", f"{settings.policy or 'the built-in one'}: understood")
    except (ValueError, OSError) as error:
        for sentence in str(error).split("\n"):
            yield wrong("policy", sentence)


def objectives(settings: Settings) -> Iterator[Finding]:
    if settings.slo is None:
        yield ok("objectives", "no folder is named; each service that users reach gets 99 % useful answers")
        return
    try:
        found = read(settings.slo)
    except SloError as error:
        for sentence in error.mistakes:
            yield wrong("objectives", sentence)
        return
    if found:
        yield ok("objectives", f"{len(found)} in {settings.slo}: understood")
    else:
        yield warning("objectives", f"{settings.slo} has no SLO in it; put OpenSLO v1 files (*.yaml) there")


def addresses(settings: Settings, env: Mapping[str, str], *, running: bool) -> Iterator[Finding]:
    if running:
        try:
            with Api(*find_api({**env, "PARAMEDIC_DATA_DIR": str(settings.data_dir)}), timeout_s=REACH_S) as api:
                data_at = api.overview().data_at
            seen = f"newest data of {data_at:%H:%M:%S} UTC" if data_at else "no bot has sent anything yet"
            yield ok("API", f"answers; {seen}")
        except UserError as error:
            yield wrong("API", str(error))
        return
    for wanted in wanted_addresses(settings, with_dashboard=True):
        yield port(wanted)


def port(wanted: Wanted) -> Finding:
    try:
        check_free([wanted])
        return ok("addresses", f"{wanted.address} is free for {wanted.what.removeprefix('the ')}")
    except UserError as error:
        return wrong("addresses", str(error))


def store(settings: Settings) -> Iterator[Finding]:
    sqlite = settings.store_url.startswith("sqlite")
    if sqlite and not settings.store and not (settings.data_dir / "paramedic.db").exists():
        yield ok("store", "SQLite in the data folder; made at the first start")
        return
    try:
        engine = connect(settings.store_url)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
        yield ok("store", f"{engine.url.get_backend_name()} answers")
    except (SQLAlchemyError, ImportError, OSError) as error:
        yield wrong("store", f"--store cannot be opened ({' '.join(str(error).split())[:200]})")


def slack(settings: Settings) -> Iterator[Finding]:
    if not settings.slack_webhook_url:
        yield warning("Slack", "nobody is told: set PARAMEDIC_SLACK_WEBHOOK_URL to an incoming webhook of yours")
        return
    parts = urlsplit(settings.slack_webhook_url)
    port_number = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port_number), timeout=REACH_S):
            yield ok("Slack", f"{parts.hostname} can be reached; no message was sent")
    except OSError as error:
        yield wrong("Slack", f"{parts.hostname}:{port_number} cannot be reached ({error}); check the webhook's address")


def links(settings: Settings, *, running: bool) -> Iterator[Finding]:
    host = urlsplit(settings.public_url).hostname
    if host in LOCAL and settings.slack_webhook_url:
        yield warning(
            "links",
            f"messages link to {settings.public_url}, which opens on this machine only; set PARAMEDIC_PUBLIC_URL",
        )
    elif not running:
        yield ok("links", f"messages will link to {settings.public_url}; looked at while a platform runs")
    if running:
        try:
            answer = httpx.get(settings.public_url, timeout=REACH_S, follow_redirects=True, trust_env=False)
            answer.raise_for_status()
            yield ok("links", f"{settings.public_url} answers")
        except httpx.HTTPError as error:
            yield wrong("links", f"{settings.public_url} does not answer ({error}); set PARAMEDIC_PUBLIC_URL")
