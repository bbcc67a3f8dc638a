"""The API over a real socket: who may do what, errors, conflicts, pages, and the command stream."""

import http.client
import json
import time
from collections.abc import Iterator

import httpx
import pytest
from desk_parts import MASTER, Clock, Room
from desk_served import OPERATOR, Served

from paramedic.contract.command import SignedCommand
from paramedic.contract.keys import bearer, command_key, service_secret
from paramedic_detector.api.schemas import IncidentDetail, Overview
from paramedic_detector.values import Mode, Outcome, Reason

SECRET = service_secret(MASTER, "support-bot")
BOT = {"Authorization": f"Bearer pmb.support-bot.{bearer(SECRET)}"}


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    served = Served(Room(tmp_path / "p.db", Clock()))
    served.room.tick()
    yield served
    served.close()


def is_problem(response: httpx.Response, status: int, *words: str) -> bool:
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, body["status"]) == (status, status)
    assert "Traceback" not in response.text
    for word in words:
        assert word in body["detail"]
    return set(body) == {"type", "title", "status", "detail"}


def test_without_a_token_only_health_is_told(served):
    for path in ("/api/v1/overview", "/api/v1/incidents", "/api/v1/actions", "/api/v1/version", "/api/v1/topology"):
        assert is_problem(httpx.get(f"http://127.0.0.1:{served.port}{path}"), 401, "Bearer")
    assert httpx.get(f"http://127.0.0.1:{served.port}/healthz").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{served.port}/readyz").status_code == 200
    assert is_problem(served.get("/api/v1/overview", headers={"Authorization": "Bearer pmo.wrong"}), 401, "token")


def test_a_bots_token_reads_nothing_and_operates_nothing(served):
    assert is_problem(served.get("/api/v1/overview", headers=BOT), 403, "read")
    assert is_problem(served.post("/api/v1/stop", {"on": True, "by": "x"}, headers=BOT), 403, "operate")
    assert not served.room.hub.stopped


def test_a_bots_token_is_for_its_own_service_alone(served):
    url = "/api/v1/commands/stream?service=orders&instance=i"
    assert is_problem(served.get(url, headers=BOT), 403, "support-bot", "orders")
    ack = {"command_id": "c", "version": 1, "service": "orders", "instance": "i", "state": "applied", "at": 1.0}
    assert is_problem(served.post("/api/v1/commands/acks", [ack], headers=BOT), 403)
    forged = {"Authorization": f"Bearer pmb.orders.{bearer(SECRET)}"}
    assert is_problem(served.get(url, headers=forged), 401)
    assert is_problem(served.get(url, headers=OPERATOR), 403, "command")


def test_every_error_is_a_problem(served):
    assert is_problem(served.get("/nowhere"), 404, "/nowhere")
    assert is_problem(served.client.delete("/api/v1/overview"), 405, "DELETE")
    assert is_problem(served.get("/api/v1/incidents/INC-99"), 404, "INC-99")
    assert is_problem(served.get("/api/v1/incidents/bogus"), 404, "bogus")
    assert is_problem(served.get("/api/v1/actions/ACT-7"), 404, "ACT-7")
    assert is_problem(served.get("/api/v1/incidents?limit=0"), 422, "limit")
    assert is_problem(served.get("/api/v1/incidents?cursor=!!"), 422, "cursor")
    assert is_problem(served.get("/api/v1/incidents?state=closed"), 422, "closed")
    assert is_problem(served.post("/api/v1/incidents/INC-1/acknowledge", {"by": "maya"}), 422, "version")
    assert is_problem(served.client.post("/api/v1/stop", content=b"{not json"), 422)


def test_a_fault_of_ours_is_told_without_its_inside(served):
    def broken() -> None:
        raise RuntimeError("the secret inside")

    served.room.parts.vitals.edges = broken
    response = served.get("/api/v1/topology")
    assert is_problem(response, 500)
    assert "secret" not in response.text


