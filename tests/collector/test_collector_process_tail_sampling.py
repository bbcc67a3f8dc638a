"""`tail_sampling`: whole traces are kept or dropped, once, and late spans follow."""

import math
import os

import pytest
from collector_process_kit import TRACES, configured, names_of, refused, spans_of, traces
from hypothesis import given, settings
from hypothesis import strategies as st

from paramedic_collector.config.load import ConfigError, parse
from paramedic_collector.process.policies import Trace, probabilistic

ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
SLOW = {"name": "slow", "type": "latency", "latency": {"threshold_ms": 500}}
ALL = {"name": "all", "type": "always_sample"}
MS = 1_000_000


def sampler(*policies, **more):
    """The processor, and what it always keeps."""
    config = configured("tail_sampling", {"decision_wait": "10s", "policies": list(policies), **more})
    return config.pipelines[0].processors[0], config.keep_traces


def trace_id(number):
    return number.to_bytes(16, "big")


def span(number, name="s", ms=1, start_ms=1_000, root=True, **fields):
    times = {"start_time_unix_nano": start_ms * MS, "end_time_unix_nano": (start_ms + ms) * MS}
    parent = {} if root else {"parent_span_id": b"\x01" * 8}
    return {"trace_id": trace_id(number), "name": name, **times, **parent, **fields}


def kept(policy, *spans, resource=None):
    """Whether one policy keeps a trace of these spans."""
    processor, _ = sampler({"name": "one", **policy})
    assert processor.process(TRACES, traces(*spans, resource=resource), 0.0) == []
    return bool(processor.due(10.0))


def test_a_trace_waits_and_then_goes_whole_or_not_at_all():
    processor, _ = sampler(ERRORS)
    processor.process(TRACES, traces(span(1, "a"), span(2, "b"), span(1, "c", status=2)), 0.0)
    processor.process(TRACES, traces(span(1, "late", root=False)), 5.0)
    assert processor.due(9.9) == []
    assert processor.waits_since() == 0.0
    assert names_of(processor.due(10.0)) == ["a", "c", "late"]
    assert processor.waits_since() is None


def test_late_spans_follow_the_decision():
    processor, _ = sampler(ERRORS)
    processor.process(TRACES, traces(span(1, status=2), span(2)), 0.0)
    processor.due(10.0)
    assert names_of(processor.process(TRACES, traces(span(1, "one"), span(2, "two")), 50.0)) == ["one"]
    assert processor.waits_since() is None


def test_what_surrounds_a_span_goes_with_it():
    processor, _ = sampler(ALL)
    request = traces(span(1, "a"), scope="lib", resource={"service.name": "x"})
    request.resource_spans[0].schema_url = "resource schema"
    request.resource_spans[0].scope_spans[0].schema_url = "scope schema"
    sent = request.SerializeToString()
    processor.process(TRACES, request, 0.0)
    assert [one.SerializeToString() for one in processor.due(10.0)] == [sent]


