"""The queue to a human: what the bot is not sure of is written down before the customer is told that it was.

    bot --put--> asyncio queue --> one writer: all that wait, one transaction --> SQLite --> put returns

A turn that is sent twice is one ticket: (conversation, turn) is the key.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

TABLE = """
CREATE TABLE IF NOT EXISTS tickets (
    conversation TEXT NOT NULL, turn INTEGER NOT NULL, message TEXT NOT NULL, reason TEXT NOT NULL,
    intent TEXT NOT NULL, confidence REAL NOT NULL, asked_at REAL NOT NULL, zone TEXT NOT NULL,
    PRIMARY KEY (conversation, turn)
)
"""
INSERT = """
INSERT OR IGNORE INTO tickets VALUES (:conversation, :turn, :message, :reason, :intent, :confidence, :asked_at, :zone)
"""
BUSY_S = 2.0  # to wait for another process that writes to the same file


@dataclass(frozen=True, slots=True)
class Ticket:
    """One message that a person has to answer."""

    conversation: str
    turn: int
    message: str
    reason: str  # why the bot does not answer it itself
    intent: str  # what the bot took it for
    confidence: float
    zone: str  # of the bot
    asked_at: float  # unix seconds


class QueueFull(Exception):
    """More messages wait to be written than the queue takes; nobody must be told that theirs was."""


class HumanQueue:
    """Tickets in a SQLite file, or in memory; all calls on one event loop.

    Args:
        path: SQLite file; two bots may share one.
        most: Tickets that may wait to be written.
        clock: Unix seconds.
    """

    def __init__(self, path: str = ":memory:", *, most: int = 1000, clock: Callable[[], float] = time.time) -> None:
        self._book = sqlite3.connect(path, check_same_thread=False, timeout=BUSY_S)
        self._book.execute(TABLE)
        self._book.commit()
        self._waiting: asyncio.Queue[tuple[Ticket, asyncio.Future[None]]] = asyncio.Queue(most)
        self._clock = clock
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writer = asyncio.get_running_loop().create_task(self._write())

    async def stop(self) -> None:
        """Write what waits, then close the book."""
        await self._waiting.join()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        self._book.close()

    def ticket(
        self, conversation: str, turn: int, message: str, *, reason: str, intent: str, confidence: float, zone: str
    ) -> Ticket:
        return Ticket(conversation, turn, message, reason, intent, confidence, zone, self._clock())

    async def put(self, ticket: Ticket) -> None:
        """Returns when the ticket is written down.

        Raises:
            QueueFull: Too many wait to be written.
            sqlite3.Error: It could not be written.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((ticket, written))
        except asyncio.QueueFull:
            raise QueueFull(f"{self._waiting.maxsize} tickets wait to be written already") from None
        await written

    async def latest(self, limit: int = 50) -> dict[str, Any]:
        """How many tickets there are, and the newest of them, newest first."""
        return await asyncio.to_thread(self._latest, limit)

    def _latest(self, limit: int) -> dict[str, Any]:
        rows = self._book.execute("SELECT * FROM tickets ORDER BY asked_at DESC LIMIT ?", (limit,))
        names = [column[0] for column in rows.description]
        tickets = [dict(zip(names, row, strict=True)) for row in rows]
        return {"waiting": self._book.execute("SELECT count(*) FROM tickets").fetchone()[0], "tickets": tickets}

    async def _write(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await asyncio.to_thread(self._insert, [ticket for ticket, _ in batch])
                tell((written for _, written in batch), None)
            except Exception as error:
                tell((written for _, written in batch), error)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    def _insert(self, tickets: list[Ticket]) -> None:
        with self._book:
            self._book.executemany(INSERT, [asdict(ticket) for ticket in tickets])


def tell(waiting: "Iterable[asyncio.Future[None]]", error: Exception | None) -> None:
    """Give those who wait the outcome, unless they have left."""
    for written in waiting:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
