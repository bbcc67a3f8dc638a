"""What a start needs from the outside: the master key, a free port, and what the last run remembered."""

import errno
import json
import logging
import socket
from pathlib import Path

from paramedic.contract.keys import new_master
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.settings import Address
from paramedic_detector.slo.judge import Objectives
from paramedic_detector.slo.openslo import SloError, read
from paramedic_detector.store import records
from paramedic_detector.store.store import Store

log = logging.getLogger("paramedic.detector")
OLDEST_CHECKPOINT_S = 6 * 3600.0  # baselines that are older say little about now


class StartError(RuntimeError):
    """The detector cannot start; one sentence says why and what would do."""


def master_key(data_dir: Path) -> str:
    """The platform's master key: the one in `credentials`, so that tokens outlive a restart, else a new one.

    Raises:
        StartError: The file is there and cannot be read.
    """
    path = data_dir / "credentials"
    if not path.exists():
        return new_master()
    try:
        master = json.loads(path.read_text())["master"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(
            f"{path} cannot be read ({error}); delete it and start again, and give the bots their new tokens"
        ) from None
    if not isinstance(master, str) or len(master) < 32:
        raise StartError(f"{path}: master must be a key of at least 32 characters; delete the file and start again")
    return master


def listen(address: Address) -> socket.socket:
    """A listening socket.

    Raises:
        StartError: The port is in use, or the address is none of this machine.
    """
    cure = "choose another with --api HOST:PORT or PARAMEDIC_API"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        if address.host == "localhost":
            family, where = socket.AF_INET, ("127.0.0.1", address.port)
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"api {address}: port {address.port} is in use by another program; stop that one, or {cure}"
            ) from None
        raise StartError(f"api {address}: cannot listen there ({error.strerror or error}); {cure}") from None
    return listening


def objectives(folder: Path | None, store: Store) -> Objectives:
    """The objectives of a folder, and what they counted before this start: a month does not begin anew.

    Raises:
        StartError: The files have mistakes.
    """
    try:
        found = Objectives(read(folder) if folder else ())
    except SloError as error:
        raise StartError(str(error)) from error
    with store.reading() as session:
        kept = records.checkpoints(session).get("objectives")
    try:
        if kept:
            found.restore(kept[1])
    except ValueError as error:
        log.warning("what objectives counted cannot be used (%s); their budgets begin anew", error)
    return found


def checkpoints(store: Store, now: float) -> tuple[SeriesTable | None, Scorer | None]:
    """Table and baselines of the last run; None for what is missing, too old or of another version."""
    with store.reading() as session:
        found = records.checkpoints(session)
    fresh = {name: data for name, (at, data) in found.items() if abs(now - at) < OLDEST_CHECKPOINT_S}
    try:
        table = SeriesTable.restore(fresh["table"]) if "table" in fresh else None
        scorer = Scorer.restore(fresh["scorer"]) if "scorer" in fresh else None
    except ValueError as error:
        log.warning("the checkpoint cannot be used (%s); paramedic warms up anew", error)
        return None, None
    return table, scorer
