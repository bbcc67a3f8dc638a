"""What drills break, one mechanism after the other: the way, the pool, memory, the bot's own parts, a new version."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from demo_servers import HTTP, World, serving, wait_until, world
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from paramedic.contract.command import Target
from paramedic.testing import MemorySink
from paramedic_demo.bugs import Bug
from paramedic_demo.faults import FaultSpec
from paramedic_demo.fleet import Fleet, Member, demo_members
from paramedic_demo.fleet_keeper import Job
from paramedic_demo.gauges import add_gauges, tell
from paramedic_demo.intents import IntentModel
from paramedic_demo.leaking import Leak, memory_bytes
from paramedic_demo.link import Link, link_app
from paramedic_demo.orders import orders_app
from paramedic_demo.orders_data import open_book
from paramedic_demo.pool import Pool
from paramedic_demo.ports import free_ports
from paramedic_demo.scenario_values import Fault
from paramedic_demo.support_bot.app import bot_app
from paramedic_demo.support_bot.calls_bare import BareCalls
from paramedic_demo.support_bot.calls_guarded import GuardedCalls
from paramedic_demo.support_bot.troubles import Troubles

CANCEL, STATUS = "please cancel my order 10234", "where is my order 10234?"


def a_fault(kind: str, target: str, zone: str = "", **parameters: float) -> Fault:
    return Fault("f", 0, 10, kind, target, "unknown", Target(peer=target), zone, parameters=parameters)


# The way to the orders


@contextmanager
def way_to(port: int) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A client of the link, and one of its control."""
    (data_port,) = free_ports(1)
    with (
        serving(lambda: link_app(Link(port, random.Random(1)), data_port)) as control,
        httpx.Client(base_url=f"http://127.0.0.1:{data_port}", timeout=5.0) as user,
        httpx.Client(base_url=control, timeout=5.0) as master,
    ):
        yield user, master


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    with serving(lambda: orders_app(open_book(), 1)) as url:
        yield int(url.rpartition(":")[2])


def test_a_link_carries_many_requests_on_one_connection(backend):
    with way_to(backend) as (user, master):
        assert {user.get("/orders/10234").status_code for _ in range(3)} == {200}
        assert master.get("/_stats").json() == {"requests": 3, "broken": 0, "port": backend}


def test_a_delay_strikes_a_kept_connection_and_not_the_backend(backend):
    with way_to(backend) as (user, master):
        user.get("/orders/10234")
        master.post("/_fault", json={"kind": "delay", "delay_s": 60}).raise_for_status()
        with pytest.raises(httpx.ReadTimeout):
            user.get("/orders/10234", timeout=0.2)
        assert httpx.get(f"http://127.0.0.1:{backend}/orders/10234").status_code == 200
        master.delete("/_fault")
        assert user.get("/orders/10234").status_code == 200


def test_who_loses_every_packet_loses_the_connection(backend):
    with way_to(backend) as (user, master):
        master.post("/_fault", json={"kind": "loss", "share": 1.0, "severity": 1.0}).raise_for_status()
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            user.get("/orders/10234")
        assert master.get("/_stats").json()["broken"] == 1


def test_a_kept_connection_follows_to_another_version(backend):
    with serving(lambda: orders_app(open_book(), 1, Bug(failing=1.0))) as newer, way_to(backend) as (user, master):
        assert user.get("/orders/10234").status_code == 200
        master.put("/_route", json={"port": int(newer.rpartition(":")[2])}).raise_for_status()
        assert user.get("/orders/10234").status_code == 500
        master.put("/_route", json={"port": backend}).raise_for_status()
        assert user.get("/orders/10234").status_code == 200


def test_a_way_to_nobody_refuses_until_somebody_is_there(tmp_path):
    (port,) = free_ports(1)
    job = Job("orders", "paramedic_demo.orders", ("--port", str(port), "--arm", "bare"), port, dict(os.environ))
    with way_to(port) as (user, _):

        def got() -> int | str:
            try:
                return user.get("/orders/10234").status_code
            except httpx.HTTPError as error:
                return type(error).__name__

        wait_until(lambda: got() == "ConnectError")
        with Fleet("bare", seed=1, env={}, log_dir=tmp_path, members=[Member("orders", "", job)]):
            wait_until(lambda: got() == 200)


# The pool


