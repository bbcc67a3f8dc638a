"""Objectives through the whole desk: an alert of the engine, the API, the command line, the guide's own examples."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from slo_kit import START, second
from typer.testing import CliRunner

from paramedic.contract.keys import operator_token
from paramedic_cli.app import app, run_app
from paramedic_detector.api.app import create_app
from paramedic_detector.api.backend import Backend
from paramedic_detector.desk import Desk
from paramedic_detector.evaluate.virtual import VirtualDesk
from paramedic_detector.slo.openslo import read

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/how-to/declare-objectives.md").read_text()
MASTER = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def desk():
    """A minute that was good, then twenty seconds in which one answer of two is empty."""
    with VirtualDesk(START) as desk:
        for at in range(80):
            desk.advance(second(START + at, 10, useless=5 if at >= 60 else 0))
        yield desk


@pytest.fixture(scope="module")
def client(desk):
    parts = desk.parts
    health = desk.engine.health
    desk_of_people = Desk(parts.store, parts.hub, lambda: desk.now, 1.0)
    backend = Backend(parts.store, parts.vitals, parts.hub, desk_of_people, lambda: desk.now, health)
    backend.objectives = parts.judges.objectives
    with TestClient(create_app(backend, MASTER)) as client:
        client.headers["Authorization"] = f"Bearer {operator_token(MASTER)}"
        yield client


def test_a_burning_budget_is_an_alert_of_the_engine(desk):
    assert any(name.startswith("slo:chat/chat-useful#slo") for _, name, _ in desk.alerts_log)


def test_the_list_says_how_each_stands(client):
    (one,) = client.get("/api/v1/slos").json()["items"]
    assert (one["name"], one["state"], one["target"], one["source"]) == ("chat-useful", "burning", 0.99, "")
    assert one["achieved"] == pytest.approx(1 - 100 / 800, abs=0.02)
    assert {burn["rule"] for burn in one["burns"] if burn["broken"]} == {"sudden failure"}


def test_one_objective_shows_what_it_counted(client):
    one = client.get("/api/v1/slos/chat-useful").json()
    assert sum(step["total"] for step in one["line"]) == pytest.approx(800, abs=30)
    assert one["line"][0] == {"at": one["line"][0]["at"], "good": 0.0, "total": 0.0, "seconds": 0.0}


def test_an_objective_that_is_not_there_is_named_with_those_that_are(client):
    answer = client.get("/api/v1/slos/chat-quick")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no objective 'chat-quick'; there are: chat-useful"


def test_the_guides_example_is_understood(tmp_path):
    (tmp_path / "chat.yaml").write_text(re.search(r"```yaml\n(.*?)```", GUIDE, re.S)[1])
    names = [one.name for one in read(tmp_path)]
    assert names == ["chat-useful", "first-token-1", "first-token-2"]


def test_the_demo_is_promised_something():
    assert {one.service for one in read(ROOT / "bot/paramedic_demo/slo")} == {"front-door", "support-bot"}


def test_check_lists_what_a_folder_declares(capsys):
    done = CliRunner().invoke(app, ["slo", "check", str(ROOT / "bot/paramedic_demo/slo"), "--json", "-"])
    assert done.exit_code == 0
    assert '"name": "chat-quick"' in done.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apiVersion: v1\n", "paramedic: a.yaml: apiVersion must be openslo/v1, got 'v1'"),
        (None, "is no folder; name one"),
    ],
)
def test_check_says_what_is_wrong_in_one_line(tmp_path, capsys, text, said):
    folder = tmp_path if text else tmp_path / "nowhere"
    if text:
        (tmp_path / "a.yaml").write_text(text)
    assert run_app(["slo", "check", str(folder)]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
