"""The connection to SQLite or PostgreSQL, and the migrations that run before anything else.

On SQLite: write-ahead log (readers never wait for the writer), foreign keys, and a write transaction that
takes the write lock at its start, so that it waits for another writer instead of failing halfway.
"""

import logging
from pathlib import Path
from typing import Any

import alembic.command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

MIGRATIONS = Path(__file__).parent / "migrations"
WRITES = "paramedic_writes"  # execution option of a connection that will write


def connect(url: str, *, busy_timeout_s: float = 2.0) -> Engine:
    """An engine for this store.

    Args:
        url: SQLAlchemy URL, sqlite or postgresql.
        busy_timeout_s: How long a writer waits for another one (SQLite).
    """
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    database = make_url(url).database
    if database and database != ":memory:":
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": busy_timeout_s})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest schema; does nothing when they are there already."""
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    with engine.connect().execution_options(**{WRITES: True}) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        connection.commit()


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
