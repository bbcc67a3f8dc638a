"""otel-config.yaml: the Collector's grammar, and every mistake told at once."""

import contextlib
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from paramedic_collector.config.load import ConfigError, load, parse
from paramedic_collector.config.model import DebugExporter
from paramedic_collector.config.parts import TYPES
from paramedic_collector.config.sampling import READERS
from paramedic_collector.config.settings import seconds_of
from paramedic_collector.otlp import Signal
from paramedic_collector.process.ottl_paths import ENUMS, FIELDS
from paramedic_collector.process.ottl_values import FUNCTIONS

GOOD = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "localhost:4317", max_recv_msg_size_mib: 8}
      http: {endpoint: "${env:HTTP:-localhost:4318}", max_request_body_size: 1000}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 64}
  batch: {timeout: 200ms}
exporters:
  otlp/paramedic: {endpoint: "localhost:4327", tls: {insecure: true}}
  debug: {verbosity: basic}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp/paramedic, debug]}
    logs: {receivers: [otlp], exporters: [debug]}
"""


WORDS = st.sampled_from(
    [
        *(kind for kinds in TYPES.values() for kind in kinds),
        *("protocols", "grpc", "http", "endpoint", "tls", "headers", "actions", "policies", "pipelines", "traces"),
        *("receivers", "exporters", "trace_conditions", "traces", "span", "include", "attributes", "key", "type"),
    ]
)


def mistakes(text, env=None):
    with pytest.raises(ConfigError) as caught:
        parse(text, env or {})
    assert all(line.startswith("otel-config.yaml: ") for line in str(caught.value).split("\n"))
    return caught.value.mistakes


def endpoints(config):
    return tuple(str(one and one.endpoint) for one in (config.receivers[0].grpc, config.receivers[0].http))


def test_the_file_that_ships_is_right():
    config = load(Path(__file__).parents[2] / "otel-config.yaml", {})
    assert endpoints(config) == ("localhost:4317", "localhost:4318")
    assert config.windows == frozenset(Signal)
    assert config.memory_bytes == 768 << 20


def test_everything_that_was_asked_for_is_read():
    config = parse(GOOD, {"HTTP": "[::1]:9999"})
    assert endpoints(config) == ("localhost:4317", "[::1]:9999")
    assert (config.receivers[0].grpc.limit_bytes, config.receivers[0].http.limit_bytes) == (8 << 20, 1000)
    assert (config.memory_bytes, config.memory_spike_bytes) == (64 << 20, 0)
    assert config.windows == {Signal.TRACES}
    assert config.debug == {Signal.TRACES, Signal.LOGS}


def test_the_hand_off_is_no_exporter_of_its_pipeline():
    traces, logs = parse(GOOD, {}).pipelines
    assert [type(one) for one in traces.exporters] == [DebugExporter]
    assert (traces.name, traces.signal, traces.windows, logs.windows) == ("traces", Signal.TRACES, True, False)


def test_several_pipelines_of_a_signal_stand_side_by_side():
    config = parse(GOOD.replace("    logs:", "    traces/more: {receivers: [otlp], exporters: [debug]}\n    logs:"), {})
    assert [one.name for one in config.pipelines] == ["traces", "traces/more", "logs"]


def test_two_pipelines_that_would_count_the_same_signal_twice_are_refused():
    more = "    traces/more: {receivers: [otlp], exporters: [otlp/paramedic, debug]}\n    logs:"
    assert mistakes(GOOD.replace("    logs:", more)) == [
        "service::pipelines::traces/more: exports to paramedic, as traces does: traces would be counted twice, so "
        "leave that exporter out of one of them"
    ]


def test_every_receiver_must_feed_every_pipeline():
    two = GOOD.replace("processors:\n", '  otlp/b: {protocols: {grpc: {endpoint: "localhost:1"}}}\nprocessors:\n', 1)
    assert [one.name for one in parse(two.replace("[otlp]", "[otlp, otlp/b]"), {}).receivers] == ["otlp", "otlp/b"]
    (mistake,) = mistakes(two.replace("receivers: [otlp], exp", "receivers: [otlp/b, otlp], exp"))
    assert mistake == (
        "service::pipelines::traces: takes from otlp but not from otlp/b: every receiver of the collector inside "
        "paramedic feeds every pipeline, so name all of them in each"
    )
    assert [one.name for one in parse(two, {}).receivers] == ["otlp"]  # one that no pipeline names does not listen


def test_a_mistake_in_a_component_is_not_told_again_where_it_is_used():
    text = GOOD.replace("exporters:\n", "exporters:\n  kafka: {}\n").replace("exporters: [debug]", "exporters: [kafka]")
    assert len(mistakes(text)) == 1


def test_both_names_of_the_hand_off_work():
    assert parse(GOOD.replace("otlp/paramedic", "otlp_grpc/paramedic"), {}).windows == {Signal.TRACES}


def test_a_protocol_that_is_not_named_is_not_served():
    config = parse(GOOD.replace('grpc: {endpoint: "localhost:4317", max_recv_msg_size_mib: 8}', ""), {})
    assert config.receivers[0].grpc is None


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (
            "processors:\n",
            "processors:\n  k8s_attributes/x: {}\n",
            'unknown type: "k8s_attributes" for id: "k8s_attributes/x" (valid values: [attributes batch filter '
            "memory_limiter redaction tail_sampling]); the collector inside paramedic does not have it: run this file "
            "with the OpenTelemetry Collector",
        ),
        (
            "exporters:\n",
            "exporters:\n  kafka/x: {}\n",
            'unknown type: "kafka" for id: "kafka/x" (valid values: [debug',
        ),
        (
            "exporters:\n",
            "exporters:\n  otlp/backend: {}\n",
            'exporters::otlp/backend: requires a non-empty "endpoint"',
        ),
        ("service:\n", "connectors: {span_metrics: {}}\nservice:\n", 'connectors: unknown type: "span_metrics"'),
        ("exporters:\n", "exporters:\n  debug/: {}\n", 'in "debug/" id: the part after / should not be empty'),
        ("exporters:\n", "exporters:\n  /x: {}\n", 'in "/x" id: the part before / should not be empty'),
        ("exporters:\n", "exporters:\n  1x: {}\n", 'in "1x" id: invalid character(s) in type "1x"'),
        ("exporters:\n", "exporters:\n  debug/a b: {}\n", 'invalid character(s) in name "a b"'),
        ("limit_mib: 64", "limit_mib: 0", "'limit_mib' or 'limit_percentage' must be greater than zero"),
        ("limit_mib: 64", "limit_percentage: 50", 'does not have the setting "limit_percentage": run this file with'),
        ("limit_mib: 64", "limit_mib: 64, spike_limit_mib: 64", "'spike_limit_mib' must be smaller than 'limit_mib'"),
        ("verbosity: basic", "verbosity: loud", 'verbosity level "loud" is not supported'),
        ("service:\n", "service:\n  extensions: health_check\n", "service::extensions: expected a list"),
        ("receivers: [otlp], exp", "receivers: otlp, exp", "service::pipelines::logs::receivers: expected a list"),
        ("receivers: [otlp], exp", "receivers: [x], exp", 'service::pipelines::logs: references receiver "x" which is'),
        ("exporters: [debug]", "exporters: []", "service::pipelines::logs: must have at least one exporter"),
        ("[memory_limiter, batch]", "[batch, batch]", 'references processor "batch" multiple times'),
        ("timeout: 200ms", "timeout_s: 5", 'processors::batch: unknown key "timeout_s" (valid values: [timeout'),
        ("timeout: 200ms", "timeout: -5", "processors::batch::timeout: must be a duration like 200ms or 1s, got -5"),
        ("check_interval: 1s", "check_interval: 0s", "'check_interval' must be greater than zero"),
        ('"localhost:4317"', '"localhost"', "receivers::otlp::protocols::grpc::endpoint: must be host:port"),
        ('"localhost:4317"', '"localhost:99999"', "got 'localhost:99999'"),
        ("max_recv_msg_size_mib: 8", "max_recv_msg_size_mib: big", "must be a whole number of at least 0, got 'big'"),
        ("    logs:", "    profiles:", 'unknown signal "profiles" (valid values: [traces metrics logs])'),
        ("service:\n", "extras: 1\nservice:\n", 'unknown section "extras"'),
        ("service:\n", "service:\n  extensions: [health_check]\n", 'references extension "health_check" which is not'),
        ("grpc: {", "thrift: {}\n      grpc: {", 'unknown key "thrift" (valid values: [grpc http])'),
    ],
)
def test_each_mistake_is_named_in_one_line(old, new, mistake):
    assert old in GOOD
    found = mistakes(GOOD.replace(old, new))
    assert any(mistake in line for line in found), found


def test_all_mistakes_come_at_once():
    text = (
        GOOD.replace("200ms", "soon")
        .replace("limit_mib: 64", "limit_mib: 0")
        .replace("exporters: [debug]", "exporters: [x]")
    )
    assert len(mistakes(text)) == 3


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words"])
def test_a_file_that_is_no_map_is_refused(text):
    assert len(mistakes(text)) == 1


def test_broken_yaml_names_line_and_column():
    (mistake,) = mistakes("receivers:\n  otlp: [\n")
    assert "line 3, column 1" in mistake


def test_a_pipeline_is_needed():
    assert "service must have at least one pipeline" in mistakes(
        "receivers: {otlp: }\nexporters: {debug: }\nservice: {}"
    )


def test_environment_references_follow_the_collectors_grammar():
    text = GOOD.replace('"localhost:4317"', '"${HOST}:${env:PORT:-4317}"')
    assert endpoints(parse(text, {"HOST": "127.0.0.1"}))[0] == "127.0.0.1:4317"
    assert "environment variable" in mistakes(GOOD.replace('"localhost:4317"', '"${env:1x}"'))[0]
    strange = mistakes(GOOD.replace('"localhost:4317"', '"${http://x}"'))[0]
    assert 'scheme "http" is not supported for uri "http://x" (valid values: [env file])' in strange


def test_a_variable_that_is_set_to_nothing_does_not_get_the_default():
    assert mistakes(GOOD, {"HTTP": ""}) == [
        "receivers::otlp::protocols::http::endpoint: must be host:port with a port from 0 to 65535, got ''"
    ]


def test_two_dollars_are_one_and_what_follows_is_left_alone():
    text = GOOD.replace("debug: {verbosity: basic}", 'debug: {output_paths: ["$${HOST}"]}')
    assert parse(text, {}).pipelines[0].exporters


def test_a_reference_can_stand_for_a_file(tmp_path):
    (tmp_path / "port").write_text("localhost:7\n")
    text = GOOD.replace('"localhost:4317"', f"'${{file:{tmp_path / 'port'}}}'")
    assert endpoints(parse(text, {}))[0] == "localhost:7"
    (tmp_path / "limits").write_text("{check_interval: 1s, limit_mib: 3}")
    text = GOOD.replace("{check_interval: 1s, limit_mib: 64}", f"'${{file:{tmp_path / 'limits'}}}'")
    assert parse(text, {}).memory_bytes == 3 << 20
    assert "unable to read the file" in mistakes(GOOD.replace('"localhost:4317"', '"${file:/no/such}"'))[0]


@given(hours=st.integers(0, 99), minutes=st.integers(0, 99), ms=st.integers(0, 9999))
def test_durations_are_read_as_go_reads_them(hours, minutes, ms):
    assert seconds_of(f"{hours}h{minutes}m{ms}ms") == pytest.approx(hours * 3600 + minutes * 60 + ms / 1000)
    assert seconds_of(f"-{ms}us") == pytest.approx(-ms / 1e6)
    assert seconds_of(f"{hours}.5s") == hours + 0.5


@pytest.mark.parametrize("text", ["", "5", "1 s", "s", "1d", "1s2", "++1s", "１s"])
def test_what_go_would_not_read_is_no_duration(text):
    assert seconds_of(text) is None


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_fail_in_any_other_way(text):
    with pytest.raises(ConfigError):
        parse(text, {})


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["otlp", "1s", "x", "${env:X}", "traces"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=100, deadline=None)
@given(TREES, st.sampled_from(["receivers", "processors", "exporters", "extensions", "service"]))
def test_no_shape_of_a_section_makes_the_reader_fail_in_any_other_way(tree, section):
    document = yaml.safe_load(GOOD) | {section: tree}
    with contextlib.suppress(ConfigError):
        parse(yaml.safe_dump(document), {})


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the file: No such file or directory"):
        load(tmp_path / "nope.yaml", {})


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "otel-config.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n")[1].strip())
def test_the_examples_of_the_reference_are_right(example):
    """Those that show one section stand in a whole file, with a pipeline that names all of it."""
    given_parts = yaml.safe_load(example)
    document = yaml.safe_load(EXAMPLES[0]) | given_parts
    if "service" not in given_parts:
        pipeline = {"receivers": ["otlp"], "exporters": ["debug"]} | {
            key: list(part) for key, part in given_parts.items()
        }
        document["exporters"] = {"debug": None} | document["exporters"]
        document["service"] = {"pipelines": {"traces": pipeline}}
    config = parse(yaml.safe_dump(document), {})
    assert config.pipelines[0].processors or config.pipelines[0].exporters or config.windows


def test_the_reference_names_everything_that_there_is():
    words = set(re.findall(r"[A-Za-z0-9_.:/-]+", PAGE))
    for kinds in (*TYPES.values(), READERS, FUNCTIONS, *FIELDS.values(), *FIELDS.values()):
        assert set(kinds) <= words, set(kinds) - words
    for enum in ENUMS:
        assert any(f"`{enum[: end + 1]}*`" in PAGE for end, letter in enumerate(enum) if letter == "_"), enum


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("processors:\n", "processors:\n  k8s_attributes: {}\n"),
        ("debug: {", "otlp_http: {endpoint: 'http://x', proxy_url: y}\n  debug: {"),
        ("timeout: 200ms", "timeout_s: 5"),
        ("exporters: [debug]", "exporters: [x]"),
        ("exporters: [debug]", "exporters: []"),
        ("batch: {", "filter: {trace_conditions: ['span.name = \"x\"']}\n  batch: {"),
    ],
)
def test_the_lines_of_the_reference_are_those_that_are_printed(old, new):
    (line,) = mistakes(GOOD.replace(old, new, 1))
    assert line in PAGE
