"""`filter`: what any condition means is dropped, from the outside in."""

import pytest
from collector_process_kit import (
    LOGS,
    METRICS,
    TRACES,
    built,
    gauges,
    logs,
    metrics_of,
    names_of,
    records_of,
    refused,
    spans_of,
    traces,
)


def left(settings, request, signal=TRACES):
    return built("filter", settings, str(signal)).process(signal, request, 0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"traces": {"span": ['name == "ping"', 'attributes["drop"] == true']}},
        {"trace_conditions": ['span.name == "ping"', 'span.attributes["drop"] == true']},
        {
            "trace_conditions": [
                {"conditions": ['span.name == "ping"']},
                {"context": "span", "conditions": ['attributes["drop"] == true']},
            ]
        },
    ],
)
def test_both_forms_drop_what_any_condition_means(settings):
    request = traces({"name": "ping"}, {"name": "chat"}, {"name": "x", "attributes": {"drop": True}})
    assert names_of(left(settings, request)) == ["chat"]


def test_a_request_of_which_nothing_is_left_is_not_sent():
    assert left({"trace_conditions": ['span.name == "a"']}, traces({"name": "a"})) == []


def test_a_resource_or_a_scope_goes_with_all_that_is_in_it():
    request = traces({"name": "a"}, scope="lib")
    request.MergeFrom(traces({"name": "b"}, resource={"service.name": "other"}))
    by_resource = {"trace_conditions": ['resource.attributes["service.name"] == "bot"']}
    assert names_of(left(by_resource, type(request).FromString(request.SerializeToString()))) == ["b"]
    assert names_of(left({"trace_conditions": ['scope.name == "lib"']}, request)) == ["b"]


def test_span_events_go_alone_and_leave_their_span():
    request = traces({"name": "a", "events": {"keep": {}, "grpc.timeout": {}}}, {"name": "b", "events": {"grpc.x": {}}})
    kept = left({"traces": {"spanevent": ['IsMatch(name, "^grpc")']}}, request)
    assert [[event.name for event in span.events] for span in spans_of(kept)] == [["keep"], []]


def test_a_metric_goes_by_itself_or_with_its_last_point():
    request = gauges(a=[{}], b=[{"x": 1}, {"x": 2}], c=[{"x": 1}])
    kept = left({"metrics": {"metric": ['name == "a"'], "datapoint": ['attributes["x"] == 1']}}, request, METRICS)
    assert metrics_of(kept) == {"b": [{"x": 2}]}


def test_log_records_go_by_severity_and_body():
    request = logs(("password=1", {}, 17), ("fine", {}, 17), ("fine too", {}, 5))
    settings = {"log_conditions": ['IsMatch(log.body, "password")', "log.severity_number < SEVERITY_NUMBER_WARN"]}
    assert [one.body.string_value for one in records_of(left(settings, request, LOGS))] == ["fine"]
    older = {"logs": {"log_record": ["severity_number < SEVERITY_NUMBER_WARN"]}}
    assert len(records_of(left(older, logs(("a", {}, 5), ("b", {}, 17)), LOGS))) == 1


def test_conditions_of_another_signal_leave_a_request_alone():
    request = traces({"name": "a"})
    assert left({"log_conditions": ["log.severity_number == 0"]}, request) == [request]


def test_a_condition_without_an_answer_means_nothing_and_is_logged_unless_silent(caplog):
    request = traces({"name": "a", "attributes": {"n": 1}})
    condition = 'HasPrefix(attributes["n"], "x")'
    assert names_of(left({"traces": {"span": [condition]}}, request)) == ["a"]
    assert "expected string but got number" in caplog.text
    assert condition in caplog.text
    caplog.clear()
    assert names_of(left({"error_mode": "silent", "traces": {"span": [condition]}}, request)) == ["a"]
    assert caplog.text == ""


def test_with_propagate_the_whole_request_goes():
    request = traces({"name": "a", "attributes": {"n": 1}})
    assert left({"error_mode": "propagate", "traces": {"span": ['HasPrefix(attributes["n"], "x")']}}, request) == []


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        (
            {"trace_conditions": ["span.name = 1"]},
            "processors::filter::trace_conditions::0: condition has invalid syntax: 1:11:",
        ),
        (
            {"traces": {"span": ["true", "nam == 1"]}},
            "processors::filter::traces::span::1: condition has invalid syntax: 1:1:",
        ),
        ({"error_mode": "loud"}, "error_mode: must be ignore, silent, propagate, got 'loud'"),
        ({"traces": {"spans": []}}, 'unknown key "spans" (valid values: [resource span spanevent])'),
        (
            {"spans": {"include": {}}},
            'does not have the setting "spans": run this file with the OpenTelemetry Collector',
        ),
        ({"logs": {"include": {}}}, 'does not have the setting "include"'),
        (
            {"trace_conditions": ["span.kind == 1", {"conditions": []}]},
            "configuring multiple configuration styles is not supported",
        ),
        (
            {"trace_conditions": ["span.kind == 1"], "traces": {"span": ["kind == 1"]}},
            "cannot use context inferred trace conditions",
        ),
        (
            {"trace_conditions": [{"context": "log", "conditions": []}]},
            "context: must be resource, scope, span, spanevent, got 'log'",
        ),
        ({"trace_conditions": 'span.name == "x"'}, "trace_conditions: expected a list of texts"),
    ],
)
def test_each_mistake_is_named(settings, mistake):
    found = refused("filter", settings)
    assert any(mistake in line for line in found), found