def test_a_body_that_is_too_large_is_refused_said_or_streamed(served):
    big = b'{"on": true, "by": "' + b"x" * (1024 * 1024) + b'"}'
    assert is_problem(served.client.post("/api/v1/stop", content=big), 413, "1024 KiB")
    chunks = (big[i : i + 65536] for i in range(0, len(big), 65536))
    headers = {"Content-Type": "application/json"}
    assert is_problem(served.client.post("/api/v1/stop", content=chunks, headers=headers), 413, "1024 KiB")


def test_an_incident_reads_from_the_overview_to_its_charts(served):
    served.room.treat(Outcome.VERIFIED)
    overview = Overview.model_validate(served.get("/api/v1/overview").json())
    assert [one.id for one in overview.in_hand] == ["INC-1"]
    assert (overview.noise.incidents, overview.noise.alerts, len(overview.in_force)) == (1, 1, 1)
    assert overview.users.success == 1.0
    detail = IncidentDetail.model_validate(served.get("/api/v1/incidents/INC-1").json())
    assert detail.title == "aurora fails: provider outage"
    assert detail.suspects[0].name == "aurora"
    assert (detail.actions[0].state, detail.actions[0].after) == ("verified", 0.99)
    assert [ack.instance for ack in detail.actions[0].acks] == ["bot-1"]
    assert {"detect", "group", "diagnose", "act", "verify"} <= {event.kind for event in detail.timeline}
    panels = {panel.title: panel for panel in detail.evidence.panels}
    assert any(value == 10.0 for _, value in panels["Calls, by who answers"].lines[0].points)
    assert detail.evidence.marks[0].text == "incident opened"
    assert served.get("/api/v1/actions?in_force=true").json()["items"][0]["id"] == "ACT-1"
    assert served.get("/api/v1/topology").json()["edges"][0]["callee"] in ("aurora", "support-bot")
    assert served.get("/api/v1/series?family=edge&q=AURORA").json()["items"] == ["edge:support-bot/aurora/"]


def test_the_second_of_two_people_is_told_who_was_faster(served):
    served.room.policy.mode, served.room.policy.reason = Mode.TELL, Reason.NOT_SURE
    served.room.fault()
    served.room.tick()
    seen = served.get("/api/v1/incidents/INC-1").json()["version"]
    first = served.post("/api/v1/incidents/INC-1/acknowledge", {"version": seen, "by": "maya"})
    assert (first.json()["state"], first.json()["owner"]) == ("acknowledged", "maya")
    served.room.clock.sleep(4)
    second = served.post("/api/v1/incidents/INC-1/acknowledge", {"version": seen, "by": "ben"})
    assert is_problem(second, 409, "maya acknowledged it 4 s ago")
    assert served.get("/api/v1/incidents/INC-1").json()["owner"] == "maya"


def test_numbers_that_grow_each_second_do_not_make_a_write_stale(served):
    served.room.policy.mode, served.room.policy.reason = Mode.TELL, Reason.NOT_SURE
    served.room.fault()
    served.room.tick()
    seen = served.get("/api/v1/incidents/INC-1").json()
    served.room.tick(times=4, hurt=5)
    now = served.get("/api/v1/incidents/INC-1").json()
    assert now["impact"]["bad_calls"] > seen["impact"]["bad_calls"]
    assert served.post("/api/v1/incidents/INC-1/acknowledge", {"version": seen["version"], "by": "m"}).is_success


def test_resolving_by_hand_takes_back_what_is_in_force(served):
    served.room.treat(Outcome.VERIFIED)
    version = served.get("/api/v1/incidents/INC-1").json()["version"]
    body = {"version": version, "by": "maya", "note": "planned work"}
    assert served.post("/api/v1/incidents/INC-1/resolve", body).json()["state"] == "resolved"
    assert served.room.hub.live() == {}
    assert served.get("/api/v1/actions?in_force=true").json()["items"] == []


def test_the_version_grows_when_there_is_something_new_to_show(served):
    before = served.get("/api/v1/version").json()["version"]
    served.room.tick()
    assert served.get("/api/v1/version").json()["version"] == before
    served.room.fault()
    served.room.tick()
    assert served.get("/api/v1/version").json()["version"] > before


