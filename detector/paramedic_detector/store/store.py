"""The store: one transaction at a time, all of it or nothing, and an honest word when it cannot be reached.

with store.writing() as session:     one write transaction; pages see its changes by the version counter
with store.reading() as session:     one consistent look
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import Session

from paramedic_detector.store.database import WRITES, migrate
from paramedic_detector.store.tables import ActionRow, DeskRow, IncidentRow


class StoreDown(Exception):
    """The store cannot be read or written now; nothing of the transaction was kept."""


class Moved(Exception):
    """Somebody else was faster: the row has changed since it was read. `row` is as it is now, when known."""

    def __init__(self, row: IncidentRow | ActionRow | None = None) -> None:
        super().__init__(f"{row.id if row else 'the row'} has changed meanwhile")
        self.row = row


class Store:
    """SQLite or PostgreSQL, through an engine of `paramedic_detector.store.database.connect`."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._writes = engine, 0
        self._alone = engine.dialect.name == "sqlite"  # nobody but this process writes into it
        self._write_engine = engine.execution_options(**{WRITES: True})

    def start(self) -> None:
        """Bring the schema up to date and make sure that the one row of `desk` is there.

        Raises:
            StoreDown: It cannot be opened.
        """
        with _honest():
            migrate(self._engine)
        with self.writing() as session:
            if session.get(DeskRow, 1) is None:
                session.add(DeskRow(id=1))

    def close(self) -> None:
        self._engine.dispose()

    @property
    def mark(self) -> int | None:
        """Grows with each write: what was read at the same mark is still so. None when others may have written."""
        return self._writes if self._alone else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Raises: StoreDown."""
        with _honest(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, shown: bool = True) -> Iterator[Session]:
        """One write transaction.

        Args:
            shown: Whether a page shows what is changed; the version counter then grows.

        Raises:
            StoreDown: Nothing was written.
            Moved: A row was changed by somebody else meanwhile; nothing was written.
        """
        with _honest(), Session(self._write_engine, expire_on_commit=False) as session:
            yield session
            if shown:
                session.flush()
                session.execute(update(DeskRow).values(version=DeskRow.version + 1))
            session.commit()
            self._writes += 1


def expect(row: IncidentRow | ActionRow, version: int) -> None:
    """Raises: Moved, when the row is no longer the version that was seen."""
    if row.version != version:
        raise Moved(row)


@contextmanager
def _honest() -> Iterator[None]:
    """Turn the library's many errors into the two that callers act on."""
    try:
        yield
    except (StaleDataError, IntegrityError) as error:
        raise Moved from error
    except (DBAPIError, PoolTimeout) as error:
        raise StoreDown(" ".join(str(getattr(error, "orig", None) or error).split())) from error
