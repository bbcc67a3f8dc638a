"""Feedback of users: counted, and sent as an event."""

import math

import pytest

import paramedic
from paramedic.feedback import feedback
from paramedic.request import Request
from paramedic.telemetry.content import SWITCH
from paramedic.telemetry.runtime import dropped, runtime


def test_it_is_counted_by_kind(sink):
    for kind in ("thumbs_up", "thumbs_down", "thumbs_down", "resolved"):
        feedback(kind)
    assert sorted((about["paramedic.feedback.kind"], n) for about, n in sink.metrics["paramedic.feedback"]) == [
        ("resolved", 1),
        ("thumbs_down", 2),
        ("thumbs_up", 1),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "score"),
    [
        ("thumbs_up", None, 1.0),
        ("thumbs_down", None, 0.0),
        ("handoff", None, 0.0),
        ("repeated_question", None, 0.0),
        ("thumbs_up", 0.5, 0.5),
        ("stars", 4, 4.0),
        ("resolved", None, None),
    ],
)
def test_it_is_an_evaluation_with_a_score(sink, kind, value, score):
    feedback(kind, conversation="c-12", value=value)
    (event,) = sink.events
    assert event.name == "gen_ai.evaluation.result"
    expected = {"gen_ai.evaluation.name": kind, "gen_ai.conversation.id": "c-12"}
    assert event.attributes == (expected if score is None else {**expected, "gen_ai.evaluation.score.value": score})


def test_inside_a_request_it_is_about_that_conversation(sink):
    from paramedic.guards.budget import Frame, frame

    inside = Frame(None, math.inf)
    inside.request = Request(conversation="c-7", criticality="low")
    token = frame.set(inside)
    try:
        feedback("thumbs_up")
        feedback("thumbs_up", conversation="c-8")
    finally:
        frame.reset(token)
    assert [event.attributes["gen_ai.conversation.id"] for event in sink.events] == ["c-7", "c-8"]
    assert sink.events[0].attributes["service.criticality"] == "low"


@pytest.mark.parametrize(("switch", "told"), [("", False), ("true", True)])
def test_a_comment_is_content(sink, monkeypatch, switch, told):
    monkeypatch.setenv(SWITCH, switch)
    feedback("thumbs_down", comment="it sent me to the wrong page")
    assert ("gen_ai.evaluation.explanation" in sink.events[0].attributes) is told
    assert ("wrong page" in repr(sink.events)) is told


@pytest.mark.parametrize("kind", ["", "Thumbs Up", "x" * 65, "9lives", None, "a\n"])
def test_a_kind_that_is_no_word_is_refused(kind):
    with pytest.raises(ValueError, match="the kind of feedback must be a word like 'thumbs_up'"):
        feedback(kind)


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "5"])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="the value of feedback 'stars' must be a number"):
        feedback("stars", value=value)


def test_when_nobody_records_it_does_nothing():
    assert runtime.recorder is None
    feedback("thumbs_up")


def test_a_recorder_that_fails_costs_the_feedback_and_not_the_request(monkeypatch):
    class Broken:
        def feedback(self, kind):
            raise RuntimeError("broken")

    before = dropped.counts.get("feedback", 0)
    monkeypatch.setattr(runtime, "recorder", Broken())
    feedback("thumbs_up")
    assert dropped.counts["feedback"] == before + 1


def test_in_a_guarded_call_metrics_and_the_failure_are_kept_by_the_sink(sink):
    guard = paramedic.Guard("llm", peer="aurora")
    with pytest.raises(ValueError, match="no"):
        guard.run_sync(_fails)
    guard.run_sync(lambda: 1)
    points = sink.histograms["paramedic.call.duration"]
    assert sorted((point.attributes["paramedic.decision"], point.count) for point in points) == [
        ("failed", 1),
        ("worked", 1),
    ]
    (event,) = sink.events
    assert (event.name, event.attributes["exception.type"]) == ("paramedic.call.exception", "ValueError")
    sink.clear()
    assert (sink.histograms, sink.events, sink.spans) == ({}, [], [])


def _fails():
    raise ValueError("no")
