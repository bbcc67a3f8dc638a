"""The order book of the demo shop: some hundred orders, the same ones from every seed, in SQLite.

Numbers run from FIRST_ORDER to LAST_ORDER, so a load generator can ask for orders that exist without asking the shop.
"""

import datetime
import json
import random
import sqlite3
from typing import Any

FIRST_ORDER, LAST_ORDER = 10001, 10400

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL, items TEXT NOT NULL, total_eur REAL NOT NULL,
    placed_on TEXT NOT NULL, carrier TEXT, tracking TEXT, expected_on TEXT, delivered_on TEXT
)
"""
STATES = (
    "placed",
    "paid",
    "packed",
    "shipped",
    "shipped",
    "shipped",
    "delivered",
    "delivered",
    "delayed",
    "returned",
    "cancelled",
)
WITH_COURIER = ("shipped", "delivered", "delayed", "returned")
CARRIERS = ("DHL", "UPS", "GLS", "PostNord")
CUSTOMERS = (
    "Ada Lindqvist",
    "Jonas Weber",
    "Marta Kowalska",
    "Tom O'Brien",
    "Ines Duarte",
    "Noor de Vries",
    "Luca Ferri",
)
GOODS = (
    ("a rain jacket", 89.0),
    ("trail shoes, size 42", 119.0),
    ("a head torch", 34.5),
    ("a two-person tent", 249.0),
    ("a wool jumper", 74.9),
    ("a steel bottle", 24.0),
    ("a map case", 12.5),
    ("hiking poles", 59.0),
    ("a sleeping mat", 99.0),
)
TODAY = datetime.date(2025, 11, 3)  # of the shop; fixed, so that a seed always gives the same book


def open_book(path: str = ":memory:", seed: int = 1) -> sqlite3.Connection:
    """The order book, filled when it is new."""
    book = sqlite3.connect(path)
    book.row_factory = sqlite3.Row
    book.execute(TABLE)
    if book.execute("SELECT count(*) FROM orders").fetchone()[0] == 0:
        rng = random.Random(seed)
        rows = [an_order(number, rng) for number in range(FIRST_ORDER, LAST_ORDER + 1)]
        names = ", ".join(f":{name}" for name in rows[0])
        book.executemany(f"INSERT INTO orders VALUES ({names})", rows)
        book.commit()
    return book


def an_order(number: int, rng: random.Random) -> dict[str, Any]:
    status, goods = rng.choice(STATES), rng.sample(GOODS, rng.randint(1, 3))
    placed = TODAY - datetime.timedelta(days=rng.randint(1, 9))
    on_the_way = status in WITH_COURIER
    expected = placed + datetime.timedelta(days=rng.randint(9, 14))
    return {
        "id": number,
        "status": status,
        "customer": rng.choice(CUSTOMERS),
        "items": json.dumps([name for name, _ in goods]),
        "total_eur": round(sum(price for _, price in goods), 2),
        "placed_on": placed.isoformat(),
        "carrier": rng.choice(CARRIERS) if on_the_way else None,
        "tracking": f"{rng.randrange(10**11):011d}" if on_the_way else None,
        "expected_on": expected.isoformat() if status not in ("delivered", "returned", "cancelled") else None,
        "delivered_on": (placed + datetime.timedelta(days=1)).isoformat()
        if status in ("delivered", "returned")
        else None,
    }


def find_order(book: sqlite3.Connection, number: int) -> dict[str, Any] | None:
    """One order as the API shows it; None when there is no such number."""
    row = book.execute("SELECT * FROM orders WHERE id = ?", (number,)).fetchone()
    if row is None:
        return None
    order = {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118 - a Row iterates over values
    return order | {"id": str(row["id"]), "items": json.loads(row["items"])}