def test_a_saturated_pool_is_full_and_those_who_come_wait():
    async def story() -> list[tuple[int, int]]:
        pool, seen = Pool(size=3, clock=lambda: 0.0), []
        pool.follow(FaultSpec("saturate", 1.0, {"load": 1.5}))
        await asyncio.sleep(0)
        seen.append((pool.used, pool.pending))
        async with pool.connection() as held_s:
            assert held_s == pytest.approx(1.5), "one look-up in a second, and half of another one's work too much"
            waiting = asyncio.create_task(pool.connection().__aenter__())
            await asyncio.sleep(0)
            seen.append((pool.used, pool.pending))
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        pool.follow(FaultSpec("none"))
        await asyncio.sleep(0)
        seen.append((pool.used, pool.pending))
        async with pool.connection() as held_s:
            assert held_s == 0
        return seen

    assert asyncio.run(story()) == [(2, 0), (3, 1), (0, 0)]


def test_a_client_that_leaves_the_queue_leaves_no_trace(backend):
    url = f"http://127.0.0.1:{backend}"
    httpx.post(f"{url}/_fault", json={"kind": "saturate", "load": 100}).raise_for_status()
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{url}/orders/10234", timeout=0.3)
    httpx.delete(f"{url}/_fault")
    assert httpx.get(f"{url}/orders/10234").status_code == 200


# Memory


def test_a_leak_takes_memory_and_gives_it_back():
    leak, before = Leak(die=lambda: None), memory_bytes()
    leak.follow(FaultSpec("leak", 1.0, {"full_after_s": 8.0}))
    wait_until(lambda: leak.share > 0.05)
    grown = memory_bytes()
    leak.follow(FaultSpec("none"))
    assert grown > 1.1 * before
    assert memory_bytes() < grown
    assert leak.share == 0


@pytest.fixture
def orders_alone(tmp_path: Path) -> Iterator[Fleet]:
    data, control, port = free_ports(3)
    env = dict(os.environ)
    link = ("--port", str(control), "--data-port", str(data), "--to", str(port))
    members = [
        Member("orders", "", Job("orders", "paramedic_demo.orders", ("--port", str(port), "--arm", "bare"), port, env)),
        Member("link", "", Job("link", "paramedic_demo.link", link, control, env | {"WAY": str(data)})),
    ]
    with Fleet("bare", seed=1, env={}, log_dir=tmp_path, members=members) as fleet:
        fleet.wait_ready()
        yield fleet


def test_a_process_without_memory_dies_and_is_started_again(orders_alone):
    orders_alone.inject(a_fault("leak", "orders", full_after_s=0.4))
    wait_until(lambda: orders_alone.restarts()["orders"] == 1 and orders_alone.alive()["orders"])
    orders_alone.heal(a_fault("leak", "orders"))


def test_a_deploy_of_the_orders_leads_everybody_to_it_and_back(orders_alone):
    way = f"http://127.0.0.1:{orders_alone.members[1].job.env['WAY']}/orders/10234"
    deploy = a_fault("deploy", "orders", failing=1.0)
    orders_alone.prepare(deploy)
    assert httpx.get(way).status_code == 200, "it is only prepared"
    orders_alone.inject(deploy)
    assert httpx.get(way).status_code == 500
    orders_alone.heal(deploy)
    assert httpx.get(way).status_code == 200


def test_a_process_that_stands_still_goes_on_afterwards(orders_alone):
    url = orders_alone.url("orders")
    orders_alone.inject(a_fault("pause", "orders"))
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}/orders/10234", timeout=0.1)
    orders_alone.heal(a_fault("pause", "orders"))
    assert httpx.get(f"{url}/orders/10234").status_code == 200


# A new version of the bot


@pytest.mark.early
def test_a_deploy_of_the_bot_goes_zone_by_zone(tmp_path):
    """The messages need no backend, so none is started."""
    wanted = ("support-bot", "front-door")
    members = [member for member in demo_members("bare", 1, {}, tmp_path) if member.target in wanted]
    with Fleet("bare", seed=1, env={}, log_dir=tmp_path, members=members) as fleet, httpx.Client(timeout=20.0) as user:

        def statuses() -> set[int]:
            body = {"conversation": "c", "message": "hello", "turn": 1}
            return {user.post(f"{fleet.front_url}/chat", json=body).status_code for _ in range(4)}

        fleet.wait_ready()
        assert statuses() == {200}
        deploy = a_fault("deploy", "support-bot", failing=1.0, roll_s=0.5)
        fleet.inject(deploy)
        assert statuses() == {200, 502}, "one zone has the new version"
        wait_until(lambda: statuses() == {502})
        fleet.heal(deploy)
        assert statuses() == {200}


# The bot's own parts


@pytest.fixture(scope="module")
def outside() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture(params=["guarded", "bare"])
def told(request: pytest.FixtureRequest, outside: World, tmp_path: Path) -> Iterator[httpx.Client]:
    """A bot of either arm, which can be broken."""
    troubles, settings = Troubles(random.Random(1)), replace(outside.settings, queue_file=str(tmp_path / "q.db"))
    guarded = request.param == "guarded"

    def make() -> object:
        calls = GuardedCalls(settings, troubles=troubles) if guarded else BareCalls(settings, troubles)
        return bot_app(calls, "eu-1a", settings.queue_file, troubles)

    with serving(make) as url, httpx.Client(base_url=url, timeout=20.0) as client:
        yield client
    outside.heal_all()


