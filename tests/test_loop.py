"""The whole loop on real processes: `paramedic demo` as a person types it, and what it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MESSAGES_AN_INCIDENT = 3  # opened, needs you, closed: a webhook can neither edit nor thread


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of the demo, shared by the tests of this file: folder, scorecard and the finished process."""
    folder = tmp_path_factory.mktemp("demo")
    out = folder / "out.json"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PARAMEDIC_", "OTEL_"))}
    words = ["demo", "--duration", "140", "--no-dashboard", "--seed", "1", "--folder", "run", "--json", "out.json"]
    done = subprocess.run(
        [sys.executable, "-m", "paramedic_cli.main", *words],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run", json.loads(out.read_text()), done


def test_every_fault_is_detected_as_one_incident_and_nothing_else_is(run):
    totals = run[1]["totals"]
    assert (totals["faults"], totals["detected"], totals["incidents"]) == (3, 3, 3)
    assert (totals["false_incidents"], totals["extra_incidents"]) == (0, 0)


def test_every_fault_is_classified_rightly_on_its_target(run):
    said = {s["name"]: (s["classified_as"], s["class_correct"]) for s in run[1]["scenarios"]}
    assert all(right for _, right in said.values()), said
    assert run[1]["totals"]["root_cause_top1"] == 1.0


def test_every_fault_is_treated_and_the_treatment_verified_while_it_lasted(run):
    assert {s["name"]: s["verified"] for s in run[1]["scenarios"]} == {s["name"]: True for s in run[1]["scenarios"]}


def test_users_get_their_answers_throughout(run):
    totals = run[1]["totals"]
    assert totals["requests"] > 1000
    assert totals["availability"] >= 0.99


def test_slack_is_told_of_every_incident_and_not_often(run):
    folder, card, _ = run
    messages = [json.loads(line) for line in (folder / "slack.jsonl").read_text().splitlines()]
    texts = [message["payload"]["text"] for message in messages]
    assert len(texts) == card["totals"]["notifications"]
    for incident in {s["incident"] for s in card["scenarios"]}:
        about = [text for text in texts if text.startswith(incident)]
        assert 1 <= len(about) <= MESSAGES_AN_INCIDENT, texts


def test_what_happened_is_told_in_plain_lines_when_there_is_no_terminal(run):
    _, card, done = run
    for name in (s["name"] for s in card["scenarios"]):
        assert f"injected: {name}" in done.stdout
        assert f"healed: {name}" in done.stdout
    assert "Scorecard" in done.stdout
    assert "\x1b[" not in done.stdout


def test_nothing_is_left_running(run):
    """Every process of the run has its folder on its command line or in its environment."""
    folder = str(run[0])
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if folder.encode() in told:
            left.append(process.name)
    assert left == []
