"""`attributes`: actions in their order, on what include means and exclude does not."""

import hashlib
import struct

import pytest
from collector_process_kit import (
    LOGS,
    METRICS,
    TRACES,
    built,
    gauges,
    held,
    logs,
    metrics_of,
    records_of,
    refused,
    spans_of,
    traces,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from paramedic_collector.process.values import any_value, plain, text_of

OLD = {"a": 1, "t": "x=1;y=2", "f": 2.5, "b": True}


def after(*actions, old=None, **settings):
    """The attributes of a span after some actions."""
    request = traces({"name": "chat", "kind": 3, "attributes": OLD if old is None else old})
    processor = built("attributes", {"actions": list(actions), **settings})
    (span,) = spans_of(processor.process(TRACES, request, 0.0))
    return held(span)


def changed(**values):
    return {key: value for key, value in {**OLD, **values}.items() if value is not None}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"key": "new", "action": "insert", "value": "v"}, changed(new="v")),
        ({"key": "a", "action": "insert", "value": 2}, changed()),
        ({"key": "a", "action": "update", "value": 2}, changed(a=2)),
        ({"key": "new", "action": "update", "value": 2}, changed()),
        ({"key": "a", "action": "UPSERT", "value": [1, 2]}, changed(a=[1, 2])),
        ({"key": "new", "action": "upsert", "from_attribute": "t"}, changed(new="x=1;y=2")),
        ({"key": "new", "action": "upsert", "from_attribute": "none"}, changed()),
        ({"key": "new", "action": "insert", "from_attribute": "none", "default_value": "d"}, changed(new="d")),
        ({"key": "a", "action": "delete"}, changed(a=None)),
        ({"action": "delete", "pattern": "^[ab]$"}, changed(a=None, b=None)),
        ({"key": "t", "action": "hash"}, changed(t=hashlib.sha256(b"x=1;y=2").hexdigest())),
        ({"key": "a", "action": "hash"}, changed(a=hashlib.sha256(struct.pack("<q", 1)).hexdigest())),
        ({"key": "b", "action": "hash"}, changed(b=hashlib.sha256(b"\x01").hexdigest())),
        ({"key": "t", "action": "extract", "pattern": r"x=(?P<x>\d);y=(?<a>\d)"}, changed(x="1", a="2")),
        ({"key": "t", "action": "extract", "pattern": r"z=(?P<z>\d)"}, changed()),
        ({"key": "a", "action": "extract", "pattern": r"(?P<z>\d)"}, changed()),
        ({"key": "a", "action": "convert", "converted_type": "string"}, changed(a="1")),
        ({"key": "f", "action": "convert", "converted_type": "int"}, changed(f=2)),
        ({"key": "b", "action": "convert", "converted_type": "double"}, changed(b=1.0)),
        ({"key": "t", "action": "convert", "converted_type": "int"}, changed()),
    ],
)
def test_each_action_does_what_it_says(action, expected):
    found = after(action)
    assert found == expected
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in expected.items()}


def test_actions_see_what_the_ones_before_them_did():
    found = after(
        {"key": "c", "action": "insert", "from_attribute": "a"}, {"key": "a", "action": "delete"}, old={"a": 7}
    )
    assert found == {"c": 7}


def test_points_and_log_records_carry_attributes_too():
    settings = {"actions": [{"key": "a", "action": "upsert", "value": 1}]}
    (record,) = records_of(built("attributes", settings, "logs").process(LOGS, logs(("x", {}, 9)), 0.0))
    assert held(record) == {"a": 1}
    metrics = built("attributes", settings, "metrics").process(METRICS, gauges(m=[{}, {"b": 2}]), 0.0)
    assert metrics_of(metrics) == {"m": [{"a": 1}, {"a": 1, "b": 2}]}


