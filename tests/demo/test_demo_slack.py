"""The stand-in for Slack: what it takes and refuses, over HTTP and by hand."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from paramedic_demo.fleet import Fleet, Member
from paramedic_demo.fleet_keeper import Job
from paramedic_demo.ports import free_ports
from paramedic_demo.slack_sink import BURST, Sink, sink_app
from paramedic_demo.slack_sink_blocks import refusal_of

HOOK = "/services/T000/B000/xyz"


class Clock:
    """Time that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("slack")
    (port,) = free_ports(1)
    out = folder / "slack.jsonl"
    arguments = ("--port", str(port), "--out", str(out))
    job = Job("slack", "paramedic_demo.slack_sink", arguments, port, dict(os.environ))
    with Fleet("bare", seed=1, env={}, log_dir=folder, members=[Member("slack", "", job)]) as fleet:
        fleet.wait_ready()
        yield job.url, out


def test_a_process_takes_a_message_shows_it_and_breaks_on_demand(running):
    url, out = running
    with httpx.Client(base_url=url, timeout=5.0) as slack:
        sent = {"text": "aurora is down", "blocks": [section("*aurora* is down")]}
        got = slack.post(HOOK, json=sent)
        assert (got.status_code, got.text) == (200, "ok")
        shown = slack.get("/_messages").json()
        assert [message["payload"] for message in shown] == [sent]
        assert shown[0]["path"] == HOOK
        assert [json.loads(line) for line in out.read_text().splitlines()] == shown
        slack.post("/_fault", json={"kind": "errors", "status": 500})
        assert slack.post(HOOK, json=sent).status_code == 500
        slack.post("/_fault", json={"kind": "hang"})
        with pytest.raises(httpx.ReadTimeout):
            slack.post(HOOK, json=sent, timeout=0.3)
        slack.delete("/_fault")
        assert slack.post(HOOK, json={"text": "again"}).text == "ok"
        assert slack.get("/_stats").json() == {"accepted": 2, "refused": {"errors": 1, "hang": 1}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(tmp_path: Path, clock: Clock) -> TestClient:
    return TestClient(sink_app(Sink(tmp_path / "slack.jsonl", clock)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "invalid_payload"),
        (b'["text"]', "invalid_payload"),
        (b"{}", "no_text"),
        (b'{"text": ""}', "no_text"),
        (b'{"blocks": [{"type": "section"}]}', "invalid_blocks"),
    ],
)
def test_a_bad_message_is_a_400_with_slacks_code_and_is_not_shown(slack, body, code):
    got = slack.post(HOOK, content=body)
    assert (got.status_code, got.text) == (400, code)
    assert slack.get("/_messages").json() == []


def test_after_a_burst_one_message_a_second_passes(slack, clock):
    answers = [slack.post(HOOK, json={"text": "x"}).status_code for _ in range(BURST + 2)]
    assert answers == [200] * BURST + [429] * 2
    refused = slack.post(HOOK, json={"text": "x"})
    assert refused.text == "rate_limited"
    clock.now += int(refused.headers["retry-after"])
    assert [slack.post(HOOK, json={"text": "x"}).status_code for _ in range(2)] == [200, 429]


def test_only_webhook_paths_take_messages(slack):
    assert slack.post("/elsewhere", json={"text": "x"}).status_code == 404
    assert slack.get(HOOK).status_code == 405


BUTTON = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "http://localhost:8501"}
HEADER = {"type": "header", "text": {"type": "plain_text", "text": "aurora is down"}}


@pytest.mark.parametrize(
    "blocks",
    [
        [section("x" * 3000)],
        [section("x")] * 50,
        [HEADER, {"type": "divider"}, {"type": "actions", "elements": [BUTTON] * 25}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2000}] * 10}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "since 12:05"}]}],
    ],
)
def test_what_is_within_slacks_limits_is_posted(blocks):
    assert refusal_of({"blocks": blocks}) is None


@pytest.mark.parametrize(
    "blocks",
    [
        [section("x" * 3001)],
        [section("")],
        [section("x")] * 51,
        [{"type": "banner"}],
        ["text"],
        {"type": "divider"},
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}],
        [{"type": "context", "elements": []}],
        [{"type": "actions", "elements": [BUTTON] * 26}],
        [{"type": "actions", "elements": [{"type": "button", "text": "Open"}]}],
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
    ],
)
def test_what_is_beyond_slacks_limits_is_refused(blocks):
    assert refusal_of({"text": "fallback", "blocks": blocks}) == "invalid_blocks"


def test_blocks_in_attachments_are_held_to_the_same_limits():
    assert refusal_of({"attachments": [{"color": "#d00", "blocks": [section("x")]}]}) is None
    assert refusal_of({"attachments": [{"blocks": [section("x" * 3001)]}]}) == "invalid_blocks"