def test_pages_go_through_all_incidents_newest_first(served):
    for _ in range(3):
        served.room.fault()
        served.room.policy.mode, served.room.policy.reason = Mode.TELL, Reason.NOT_SURE
        served.room.tick()
        served.room.heal()
        served.room.tick(seconds=4, times=7)
    first = served.get("/api/v1/incidents?limit=2").json()
    second = served.get("/api/v1/incidents", params={"limit": 2, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["items"] + second["items"]] == ["INC-3", "INC-2", "INC-1"]
    assert second["next"] is None
    assert served.get("/api/v1/incidents?state=open,mitigated").json()["items"] == []


def test_not_ready_says_why(served):
    served.room.clock.sleep(60)
    assert is_problem(served.get("/readyz"), 503, "1 min ago")


class Stream:
    """A raw reader of the command stream."""

    def __init__(self, port: int, headers: dict[str, str] = BOT) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", "/api/v1/commands/stream?service=support-bot&instance=bot-1", headers=headers)
        self.response = self._connection.getresponse()

    def event(self) -> tuple[str, object]:
        """The next event, comments skipped."""
        name = ""
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                return name, json.loads(line[6:])

    def line(self) -> str:
        return self.response.readline().decode().rstrip("\n")

    def close(self) -> None:
        self._connection.close()


def opened(signed: dict[str, str], clock: Clock):
    sealed = SignedCommand(signed["command"], signed["signature"])
    return sealed.open(command_key(SECRET), service="support-bot", now=clock())


def test_a_bot_hears_the_snapshot_then_commands_renewals_and_clears(served):
    stream = Stream(served.port)
    assert stream.response.getheader("content-type").startswith("text/event-stream")
    assert stream.event() == ("snapshot", [])
    assert served.room.hub.commandable() == {"support-bot"}
    served.room.fault()
    served.room.tick()
    name, signed = stream.event()
    command = opened(signed, served.room.clock)
    assert (name, command.kind, command.incident) == ("command", "failover", "INC-1")
    ack = {"command_id": command.id, "version": 1, "service": "support-bot", "instance": "bot-1", "state": "applied"}
    ack |= {"at": served.room.clock(), "guards": ["llm.primary"]}
    assert served.post("/api/v1/commands/acks", [ack], headers=BOT).status_code == 204
    served.room.tick(times=2)
    assert served.room.states() == ["verifying"]
    served.room.tick(seconds=11)
    renewal = opened(stream.event()[1], served.room.clock)
    assert (renewal.id, renewal.version) == (command.id, 2)
    late = Stream(served.port)
    assert [opened(one, served.room.clock).id for one in late.event()[1]] == [command.id]
    served.room.desk.stop(True, "maya")
    clear = opened(stream.event()[1], served.room.clock)
    assert (clear.kind, clear.parameters["command_id"]) == ("clear", command.id)
    late.close()
    stream.close()


def test_a_quiet_stream_says_that_it_is_alive(served):
    stream = Stream(served.port)
    stream.event()
    assert stream.line() == ""
    assert stream.line() == ": alive"
    stream.close()


def test_a_bot_that_is_gone_is_no_longer_counted_as_listening(served):
    stream = Stream(served.port)
    stream.event()
    stream.close()
    ends = time.monotonic() + 20
    while served.room.hub.commandable() and time.monotonic() < ends:
        time.sleep(0.05)
    assert served.room.hub.commandable() == frozenset()


def test_acks_of_nonsense_are_refused_and_acks_of_strangers_are_nobodys(served):
    ack = {
        "command_id": "no such",
        "version": 1,
        "service": "support-bot",
        "instance": "b",
        "state": "applied",
        "at": 1,
    }
    assert served.post("/api/v1/commands/acks", [ack], headers=BOT).status_code == 204
    served.room.tick()
    assert is_problem(served.post("/api/v1/commands/acks", [ack | {"state": "won"}], headers=BOT), 422, "state")
    assert is_problem(served.post("/api/v1/commands/acks", {"a": 1}, headers=BOT), 422)


def test_the_description_of_the_api_is_there(served):
    paths = served.get("/openapi.json").json()["paths"]
    assert {"/api/v1/overview", "/api/v1/commands/stream", "/api/v1/actions/{action_id}/approve"} <= set(paths)
    assert served.get("/docs").status_code == 200