@pytest.mark.parametrize(
    ("means", "it"),
    [
        ({"match_type": "strict", "services": ["bot"]}, True),
        ({"match_type": "strict", "services": ["bo"]}, False),
        ({"match_type": "regexp", "services": ["^b"]}, True),
        ({"match_type": "strict", "span_names": ["other", "chat"]}, True),
        ({"match_type": "strict", "span_kinds": ["SPAN_KIND_CLIENT"]}, True),
        ({"match_type": "strict", "services": ["bot"], "span_names": ["other"]}, False),
        ({"match_type": "strict", "attributes": [{"key": "a", "value": 1}, {"key": "b"}]}, True),
        ({"match_type": "strict", "attributes": [{"key": "a", "value": 1.0}]}, False),
        ({"match_type": "strict", "attributes": [{"key": "none"}]}, False),
        ({"match_type": "regexp", "attributes": [{"key": "t", "value": "y=."}]}, True),
        ({"match_type": "strict", "resources": [{"key": "service.name", "value": "bot"}]}, True),
    ],
)
def test_include_and_exclude_ask_for_all_that_they_name(means, it):
    action = {"key": "hit", "action": "insert", "value": True}
    assert ("hit" in after(action, include=means)) is it
    assert ("hit" in after(action, exclude=means)) is not it


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, 'missing required field "actions"'),
        ({"actions": [{"key": "a", "action": "frob"}]}, 'error creating AttrProc due to unsupported action "frob"'),
        ({"actions": [{"action": "insert", "value": 1}]}, 'missing required field "key"'),
        ({"actions": [{"key": "a", "action": "insert"}]}, 'or "default_value" must be specified'),
        (
            {"actions": [{"key": "a", "action": "insert", "value": 1, "from_attribute": "b"}]},
            "multiple value sources being set",
        ),
        ({"actions": [{"action": "delete"}]}, 'at least one of "key" and "pattern" have to be used'),
        ({"actions": [{"key": "a", "action": "delete", "value": 1}]}, 'Action "delete" does not use the "value" field'),
        ({"actions": [{"key": "a", "action": "extract"}]}, 'missing required field "pattern" for action "extract"'),
        ({"actions": [{"key": "a", "action": "extract", "pattern": "x"}]}, "contains no named matcher groups"),
        (
            {"actions": [{"key": "a", "action": "extract", "pattern": "(x)(?P<y>y)"}]},
            "at least one unnamed matcher group",
        ),
        ({"actions": [{"key": "a", "action": "hash", "pattern": "("}]}, "error compiling regex '('"),
        (
            {"actions": [{"key": "a", "action": "convert"}]},
            'missing required field "converted_type" for action "convert"',
        ),
        (
            {"actions": [{"key": "a", "action": "convert", "converted_type": "bool"}]},
            'invalid value "bool" in field "conv',
        ),
        (
            {"actions": [{"key": "a", "action": "insert", "from_context": "x"}]},
            'does not have the setting "from_context"',
        ),
        ({"actions": [{"key": "a", "action": "delete"}], "include": {"services": ["a"]}}, '"match_type" is required'),
        (
            {"actions": [{"key": "a", "action": "delete"}], "include": {"match_type": "strict"}},
            "at least one of services",
        ),
        (
            {"actions": [{"key": "a", "action": "delete"}], "include": {"match_type": "strict", "log_bodies": ["x"]}},
            "telemetry type is not supported, or is not what its include and exclude ask about",
        ),
    ],
)
def test_each_mistake_is_named(settings, mistake):
    found = refused("attributes", settings)
    assert any(mistake in line for line in found), found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_values_come_back_as_they_went_in(value):
    stored = AnyValue.FromString(any_value(value).SerializeToString())
    assert plain(stored) == value
    assert isinstance(text_of(value), str)


def test_values_are_written_as_the_collector_writes_them():
    written = [text_of(value) for value in (None, True, 1.0, 2.5, 1e300, b"\x01\x02", [1, "a"], {"k": [True]})]
    assert written == ["", "true", "1", "2.5", "1e+300", "AQI=", '[1,"a"]', '{"k":[true]}']
