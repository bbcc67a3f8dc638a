"""The desk with its real neighbours: the judges, the SDK's command client, and everything under one roof."""

import asyncio
import logging
import socket
import time
from dataclasses import replace

import httpx
import pytest
from desk_parts import FAILOVER, MASTER, Clock, Room, rows
from test_desk_api import Served

import paramedic
from paramedic.commands.client import CommandClient
from paramedic.contract.credentials import Platform, find_platform
from paramedic.contract.keys import service_secret
from paramedic_collector.bus import InProcessBus
from paramedic_collector.windows import WindowBatch
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.engine.engine import Engine
from paramedic_detector.engine.parts import Judges
from paramedic_detector.incidents.grouping import Grouper
from paramedic_detector.main import Detector
from paramedic_detector.main_start import StartError
from paramedic_detector.policy import Policy
from paramedic_detector.rules import RuleSet
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.settings import Address, Settings
from paramedic_detector.values import Outcome
from paramedic_detector.verify import verdict

START_S = 30.0  # how long a test waits for a thread of ours at most


def wait_for(condition, what: str) -> None:
    ends = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < ends, f"waited {START_S:.0f} s in vain until {what}"
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path):
    served = Served(Room(tmp_path / "p.db", Clock()))
    served.room.tick()
    yield served
    served.close()


def test_a_command_reaches_a_guard_of_the_real_sdk_and_leaves_it_again(served):
    room = served.room
    guard = paramedic.Guard("llm.primary", peer="aurora", fallbacks=[lambda: "light"])
    platform = Platform(f"http://127.0.0.1:{served.port}", service_secret(MASTER, "support-bot"))
    bot = CommandClient(platform, "support-bot", lambda: "bot-1", wall=room.clock)
    bot.start()
    try:
        wait_for(lambda: room.hub.commandable() == {"support-bot"}, "the bot listens")
        room.policy.treatments = [(replace(FAILOVER, ttl_s=600.0),)]
        room.fault()
        room.tick()
        wait_for(lambda: bot.ledger.in_force(), "the command is applied")
        answers = [guard.run_sync(lambda: "strong") for _ in range(20)]
        assert answers.count("light") >= 10
        wait_for(lambda: room.hub._acks or room.case().acks, "the bot has answered")
        room.tick(times=2)
        assert room.states() == ["verifying"]
        assert [ack.guards for ack in room.case().acks] == [["llm.primary"]]
        room.verdict.outcome, room.verdict.recovered = Outcome.VERIFIED, True
        room.heal()
        room.tick(times=3)
        wait_for(lambda: not bot.ledger.in_force(), "the command is gone")
        assert [guard.run_sync(lambda: "strong") for _ in range(5)] == ["strong"] * 5
    finally:
        bot.stop()


