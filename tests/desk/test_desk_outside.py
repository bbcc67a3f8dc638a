"""Alerts and changes that others send in: over the API, through the engine, into incidents."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from desk_parts import MASTER, START, Clock, Room, alert
from desk_served import Served

from paramedic.contract.keys import ingest_token
from paramedic_detector.engine.hear import Hear
from paramedic_detector.incidents.outside import SILENT_S, LabelNames, alerts_of, outside_alert
from paramedic_detector.values import Mode, Reason, Signal

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "send-alerts-from-alertmanager.md").read_text()
SENDER = {"Authorization": f"Bearer {ingest_token(MASTER)}"}


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    served = Served(Room(tmp_path / "p.db", Clock()))
    served.room.policy.mode, served.room.policy.reason = Mode.TELL, Reason.NOT_SURE
    served.room.tick(times=3)
    yield served
    served.close()


def webhook(status: str = "firing", **labels: str) -> dict[str, object]:
    named = {"alertname": "QueueFull", "service": "orders", "severity": "critical"} | labels
    one = {"status": status, "labels": named, "annotations": {"summary": "940 orders wait"}}
    one |= {"startsAt": "2027-01-15T07:59:58.123456789Z", "endsAt": "0001-01-01T00:00:00Z"}
    return {"version": "4", "groupKey": "g", "status": status, "alerts": [one], "receiver": "paramedic"}


def send(served: Served, body: dict[str, object], path: str = "/api/v1/alerts") -> dict[str, object]:
    answer = served.post(path, body, headers=SENDER)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_critical_alert_is_an_incident_until_it_is_resolved(served):
    assert send(served, webhook()) == {"firing": 1, "resolved": 0}
    served.room.tick()
    incident = served.get("/api/v1/incidents/INC-1").json()
    assert incident["alert_list"][0]["explanation"] == "QueueFull fires: 940 orders wait"
    assert incident["alert_list"][0]["signal"] == "outside"
    assert incident["onset_at"].startswith("2027-01-15T07:59:58.1234")
    served.room.tick(seconds=5, times=6)
    assert served.get("/api/v1/incidents/INC-1").json()["state"] == "open"
    assert send(served, webhook("resolved")) == {"firing": 0, "resolved": 1}
    served.room.tick(seconds=4, times=6)
    assert served.get("/api/v1/incidents/INC-1").json()["state"] == "resolved"
    assert served.get("/api/v1/alerts").json()["items"] == []


def test_an_alert_about_what_is_broken_already_joins_its_incident_and_does_not_keep_it(served):
    room = served.room
    room.fault(alert(room.clock.now, callee="aurora"))
    room.tick()
    send(served, webhook(service="support-bot", provider="aurora"))
    room.tick(times=2)
    assert {row.family for row in room.case(1).alerts} == {"edge", "outside"}
    room.heal()
    room.tick(seconds=3, times=8)
    assert room.case(1).incident.state == "resolved"
    room.tick(seconds=3, times=8)
    with room.store.reading() as session:
        assert session.get(type(room.case(1).incident), 2) is None, "the alert still fires, of what is over"


def test_information_opens_nothing(served):
    send(served, webhook(severity="info"))
    served.room.tick(times=5)
    assert served.get("/api/v1/incidents").json()["items"] == []
    assert [one["name"] for one in served.get("/api/v1/alerts").json()["items"]] == ["QueueFull"]


def test_which_labels_name_what_may_stand_in_the_address(served):
    body = webhook(destination="borealis", deployment="support-bot")
    send(served, body, "/api/v1/alerts?service=team,deployment&peer=destination")
    (one,) = served.get("/api/v1/alerts").json()["items"]
    assert (one["service"], one["peer"]) == ("support-bot", "borealis")


def test_what_is_sent_in_needs_a_token_that_may_and_that_token_may_nothing_else(served):
    assert served.post("/api/v1/alerts", webhook(), headers={"Authorization": "Bearer pmi.wrong"}).status_code == 401
    assert served.get("/api/v1/incidents", headers=SENDER).status_code == 403
    assert served.post("/api/v1/stop", {"on": True, "by": "x"}, headers=SENDER).status_code == 403
    assert served.post("/api/v1/alerts", webhook()).status_code == 200, "an operator may"


@pytest.mark.parametrize(
    ("change", "word"),
    [({"version": "3"}, "version"), ({"alerts": [{}]}, "labels"), ({"alerts": "none"}, "alerts")],
)
def test_another_version_and_nonsense_are_refused(served, change, word):
    answer = served.post("/api/v1/alerts", webhook() | change, headers=SENDER)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


def test_a_change_stands_with_the_incident_that_follows_it(served):
    room = served.room
    body = {"kind": "config", "service": "aurora", "text": "time-out 8 s -> 1 s", "by": "maya"}
    send(served, body, "/api/v1/changes")
    send(served, body | {"service": "elsewhere"}, "/api/v1/changes")
    room.fault()
    room.tick()
    detail = served.get("/api/v1/incidents/INC-1").json()
    assert [one["text"] for one in detail["changes"]] == ["time-out 8 s -> 1 s"]
    assert "Changed before it: time-out 8 s -> 1 s." in [event["text"] for event in detail["timeline"]]
    assert len(served.get("/api/v1/changes").json()["items"]) == 2
    late = served.post("/api/v1/changes", body | {"at": "2030-01-01T00:00:00Z"}, headers=SENDER)
    assert (late.status_code, "yet to come" in late.json()["detail"]) == (422, True)


def test_the_examples_of_the_guide_do_what_it_says(served):
    alerts, change = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    served.room.clock.now = max(START, served.room.clock.now)
    for command, said in ((alerts, {"firing": 1, "resolved": 0}), (change, None)):
        text = command.replace("localhost:8600", f"127.0.0.1:{served.port}")
        script = f"export PARAMEDIC_INGEST_TOKEN={ingest_token(MASTER)}\n{text}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
        answer = json.loads(done.stdout)
        assert said is None or answer == said, done
    served.room.tick()
    incident = served.get("/api/v1/incidents/INC-1").json()
    assert incident["target"] == "aurora", "the scripted diagnosis names it"
    assert [one["text"] for one in incident["changes"]] == ["pool size 20 -> 5"]
    assert served.get("/api/v1/alerts").json()["items"][0]["service"] == "orders"


def test_the_receiver_of_the_guide_is_one_that_alertmanager_takes():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    config = yaml.safe_load(text)
    (hook,) = config["receivers"][0]["webhook_configs"]
    assert (config["route"]["receiver"], hook["send_resolved"]) == (config["receivers"][0]["name"], True)
    assert hook["url"].endswith("/api/v1/alerts")
    for names in (LabelNames().service, LabelNames().peer, LabelNames().kind, LabelNames().severity):
        assert ", ".join(f"`{name}`" for name in names) in PAGE
    assert f"{SILENT_S / 3600:.0f} hours" in PAGE


def test_an_alert_that_nobody_repeats_is_over_at_last(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.tick()
    served = Served(room)
    send(served, webhook())
    served.close()
    hear = Hear(room.parts)
    assert len(hear(room.engine.tick()).alerts) > 0
    room.clock.sleep(SILENT_S + 1)
    assert hear(room.engine.tick()).alerts == ()


def test_alerts_that_differ_in_labels_that_nobody_asked_for_are_one():
    told = [
        outside_alert({"alertname": "Down", "service": "orders", "pod": pod}, {}, starts_at=at, ends_at=None)
        for pod, at in (("a", 5.0), ("b", 3.0))
    ]
    (one,) = alerts_of(told, 10.0)
    assert (one.signal, one.onset, one.value) == (Signal.OUTSIDE, 3.0, 2.0)
    assert told[0].fingerprint != told[1].fingerprint
    assert one.explanation == "Down fires (2 of them)"
