"""OTTL conditions: what they mean, and where they cannot be understood."""

import contextlib
import operator

import pytest
from collector_process_kit import put_all
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from paramedic_collector.process.ottl import OttlSyntaxError, parse, parse_inferred
from paramedic_collector.process.ottl_values import OttlError
from paramedic_collector.process.values import put

SPAN = ("resource", "scope", "span")


def scene():
    resource, span = Resource(), Span(name="chat", kind=Span.SPAN_KIND_CLIENT, trace_id=b"\x01" * 16)
    put_all(resource.attributes, {"service.name": "bot"})
    put_all(
        span.attributes,
        {"n": 5, "f": 2.5, "t": "text", "b": True, "list": [1, "x"], "map": {"a": {"b": 1}}, "raw": b"\x01"},
    )
    span.start_time_unix_nano, span.end_time_unix_nano = 1_000, 3_000
    span.status.code, span.status.message = 2, "boom"
    span.parent_span_id = b"\x02" * 8
    return {"resource": resource, "scope": InstrumentationScope(name="lib", version="1"), "span": span}


def holds(text, context=SPAN, around=None):
    return parse(text, context)(around or scene())


@pytest.mark.parametrize(
    "text",
    [
        'name == "chat"',
        'span.name == "chat" and resource.attributes["service.name"] == "bot"',
        'instrumentation_scope.name == "lib" and scope.version == "1"',
        "kind == SPAN_KIND_CLIENT and kind == 3",
        'kind.string == "Client"',
        'status.code == STATUS_CODE_ERROR and status.message == "boom"',
        'trace_id.string == "01010101010101010101010101010101"',
        "end_time_unix_nano - start_time_unix_nano == 2000",
        "(end_time_unix_nano - start_time_unix_nano) / 1000 >= 2",
        "1 + 2 * 3 == 7",
        "1 + 1.5 == 2.5 and nil <= nil",
        "-7 / 2 == -3",  # towards zero, as Go divides
        'attributes["n"] == 5.0',
        'attributes["n"] > 4.9 and attributes["f"] < 3',
        'attributes["b"] == true and attributes["raw"] == 0x01',
        'attributes["none"] == nil and attributes["n"] != nil',
        'attributes["map"]["a"]["b"] == 1 and attributes["list"][1] == "x"',
        'attributes["list"] == [1, "x"]',
        'not (name == "x" or kind == SPAN_KIND_SERVER)',
        'not name == "x"',
        'name == "x" or name == "y" or name == "chat"',
        "true and not false",
        'IsMatch(name, "^ch") and not IsMatch(name, "^at")',
        'IsMatch(attributes["n"], "5") and not IsMatch(attributes["none"], ".*")',
        'HasPrefix(name, "ch") and HasSuffix(name, "at")',
        'IsString(name) and IsInt(attributes["n"]) and IsDouble(attributes["f"]) and IsBool(attributes["b"])',
        'IsMap(attributes["map"]) and IsList(attributes["list"]) and not IsString(attributes["none"])',
        'Len(name) == 4 and Len(attributes["list"]) == 2',
        'Int("7") == 7 and Double("1.5") == 1.5 and String(attributes["n"]) == "5" and Int(attributes["none"]) == nil',
        "not IsRootSpan()",
        '"a\\"b" == "a\\"b" and "tab\\t" != "tab"',
        'attributes == attributes and name\n== "chat"',
    ],
)
def test_what_is_true_of_the_span_holds(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text", ['name == "x"', 'name != "chat"', "kind > 3", 'attributes["none"] < 1', "false", 'nil == ""']
)
def test_what_is_not_true_of_it_does_not(text):
    assert not holds(text)


def test_and_binds_tighter_than_or_and_not_tighter_than_both():
    assert holds("true or true and false")
    assert not holds("(true or true) and false")
    assert holds("not false and true")
    assert not holds("not (false or true)")


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_values_of_different_types_are_only_ever_unequal(sign):
    values = ['"1"', "1", "true", "nil", "0x01"]
    for left in values:
        for right in values:
            if left != right:
                assert holds(f"{left} {sign} {right}") is (sign == "!=")


SIGNS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6).map(lambda number: round(number, 3))


@given(left=NUMBERS, sign=st.sampled_from(sorted(SIGNS)), right=NUMBERS)
def test_numbers_compare_as_numbers(left, sign, right):
    assert holds(f"{left:f} {sign} {right:f}") is SIGNS[sign](float(f"{left:f}"), float(f"{right:f}"))


@st.composite
def truths(draw, deep=3):
    """A condition as text for OTTL and for Python, whose oracle is Python's own reading."""
    if not deep or draw(st.booleans()):
        number = draw(st.integers(0, 9))
        return (f'attributes["n"] == {number}', str(number == 5)) if draw(st.booleans()) else ("true", "True")
    left, right = draw(truths(deep - 1)), draw(truths(deep - 1))
    word = draw(st.sampled_from(["and", "or", "not"]))
    if word == "not":
        return f"not ({left[0]})", f"not ({left[1]})"
    bare = draw(st.booleans())
    return tuple(f"{a} {word} {b}" if bare else f"({a} {word} {b})" for a, b in zip(left, right, strict=True))