class Fleet:
    """Windows of the demo's fleet, whose treatment follows the hub: a share of the calls still probes aurora."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.broken = False

    def second(self, ts: int) -> WindowBatch:
        treated = bool(self.room.hub.live())
        to_aurora, to_borealis = (2, 18) if treated else (20, 0)
        failing = round(to_aurora * 0.6) if self.broken else 0
        hurt = 0 if treated else failing
        ops = [
            ("front-door", "POST /chat", "server", "", "eu-1a", "", "1", 20, hurt),
            *(("support-bot", "POST /chat", "server", "", z, "", "1", 10, hurt // 2) for z in ("eu-1a", "eu-1b")),
            ("support-bot", "llm.primary", "client", "aurora", "eu-1a", "aurora-large", "1", to_aurora, failing),
            ("support-bot", "llm.light", "client", "borealis", "eu-1a", "borealis-mini", "1", to_borealis, 0),
        ]
        edges = [
            *(("front-door", "support-bot", zone, 10, hurt // 2) for zone in ("eu-1a", "eu-1b")),
            ("support-bot", "aurora", "", to_aurora, failing),
            ("support-bot", "borealis", "", to_borealis, 0),
            ("support-bot", "orders", "", 4, 0),
        ]
        probes = {"aurora": (to_aurora, failing)} if treated else {}
        callees = [(callee, zone, count, bad) for _, callee, zone, count, bad in edges]
        tables = {"op": rows("op", ts, ops), "edge": rows("edge", ts, edges, probes)}
        tables["callee"] = rows("callee", ts, callees, probes)
        return WindowBatch(collector="c1", sequence=ts, watermark=ts + 1, tables=tables)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.room.clock.sleep(1)
            self.room.engine.tick((self.second(int(self.room.clock.now) - 1),))
            self.room.answer()


def test_with_the_real_judges_a_provider_outage_is_named_treated_verified_and_closed(tmp_path):
    room = Room(tmp_path / "p.db", Clock(), endpoints=("slack",))
    real = Judges(Scorer(), RuleSet.load(), Grouper(), Diagnoser.load(), Policy.load(), verdict)
    room.parts.judges = real
    room.engine = Engine(room.parts, room.clock)
    asyncio.run(listens(room, "support-bot"))
    fleet = Fleet(room)
    fleet.run(60)
    with pytest.raises(AssertionError, match="no INC-1"):
        room.case(1)
    broke_at, fleet.broken = room.clock.now, True
    fleet.run(30)
    incident = room.case().incident
    assert (incident.fault_class, incident.peer, incident.state) == ("provider_outage", "aurora", "mitigated")
    assert incident.opened_at - broke_at <= 5
    assert room.states() == ["verified"]
    fleet.broken = False
    fleet.run(60)
    assert room.case().incident.state == "resolved"
    assert room.hub.live() == {}
    with pytest.raises(AssertionError, match="no INC-2"):
        room.case(2)


async def listens(room: Room, service: str) -> None:
    room.hub.join(service, "bot-1")


def test_the_whole_detector_starts_serves_stops_and_remembers(tmp_path):
    settings = Settings(data_dir=tmp_path, api=Address("localhost", 0))
    detector = Detector(settings, InProcessBus(), Room(tmp_path / "other.db", Clock()).recorder)
    detector.start()
    try:
        headers = {"Authorization": f"Bearer {detector.operator_token}"}
        wait_for(lambda: httpx.get(f"{detector.api_url}/readyz").status_code == 200, "it is ready")
        overview = httpx.get(f"{detector.api_url}/api/v1/overview", headers=headers, timeout=20).json()
        assert overview["users"]["sentence"] == "No data yet."
        platform = find_platform("support-bot", {"PARAMEDIC_DATA_DIR": str(tmp_path)})
        assert platform == Platform(detector.api_url, service_secret(detector.master, "support-bot"))
        assert (tmp_path / "credentials").stat().st_mode & 0o777 == 0o600
    finally:
        detector.stop()
    again = Detector(settings, InProcessBus(), object())  # type: ignore[arg-type]
    assert again.master == detector.master
    again.stop()


def test_a_port_in_use_is_one_sentence_with_its_cure(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        detector = Detector(Settings(tmp_path, Address("localhost", port)), InProcessBus(), object())  # type: ignore[arg-type]
        with pytest.raises(StartError, match=f"port {port} is in use by another program; .* --api HOST:PORT"):
            detector.start()
        detector.stop()


def test_credentials_that_cannot_be_read_are_one_sentence_and_are_left_alone(tmp_path):
    (tmp_path / "credentials").write_text("{broken")
    with pytest.raises(StartError, match=r"credentials cannot be read .*; delete it and start again"):
        Detector(Settings(tmp_path), InProcessBus(), object())  # type: ignore[arg-type]
    assert (tmp_path / "credentials").read_text() == "{broken"


def test_a_store_that_cannot_be_opened_is_one_sentence(tmp_path):
    settings = Settings(tmp_path, store=f"sqlite:///{tmp_path}")  # a folder
    with pytest.raises(StartError, match=r"the store sqlite:///.* cannot be opened: unable to open database file"):
        Detector(settings, InProcessBus(), object())  # type: ignore[arg-type]


def test_a_checkpoint_of_another_version_is_left_aside(tmp_path, caplog):
    settings = Settings(tmp_path, Address("localhost", 0))
    first = Detector(settings, InProcessBus(), object())  # type: ignore[arg-type]
    first.engine.parts.judges = replace(first.engine.parts.judges, scorer=Foreign())
    first.stop()
    with caplog.at_level(logging.WARNING):
        Detector(settings, InProcessBus(), object()).stop()  # type: ignore[arg-type]
    assert "warms up anew" in caplog.text


class Foreign:
    def checkpoint(self) -> bytes:
        return b"of another version"