def says(client: httpx.Client, message: str) -> dict[str, object]:
    answer = client.post("/chat", json={"conversation": str(time.monotonic_ns()), "message": message})
    return {"http": answer.status_code, **answer.json()}


def break_it(client: httpx.Client, kind: str, **parameters: float) -> None:
    client.post("/_fault", json={"kind": kind, **parameters}).raise_for_status()


def test_a_garbled_message_is_not_understood_and_goes_to_a_person(told):
    assert says(told, STATUS)["status"] == "answered"
    break_it(told, "nlu", share=1.0)
    got = says(told, STATUS)
    assert got["status"] == "handed_over"
    assert float(str(got["confidence"])) < 0.7
    told.delete("/_fault")
    assert says(told, STATUS)["status"] == "answered"


def test_a_forgetful_agent_asks_its_tool_again_and_answers_in_the_end(told, outside):
    before = outside.calls("orders"), outside.calls("aurora")
    break_it(told, "loop", factor=5)
    assert "10234" in str(says(told, CANCEL)["reply"])
    assert (outside.calls("orders") - before[0], outside.calls("aurora") - before[1]) == (5, 6)


def test_an_impatient_bot_repeats_each_failed_look_up(told, outside):
    break_it(told, "retries", factor=4)
    outside.break_it("orders", "retries", failing=1.0)
    before = outside.calls("orders")
    says(told, STATUS)
    assert outside.calls("orders") - before == 4
    outside.heal_all()
    says(told, STATUS)
    assert outside.calls("orders") - before == 5, "what worked is not repeated"


def test_a_broken_bot_fails_or_hangs_and_heals(told):
    break_it(told, "errors", status=503)
    assert says(told, STATUS)["http"] == 503
    break_it(told, "hang")
    with pytest.raises(httpx.ReadTimeout):
        told.post("/chat", json={"conversation": "c", "message": STATUS}, timeout=0.3)
    told.delete("/_fault")
    assert says(told, STATUS)["http"] == 200


def test_what_the_guard_of_the_classifier_is_unsure_of_is_useless(outside, tmp_path):
    calls = GuardedCalls(outside.settings)
    with MemorySink() as sink:
        guess = asyncio.run(calls.understand(IntentModel.load().guess, "qzx qzx"))
    asyncio.run(calls.close())
    (span,) = sink.spans
    assert guess.confidence < 0.7
    assert span.attributes is not None
    assert (span.name, span.attributes["paramedic.useless"]) == ("nlu", "low_confidence")


# Providers


def test_a_verbose_provider_bills_more_for_the_same(outside):
    body = {"model": "aurora-large", "messages": [{"role": "user", "content": "How long does delivery take?"}]}

    def tokens() -> tuple[int, int]:
        answer = HTTP.post(
            f"{outside.urls['aurora']}/v1/chat/completions", json=body, headers={"authorization": "Bearer x"}
        ).json()
        return answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]

    usual = tokens()
    outside.break_it("aurora", "verbose", factor=8)
    assert tokens() == (8 * usual[0], usual[1])
    outside.break_it("aurora", "verbose", factor=3, answer=1)
    swollen, longer = tokens()
    assert swollen == 3 * usual[0]
    assert longer == pytest.approx(3 * usual[1], rel=0.1)
    outside.heal_all()


def test_a_key_may_be_refused_with_403(outside):
    outside.break_it("aurora", "auth", status=403)
    body = {"model": "aurora-large", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": "Bearer x"}
    assert HTTP.post(f"{outside.urls['aurora']}/v1/chat/completions", json=body, headers=headers).status_code == 403
    outside.heal_all()


# What processes say of themselves


def test_a_process_tells_its_memory_its_processor_and_its_pool():
    reader, pool = InMemoryMetricReader(), Pool(size=5)
    provider = MeterProvider([reader])
    add_gauges(provider.get_meter("test"), pool)
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        (metric.name, str((point.attributes or {}).get("db.client.connection.state", ""))): point.value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert found["process.memory.usage", ""] > 1e6
    assert found["process.cpu.utilization", ""] >= 0
    assert found["db.client.connection.count", "idle"] == found["db.client.connection.max", ""] == 5
    assert found["db.client.connection.count", "used"] == found["db.client.connection.pending_requests", ""] == 0
    provider.shutdown()


@pytest.mark.parametrize("env", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}])
def test_where_nobody_listens_nothing_is_told(env):
    assert tell(env=env) is None