@given(truths())
def test_any_nesting_means_what_the_same_words_mean_in_python(both):
    ottl, python = both
    assert holds(ottl) is eval(python)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ('name == "x" && kind == 1', 13, 'unexpected token "&" (expected and, or, a comparison or the end)'),
        ("", 1, 'unexpected token "end of condition" (expected a path'),
        ("name ==", 8, 'unexpected token "end of condition"'),
        ('(name == "x"', 13, 'unexpected token "end of condition" (expected ")")'),
        ("name", 1, "a value stands where a comparison, a converter, true or false is expected"),
        ("true and name", 10, "a value stands where a comparison"),
        ("not name", 5, "a value stands where"),
        ('(name == "x") == true', 1, "a comparison stands where a value is expected"),
        (
            "nmae == 1",
            1,
            'segment "nmae" from path "nmae" is not a valid path of the span context (valid values: [attr',
        ),
        ("metric.name == 1", 1, 'segment "metric" from path "metric.name" is not a valid path'),
        ("kind == SPAN_KIND_ROBOT", 9, "enum symbol SPAN_KIND_ROBOT not found"),
        ('Frob(name) == "x"', 1, 'undefined function "Frob" (valid values: [Double'),
        ("IsMatch(name)", 1, "IsMatch is called with 1 values, and takes target, pattern"),
        ('IsMatch(name, "(")', 1, "error compiling regex '('"),
        ('HasAttrKeyOnDatapoint("a")', 1, "HasAttrKeyOnDatapoint needs a metric"),
        ('attributes["x == 1', 12, 'unexpected token """'),
        ("name == 'x'", 9, 'unexpected token "\'"'),
        ("name. == 1", 7, 'unexpected token "==" (expected a name)'),
        ("(" * 60 + "true" + ")" * 60, 52, "more than 50 brackets inside each other"),
    ],
)
def test_a_mistake_names_its_column_and_shows_the_condition(text, column, message):
    with pytest.raises(OttlSyntaxError) as caught:
        parse(text, SPAN)
    shown = str(caught.value)
    assert shown.startswith(f"condition has invalid syntax: 1:{column}: {message}"), shown
    assert shown.endswith(f" in: {text}")


@given(st.text(alphabet=st.sampled_from(list('name ()[]."\\=<>+-*/19,andortulse\n')), max_size=40))
def test_no_text_fails_in_any_other_way(text):
    try:
        condition = parse(text, SPAN)
    except OttlSyntaxError:
        return
    with contextlib.suppress(OttlError):
        assert isinstance(condition(scene()), bool)


@pytest.mark.parametrize(
    "text",
    [
        'HasPrefix(attributes["n"], "x")',
        'attributes["t"] + 1 == 2',
        "1 / 0 == 1",
        'attributes["list"][9] == nil',
        'Int("x") == nil',
        'Int(" 7") == 7',
        'Int("1_0") == 10',
        'Int(attributes["list"]) == nil',
        'Len(attributes["n"]) == 1',
    ],
)
def test_what_cannot_be_answered_is_an_error_and_no_answer(text):
    with pytest.raises(OttlError):
        holds(text)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ('resource.attributes["a"] == nil', "resource"),
        ('scope.name == "x" and resource.attributes["a"] == nil', "scope"),
        ('span.name == "x"', "span"),
        ('resource.attributes["a"] == nil or spanevent.name == "x"', "spanevent"),
        ('IsRootSpan() and resource.attributes["a"] == nil', "span"),
    ],
)
def test_a_condition_belongs_to_the_innermost_context_that_it_reads(text, context):
    assert parse_inferred(text, ("resource", "scope", "span", "spanevent"))[0] == context


def test_without_a_list_that_says_the_context_every_path_must_say_it():
    with pytest.raises(
        OttlSyntaxError, match='the path "name" must begin with its context, one of resource, scope, span'
    ):
        parse_inferred('name == "x"', SPAN)
    with pytest.raises(OttlSyntaxError, match="unable to infer a context"):
        parse_inferred("IsRootSpan()", SPAN)


def test_log_records_are_read_by_severity_and_body():
    record = LogRecord(severity_number=13, severity_text="warn")
    put(record.body, {"message": "no", "code": 7})
    around, context = (
        {"resource": Resource(), "scope": InstrumentationScope(), "log": record},
        ("resource", "scope", "log"),
    )
    assert holds("severity_number >= SEVERITY_NUMBER_WARN and severity_number < SEVERITY_NUMBER_ERROR", context, around)
    assert holds('body["code"] == 7 and severity_text == "warn"', context, around)
    assert holds('IsMatch(body, "\\"message\\":\\"no\\"") and log.body.string != ""', context, around)


def test_metrics_are_read_by_type_and_their_points_by_value():
    metric = Metric(name="m", unit="s")
    metric.sum.aggregation_temporality = 2
    metric.sum.is_monotonic = True
    point = metric.sum.data_points.add(as_double=1.5)
    put_all(point.attributes, {"a": "b"})
    around = {"resource": Resource(), "scope": InstrumentationScope(), "metric": metric, "datapoint": point}
    of_metric, of_point = ("resource", "scope", "metric"), ("resource", "scope", "metric", "datapoint")
    assert holds('type == METRIC_DATA_TYPE_SUM and unit == "s" and is_monotonic == true', of_metric, around)
    assert holds("aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE", of_metric, around)
    assert holds('HasAttrKeyOnDatapoint("a") and HasAttrOnDatapoint("a", "b")', of_metric, around)
    assert not holds('HasAttrKeyOnDatapoint("c") or HasAttrOnDatapoint("a", "c")', of_metric, around)
    assert holds('metric.name == "m" and value_double == 1.5 and attributes["a"] == "b"', of_point, around)