@pytest.mark.parametrize(
    ("policy", "spans", "resource", "keeps"),
    [
        ({"type": "always_sample"}, [span(1)], None, True),
        (ERRORS, [span(1), span(1, status=2)], None, True),
        (ERRORS, [span(1, status=1)], None, False),
        (SLOW, [span(1, ms=501)], None, True),
        (SLOW, [span(1, ms=500)], None, False),
        (SLOW, [span(1, ms=10), span(1, ms=10, start_ms=1_600)], None, True),  # from the first start to the last end
        ({"type": "latency", "latency": {"threshold_ms": 5, "upper_threshold_ms": 10}}, [span(1, ms=10)], None, True),
        ({"type": "latency", "latency": {"threshold_ms": 5, "upper_threshold_ms": 10}}, [span(1, ms=11)], None, False),
        ({"type": "probabilistic", "probabilistic": {"sampling_percentage": 100}}, [span(1)], None, True),
        ({"type": "probabilistic", "probabilistic": {"sampling_percentage": 0}}, [span(1)], None, False),
        ({"type": "span_count", "span_count": {"min_spans": 2}}, [span(1), span(1)], None, True),
        ({"type": "span_count", "span_count": {"min_spans": 1, "max_spans": 1}}, [span(1), span(1)], None, False),
        (
            {"type": "string_attribute", "string_attribute": {"key": "k", "values": ["a"]}},
            [span(1, attributes={"k": "a"})],
            None,
            True,
        ),
        ({"type": "string_attribute", "string_attribute": {"key": "k", "values": ["a"]}}, [span(1)], {"k": "a"}, True),
        (
            {"type": "string_attribute", "string_attribute": {"key": "k", "values": ["a"]}},
            [span(1, attributes={"k": "ab"})],
            None,
            False,
        ),
        (
            {
                "type": "string_attribute",
                "string_attribute": {"key": "k", "values": ["^a"], "enabled_regex_matching": True},
            },
            [span(1, attributes={"k": "ab"})],
            None,
            True,
        ),
        (
            {"type": "string_attribute", "string_attribute": {"key": "k", "values": ["a"], "invert_match": True}},
            [span(1, attributes={"k": "a"})],
            None,
            False,
        ),
        (
            {"type": "numeric_attribute", "numeric_attribute": {"key": "n", "min_value": 5}},
            [span(1, attributes={"n": 5})],
            None,
            True,
        ),
        (
            {"type": "numeric_attribute", "numeric_attribute": {"key": "n", "max_value": 4}},
            [span(1, attributes={"n": 5})],
            None,
            False,
        ),
        (
            {"type": "numeric_attribute", "numeric_attribute": {"key": "n", "min_value": 5}},
            [span(1, attributes={"n": "9"})],
            None,
            False,
        ),
        (
            {"type": "boolean_attribute", "boolean_attribute": {"key": "b", "value": True}},
            [span(1, attributes={"b": True})],
            None,
            True,
        ),
        ({"type": "ottl_condition", "ottl_condition": {"span": ['name == "x"']}}, [span(1), span(1, "x")], None, True),
        (
            {"type": "ottl_condition", "ottl_condition": {"spanevent": ['name == "e"']}},
            [span(1, events={"e": {}})],
            None,
            True,
        ),
        ({"type": "and", "and": {"and_sub_policy": [ERRORS, SLOW]}}, [span(1, ms=600, status=2)], None, True),
        ({"type": "and", "and": {"and_sub_policy": [ERRORS, SLOW]}}, [span(1, ms=600)], None, False),
        ({"type": "not", "not": {"not_sub_policy": ERRORS}}, [span(1)], None, True),
        (
            {"type": "and", "and": {"and_sub_policy": [{"type": "not", "not": {"not_sub_policy": ERRORS}}, SLOW]}},
            [span(1)],
            None,
            False,
        ),
    ],
)
def test_each_policy_keeps_what_it_says(policy, spans, resource, keeps):
    assert kept({**policy, "name": "one"}, *spans, resource=resource) is keeps


def test_a_drop_policy_overrules_those_that_keep():
    health = {"name": "h", "type": "string_attribute", "string_attribute": {"key": "path", "values": ["/health"]}}
    processor, _ = sampler(ALL, {"name": "drop", "type": "drop", "drop": {"drop_sub_policy": [health]}})
    processor.process(TRACES, traces(span(1, "health", attributes={"path": "/health"}), span(2, "chat")), 0.0)
    assert names_of(processor.due(10.0)) == ["chat"]


def test_exemplars_of_open_incidents_overrule_everything():
    never = {"name": "n", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0}}
    drop = {"name": "drop", "type": "drop", "drop": {"drop_sub_policy": [ALL]}}
    processor, keep = sampler(never, drop)
    keep.replace([trace_id(1)])
    processor.process(TRACES, traces(span(1, "exemplar"), span(2)), 0.0)
    assert names_of(processor.due(10.0)) == ["exemplar"]
    keep.replace([trace_id(2)])  # it was dropped before; what still comes of it is kept
    assert names_of(processor.process(TRACES, traces(span(2, "later")), 11.0)) == ["later"]
    keep.replace([])
    assert processor.process(TRACES, traces(span(2)), 12.0) == []


def test_the_root_span_can_shorten_the_wait():
    processor, _ = sampler(ALL, decision_wait_after_root_received="1s")
    processor.process(TRACES, traces(span(1, "child", root=False)), 0.0)
    assert processor.due(5.0) == []
    processor.process(TRACES, traces(span(1, "root")), 5.0)
    assert names_of(processor.due(6.0)) == ["child", "root"]
    assert processor.due(math.inf) == []


def test_at_most_so_many_traces_wait_and_the_oldest_is_decided_early():
    processor, _ = sampler(ALL, num_traces=2)
    assert processor.process(TRACES, traces(span(1, "first"), span(2)), 0.0) == []
    assert names_of(processor.process(TRACES, traces(span(3)), 1.0)) == ["first"]
    assert processor.decided_early == 1
    assert names_of(processor.process(TRACES, traces(span(1, "follows")), 2.0)) == ["follows"]


def test_a_trace_that_grows_too_large_is_dropped_and_counted():
    processor, _ = sampler(ALL, maximum_trace_size_bytes=400)
    processor.process(TRACES, traces(span(1, "x" * 300), span(2, "small")), 0.0)
    processor.process(TRACES, traces(span(1, "x" * 300)), 1.0)
    assert processor.too_large == 1
    assert names_of(processor.due(10.0)) == ["small"]


