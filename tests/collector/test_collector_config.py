"""otel-config.yaml: the Collector's grammar, and every mistake told at once."""

from pathlib import Path

import pytest

from paramedic_collector.config.load import ConfigError, load, parse
from paramedic_collector.otlp import Signal

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
    assert config.memory_bytes == 512 << 20


def test_everything_that_was_asked_for_is_read():
    config = parse(GOOD, {"HTTP": "[::1]:9999"})
    assert endpoints(config) == ("localhost:4317", "[::1]:9999")
    assert (config.receivers[0].grpc.limit_bytes, config.receivers[0].http.limit_bytes) == (8 << 20, 1000)
    assert config.memory_bytes == 64 << 20
    assert config.windows == {Signal.TRACES}
    assert config.debug == {Signal.TRACES, Signal.LOGS}


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
            "processors:\n  tail_sampling: {}\n",
            'unknown type: "tail_sampling" for id: "tail_sampling"',
        ),
        (
            "exporters:\n",
            "exporters:\n  kafka/x: {}\n",
            'unknown type: "kafka" for id: "kafka/x" (valid values: [debug',
        ),
        ("exporters:\n", "exporters:\n  otlp/backend: {}\n", "run this file with the OpenTelemetry Collector"),
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
    assert 'scheme "file" is not supported' in mistakes(GOOD.replace('"localhost:4317"', '"${file:x}"'))[0]


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the file: No such file or directory"):
        load(tmp_path / "nope.yaml", {})
