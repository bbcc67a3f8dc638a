"""The order backend over HTTP, in a process of its own."""

import os
from collections.abc import Iterator

import httpx
import pytest

from paramedic_demo.fleet import Fleet, Member
from paramedic_demo.fleet_keeper import Job
from paramedic_demo.orders_data import FIRST_ORDER, LAST_ORDER, open_book
from paramedic_demo.ports import free_ports


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    (port,) = free_ports(1)
    job = Job("orders", "paramedic_demo.orders", ("--port", str(port), "--arm", "bare"), port, dict(os.environ))
    members = [Member("orders", "eu-1", job)]
    with Fleet("bare", seed=1, env={}, log_dir=tmp_path_factory.mktemp("logs"), members=members) as fleet:
        fleet.wait_ready()
        yield job.url


@pytest.fixture
def orders(running: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running, timeout=10.0) as client:
        yield client
        client.delete("/_fault")


def test_an_order_is_found_however_its_number_is_written(orders):
    found = orders.get("/orders/10234")
    assert found.status_code == 200
    assert found.json()["id"] == "10234"
    assert found.json()["status"]
    assert all(orders.get(f"/orders/{written}").json() == found.json() for written in ("ORD-10234", "%2310234"))


@pytest.mark.parametrize("order_id", [str(FIRST_ORDER - 1), str(LAST_ORDER + 1), "shoes", "9" * 40])
def test_an_order_that_is_not_there_is_404_and_named(orders, order_id):
    got = orders.get(f"/orders/{order_id}")
    assert got.status_code == 404
    assert order_id in got.json()["detail"]


def test_every_number_of_the_book_is_an_order_and_a_seed_gives_the_same_book():
    rows = [[tuple(row) for row in open_book(seed=seed).execute("SELECT * FROM orders")] for seed in (5, 5, 6)]
    assert rows[0] == rows[1] != rows[2]
    assert [row[0] for row in rows[0]] == list(range(FIRST_ORDER, LAST_ORDER + 1))


def test_a_book_on_disk_is_filled_once(tmp_path):
    path = str(tmp_path / "orders.db")
    with open_book(path) as book:
        book.execute("UPDATE orders SET status = 'lost' WHERE id = 10234")
    again = open_book(path).execute("SELECT status FROM orders WHERE id = 10234").fetchone()
    assert again["status"] == "lost"


def test_errors_come_with_the_asked_status_and_heal(orders):
    orders.post("/_fault", json={"kind": "errors", "status": 502})
    assert orders.get("/orders/10234").status_code == 502
    orders.delete("/_fault")
    assert orders.get("/orders/10234").status_code == 200


def test_a_slow_backend_answers_rightly_in_the_end(orders):
    orders.post("/_fault", json={"kind": "slow", "delay_s": 600})
    with pytest.raises(httpx.ReadTimeout):
        orders.get("/orders/10234", timeout=0.3)
    orders.post("/_fault", json={"kind": "slow", "delay_s": 0.1})
    assert orders.get("/orders/10234").json()["id"] == "10234"


def test_a_hang_never_answers(orders):
    orders.post("/_fault", json={"kind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        orders.get("/orders/10234", timeout=0.3)


def test_a_provider_fault_is_not_one_of_its_own(orders):
    got = orders.post("/_fault", json={"kind": "rate_limit"})
    assert got.status_code == 400
    assert "kind must be errors, hang, outage, slow, auth," in got.json()["mistakes"][0]