def test_decisions_are_forgotten_when_their_cache_is_full():
    processor, _ = sampler(ALL, decision_cache={"sampled_cache_size": 1})
    processor.process(TRACES, traces(span(1), span(2)), 0.0)
    processor.due(10.0)
    assert names_of(processor.process(TRACES, traces(span(1, "waits again"), span(2, "follows")), 11.0)) == ["follows"]
    assert processor.waits_since() == 11.0


def test_one_more_thread_gets_one_of_its_own_with_the_same_settings():
    processor, keep = sampler(ERRORS)
    other = processor.alone()
    processor.process(TRACES, traces(span(1, status=2)), 0.0)
    assert other.due(math.inf) == []
    keep.replace([trace_id(7)])
    other.process(TRACES, traces(span(7, "kept"), span(8)), 0.0)
    assert names_of(other.due(10.0)) == ["kept"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.floats(0, 3)), max_size=40), st.integers(1, 4))
def test_every_span_of_a_kept_trace_comes_out_once(steps, limit):
    """Whatever the order and the pressure."""
    processor, _ = sampler(ALL, num_traces=limit)
    out, now = [], 0.0
    for place, (number, error, later) in enumerate(steps):
        now += later
        out += processor.process(TRACES, traces(span(number, str(place), status=2 if error else 0)), now)
        out += processor.due(now)
    out += processor.due(math.inf)
    assert sorted(names_of(out), key=int) == [str(place) for place in range(len(steps))]


@pytest.mark.parametrize("percentage", [1, 25, 60])
def test_a_share_is_a_share_and_the_same_one_every_time(percentage):
    ids = [os.urandom(16) for _ in range(8_000)]
    one, other, salted = (probabilistic(percentage, salt) for salt in ("", "", "salt"))
    picked = [trace for trace in ids if one(Trace(trace))]
    assert abs(len(picked) / len(ids) - percentage / 100) < 0.04
    assert picked == [trace for trace in ids if other(Trace(trace))]
    assert picked != [trace for trace in ids if salted(Trace(trace))]


def test_large_results_are_cut_into_several_requests():
    processor, _ = sampler(ALL)
    for number in range(30):
        processor.process(TRACES, traces(*[span(number) for _ in range(100)]), 0.0)
    requests = processor.due(10.0)
    assert [len(spans_of([one])) for one in requests] == [1000, 1000, 1000]


@pytest.mark.parametrize(
    ("given_settings", "mistake"),
    [
        ({}, "at least one policy must be specified under policies"),
        (
            {"policies": [{"name": "a", "type": "rate_limiting"}]},
            'does not have the policy type "rate_limiting" (valid values: [always',
        ),
        ({"policies": [ALL, ALL]}, 'duplicate policy name "all"'),
        ({"policies": [{"type": "status_code", "status_code": {}}]}, "expected at least one status code to filter on"),
        (
            {"policies": [{"type": "status_code", "status_code": {"status_codes": ["BAD"]}}]},
            'unknown status code "BAD", supported',
        ),
        (
            {"policies": [{"type": "latency", "latency": {"threshold": 5}}]},
            'unknown key "threshold" (valid values: [threshold_ms',
        ),
        (
            {"policies": [{"type": "numeric_attribute", "numeric_attribute": {"key": "a"}}]},
            "at least one of min_value and max_value",
        ),
        (
            {"policies": [{"type": "ottl_condition", "ottl_condition": {"span": ["x"]}}]},
            "span::0: condition has invalid syntax: 1:1",
        ),
        (
            {"policies": [{"type": "and", "and": {"and_sub_policy": [{"type": "frob"}]}}]},
            "and::and_sub_policy::0: the collector inside",
        ),
        ({"policies": [ALL], "num_traces": 0}, "num_traces: must be a whole number of at least 1, got 0"),
        ({"policies": [ALL], "sampling_strategy": "span-ingest"}, "does not have the sampling_strategy span-ingest"),
        ({"policies": [ALL], "decision_wait": 5}, "decision_wait: must be a duration like 200ms or 1s, got 5"),
    ],
)
def test_each_mistake_is_named(given_settings, mistake):
    found = refused("tail_sampling", given_settings)
    assert any(mistake in line for line in found), found


def test_it_stands_in_no_pipeline_of_metrics_and_in_none_that_is_counted():
    (mistake,) = refused("tail_sampling", {"policies": [ALL]}, "metrics")
    assert (
        'failed to create "tail_sampling" processor, in pipeline "metrics": telemetry type is not supported' in mistake
    )
    text = """
receivers: {otlp: {protocols: {grpc: }}}
processors: {tail_sampling/x: {policies: [{name: all, type: always_sample}]}}
exporters: {otlp/paramedic: }
service: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling/x], exporters: [otlp/paramedic]}}}
"""
    with pytest.raises(
        ConfigError, match='processor "tail_sampling/x" would hide what is counted: give it a pipeline of its'
    ):
        parse(text, {})
