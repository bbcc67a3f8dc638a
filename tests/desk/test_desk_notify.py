"""Messages: when one is due, how it reads, and how it gets there over a real HTTP server that misbehaves."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product

import pytest
from desk_parts import START, Clock, Room
from sqlmodel import select

from paramedic_detector.notify import slack
from paramedic_detector.notify.channels import SlackWebhook, outcome_of
from paramedic_detector.notify.moments import MESSAGES, Moment, Standing, moment
from paramedic_detector.notify.outbox import Outbox
from paramedic_detector.notify.pacing import LONGEST_WAITS_S, TRIES, Endpoint, wait_s
from paramedic_detector.store import outbox as stored
from paramedic_detector.store.tables import IncidentRow, NotificationRow
from paramedic_detector.values import Mode, Outcome, Reason


def standing(age_s: float = 60.0, **changes: bool) -> Standing:
    usual = {"resolved": False, "needs_you": False, "working": False, "trying": False, "ever_acted": False}
    return Standing(age_s=age_s, **(usual | changes))


@pytest.mark.parametrize(
    ("now", "told", "due"),
    [
        (standing(0.5), set(), Moment.TOO_EARLY),
        (standing(3, trying=True), set(), Moment.TOO_EARLY),
        (standing(3, working=True), set(), Moment.TREATED),
        (standing(4.9, needs_you=True), set(), Moment.TOO_EARLY),
        (standing(5, needs_you=True), set(), Moment.NEEDS_YOU),
        (standing(9.9), set(), Moment.TOO_EARLY),
        (standing(10), set(), Moment.NOT_TREATED),
        (standing(30, trying=True), set(), Moment.TOO_EARLY),
        (standing(45, trying=True), set(), Moment.STILL_JUDGING),
        (standing(working=True), {Moment.TREATED}, Moment.NOTHING_NEW),
        (standing(needs_you=True), {Moment.TREATED}, Moment.NEEDS_YOU),
        (standing(needs_you=True), {Moment.TREATED, Moment.NEEDS_YOU}, Moment.NOTHING_NEW),
        (standing(needs_you=True), {Moment.NOT_TREATED}, Moment.NOTHING_NEW),
        (standing(resolved=True), set(), Moment.NOBODY_WAITS),
        (standing(resolved=True, ever_acted=True), set(), Moment.CLOSED),
        (standing(resolved=True), {Moment.TREATED}, Moment.NOBODY_WAITS),
        (standing(resolved=True), {Moment.NEEDS_YOU}, Moment.CLOSED),
        (standing(resolved=True), {Moment.TREATED, Moment.NEEDS_YOU}, Moment.CLOSED),
        (standing(resolved=True), {Moment.STILL_JUDGING}, Moment.CLOSED),
        (standing(resolved=True), {Moment.TREATED, Moment.CLOSED}, Moment.NOTHING_NEW),
    ],
)
def test_which_message_is_due(now, told, due):
    assert moment(now, told) == due


def test_no_history_of_an_incident_gives_more_than_three_messages():
    """All orders of standings, each seen once: whatever happens, three and no more."""
    flags = [
        dict(zip(("resolved", "needs_you", "working", "trying"), bits, strict=True))
        for bits in product((False, True), repeat=4)
    ]
    for first, second, third in product(flags, repeat=3):
        told: set[Moment] = set()
        for flag in (first, second, third, first, second, {"resolved": True}):
            due = moment(standing(60, ever_acted=True, **flag), told)
            if due in MESSAGES:
                assert due not in told
                told.add(due)
        assert len(told) <= 3


def incident(**columns: object) -> IncidentRow:
    usual = {
        "number": 12,
        "state": "mitigated",
        "severity": 2,
        "title": "aurora fails: provider outage",
        "cause": "aurora answers <503> & hangs",
        "done": "Failover of support-bot away from aurora at 12:00:00 UTC: it works, 52 % -> 99 % of calls succeed",
        "you": "Nothing now.",
        "fault_class": "provider_outage",
        "probability": 0.95,
        "onset_at": START,
        "opened_at": START,
        "last_alert_at": START,
        "changed_at": START,
        "calls": 200,
        "bad_calls": 13,
    }
    return IncidentRow(**(usual | columns))


def test_a_message_says_what_broke_how_sure_what_was_done_and_what_to_do():
    body = slack.message(incident(), Moment.TREATED, "https://paramedic.example")
    text = json.dumps(body)
    for part in (
        "aurora fails: provider outage",
        "95 % sure",
        "52 % -> 99 %".replace(">", "&gt;"),
        "13 of 200",
        "*You:*",
    ):
        assert part in text
    assert body["blocks"][-2]["elements"][0]["url"] == "https://paramedic.example/incident?id=INC-12"


def test_markup_in_telemetry_stays_text_and_texts_stay_within_slacks_limits():
    body = slack.message(incident(cause="<!channel> & " * 900, title="<@U1>" * 99), Moment.NOT_TREATED, "http://x")
    sections = [block["text"]["text"] for block in body["blocks"] if block["type"] == "section"]
    assert not any("<" in text for text in [*sections, body["text"]])
    assert all(len(text) <= 2800 for text in [*sections, body["text"]])
    assert not any(text.rstrip("…").endswith(("&", "&l", "&lt", "&am")) for text in sections)
    assert len(body["blocks"][0]["text"]["text"]) <= 150


class Slack:
    """An incoming webhook on a free port: answers as it is told, remembers what it got."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hangs_s = 0.0
        self.got: list[dict[str, object]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                if outer.hangs_s:
                    time.sleep(outer.hangs_s)
                status, headers = outer.answers.pop(0) if outer.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/T000/B000/verysecret"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    server = Slack()
    yield server
    server.close()


class Post:
    """An outbox with one channel on a room's store."""

    def __init__(self, room: Room, server: Slack, timeout_s: float = 5.0) -> None:
        self.room, self.clock = room, room.clock
        self.channel = SlackWebhook(server.url, timeout_s=timeout_s)
        self.outbox = Outbox(room.store, [self.channel], clock=room.clock, rng=lambda: 0.5)

    def write(self, *reasons: str) -> None:
        with self.room.store.writing() as session:
            if session.get(IncidentRow, 12) is None:
                session.add(incident())
                session.flush()
            for reason in reasons:
                body = {"text": reason, "blocks": []}
                stored.enqueue(session, incident=12, reason=reason, endpoint="slack", body=body, now=self.clock())

    def deliver(self) -> object:
        return self.outbox.deliver(self.channel)

    def rows(self) -> list[NotificationRow]:
        with self.room.store.reading() as session:
            return list(session.exec(select(NotificationRow)).all())


@pytest.fixture
def post(tmp_path, server):
    return Post(Room(tmp_path / "p.db", Clock()), server)


def test_a_message_arrives_once(post, server):
    post.write("treated")
    post.write("treated")  # the engine was killed and wrote it again
    for _ in range(3):
        post.deliver()
        post.clock.sleep(5)
    assert [body["text"] for body in server.got] == ["treated"]
    assert post.rows()[0].state == "sent"


def test_after_a_500_it_waits_and_then_arrives_and_the_log_says_so_without_the_secret(post, server, caplog):
    server.answers = [(500, {})]
    post.write("treated")
    with caplog.at_level(logging.WARNING):
        post.deliver()
    row = post.rows()[0]
    assert (row.state, row.tries, row.next_try_at) == ("pending", 1, post.clock.now + 10)
    assert caplog.messages[0].startswith("slack at 127.0.0.1:")
    assert "HTTP 500 for INC-12/treated/slack, try 1 of 6; next try at" in caplog.messages[0]
    assert "verysecret" not in caplog.text
    assert post.deliver() is None
    post.clock.sleep(10)
    post.deliver()
    assert (post.rows()[0].state, len(server.got)) == ("sent", 2)


def test_retry_after_is_obeyed_by_all_messages_of_the_endpoint(post, server):
    server.answers = [(429, {"Retry-After": "120"})]
    post.write("treated", "closed")
    post.deliver()
    post.clock.sleep(119)
    assert post.deliver() is None
    post.clock.sleep(1)
    post.deliver()
    assert len(server.got) == 2


def test_an_endpoint_that_has_come_back_is_not_flooded(post, server):
    post.write(*(f"reason-{n}" for n in range(5)))
    while not post.outbox.deliver(post.channel):
        post.clock.sleep(0.1)
    assert post.deliver() is None, "a second message must wait its turn"
    post.clock.sleep(1.1)
    post.deliver()
    assert len(server.got) == 2


def test_a_hanging_endpoint_is_left_and_the_repeat_is_marked(tmp_path, server):
    post = Post(Room(tmp_path / "p.db", Clock()), server, timeout_s=0.2)
    server.hangs_s = 1.0
    post.write("treated")
    outcome = post.deliver()
    assert (outcome.ok, outcome.uncertain, outcome.said) == (False, True, "no answer within 0.2 s")
    server.hangs_s = 0
    post.clock.sleep(20)
    post.deliver()
    assert "repeat" in json.dumps(server.got[1])
    assert "repeat" not in json.dumps(server.got[0])


def test_a_process_killed_between_sending_and_writing_it_down_repeats_it_marked(post, server):
    post.write("treated")
    with post.room.store.writing() as session:
        stored.claim(stored.due(session, "slack", post.clock()), post.clock())  # and then kill -9
    reborn = Outbox(post.room.store, [post.channel], clock=post.clock, rng=lambda: 0.5)
    assert reborn.deliver(post.channel) is None
    post.clock.sleep(61)
    reborn.deliver(post.channel)
    assert "repeat" in json.dumps(server.got[0])


def test_what_no_try_can_mend_is_given_up_at_once(post, server, caplog):
    server.answers = [(404, {})]
    post.write("treated")
    post.deliver()
    assert post.rows()[0].state == "dead"
    assert "given up, check the webhook's address" in caplog.text


def test_six_tries_within_sixteen_hours_and_then_it_is_dead(post, server):
    server.answers = [(503, {})] * 9
    post.write("treated")
    began = post.clock.now
    while post.rows()[0].state != "dead":
        post.deliver()
        post.clock.now = max(post.rows()[0].next_try_at, post.clock.now + 60)
    assert len(server.got) == TRIES == 6
    assert post.clock.now - began < 16 * 3600 + 600


def test_the_waits_add_up_to_sixteen_hours_and_are_jittered():
    assert sum(LONGEST_WAITS_S) == 16 * 3600
    assert wait_s(2, None, lambda: 0.5) == 150.0
    assert wait_s(1, None, lambda: 0.0) == 1.0
    assert wait_s(1, 90.0, lambda: 0.0) == 90.0
    assert wait_s(6, None, lambda: 0.5) is None


def test_an_endpoint_rests_longer_with_each_failure():
    endpoint = Endpoint()
    for rest_s in (2, 4, 8, 16, 32, 60, 60):
        endpoint.failed(100.0, None)
        assert (endpoint.ready(100.0 + rest_s - 0.1), endpoint.ready(100.0 + rest_s)) == (False, True)


def test_statuses():
    assert outcome_of(204, None).ok
    assert outcome_of(400, None).final
    assert not outcome_of(408, None).final
    assert outcome_of(429, "7").retry_after_s == 7.0
    assert outcome_of(429, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after_s is None


def keys(room: Room) -> list[str]:
    with room.store.reading() as session:
        return [row.key for row in session.exec(select(NotificationRow)).all()]


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path / "p.db", Clock(), endpoints=("slack",))
    room.tick()
    return room


def test_an_incident_that_was_treated_and_asks_nothing_of_people_is_told_once(room):
    room.treat(Outcome.VERIFIED)
    room.verdict.recovered = True
    room.heal()
    room.tick(seconds=3, times=8)
    assert room.case().incident.state == "resolved"
    assert keys(room) == ["INC-1/treated/slack"]


def test_an_incident_that_nothing_treats_calls_for_you_within_ten_seconds(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault()
    room.tick(times=4)
    assert keys(room) == []
    room.tick(times=5)
    assert keys(room) == ["INC-1/needs_you/slack"]


def test_what_is_over_before_there_was_something_to_say_is_not_told(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.ALREADY_TREATED
    room.fault()
    room.tick()
    room.heal()
    room.tick(seconds=8, times=1)
    assert keys(room) == []


def test_a_treatment_that_fails_after_the_first_message_calls_for_you_once(room):
    room.treat(Outcome.VERIFIED)
    room.policy.treatments = []
    room.verdict.outcome = Outcome.HARMFUL
    room.tick(seconds=3, times=6)
    assert keys(room) == ["INC-1/treated/slack", "INC-1/needs_you/slack"]
