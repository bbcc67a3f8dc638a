"""Both engines make the same of the same requests: the OpenTelemetry Collector's processors are the oracle for ours."""

import base64
import copy
import json
import os
import random
import subprocess
import time
import urllib.request
from functools import cache
from pathlib import Path

import pytest
import yaml
from collector_process_kit import LOGS, METRICS, TRACES, gauges, logs, put_all, traces
from google.protobuf import json_format

from paramedic_collector.config.load import parse

BINARY = Path(__file__).parents[2] / "build/otelcol/otelcol"
CASES = yaml.safe_load((Path(__file__).parent / "processor_cases.yaml").read_text())
CARD = "4111111111111111"
SIGNALS = {"traces": TRACES, "logs": LOGS, "metrics": METRICS}

# A machine without Go may leave it out; continuous integration builds it, and fails where it is missing.
pytestmark = pytest.mark.skipif(
    not BINARY.exists() and not os.environ.get("CI"), reason="the OpenTelemetry Collector is not built: make otelcol"
)

ATTRIBUTES = {
    "n": 5,
    "f": 2.5,
    "one": 1.0,
    "b": True,
    "text": "x=1;y=2",
    "empty": "",
    "raw": b"\x01",
    "list": [1, "x"],
    "map": {"a": {"b": 1}},
    "card": f"card {CARD}.",
    "number": int(CARD),
    "word": "x1",
    "blank": " 7",
    "line": "1_0",
    "large": "9" * 20,
    "endless": "inf",
}


def span(trace, name, **fields):
    return {"trace_id": trace, "span_id": b"\x01" * 8, "name": name, **fields}


@cache
def requests():
    """By signal, what is sent: a chat with everything in it, a ping, and many traces of one span."""
    events = {"said": {"card": CARD}, "grpc.out": {"z": 1}}
    times = {"start_time_unix_nano": 1_000, "end_time_unix_nano": 3_000}
    more = {"attributes": ATTRIBUTES, "events": events, "parent_span_id": b"\x02" * 8}
    chat = span(b"\x01" * 16, "chat", kind=3, status=2, **times, **more)
    ping = span(b"\x03" * 16, "ping", kind=2, start_time_unix_nano=5, end_time_unix_nano=2_000_005)
    tool = span(b"\x01" * 16, "tool", status=2, parent_span_id=b"\x01" * 8)
    dice = random.Random(5)
    many = [span(dice.randbytes(16), "many") for _ in range(50)]
    body = {"list": ["fine", {"card": CARD}], "card": CARD, "n": 5}
    records = logs((body, {"card": CARD}, 17), ("a secret", {}, 5), resource={"service.name": "bot"})
    points = gauges(cpu=[{"core": 1}, {"core": 2, "card": CARD}], memory=[{}])
    put_all(points.resource_metrics[0].resource.attributes, {"service.name": "bot"})
    resource = {"service.name": "bot", "card": CARD}
    return {
        "traces": traces(chat, ping, tool, *many, resource=resource, scope="lib"),
        "logs": records,
        "metrics": points,
    }


@cache
def cases():
    """By name, (signal, type of the processor, settings)."""
    found = []
    for signal in SIGNALS:
        key = f"{signal.removesuffix('s')}_conditions"
        for text in CASES[f"conditions of {signal}"]:
            reads = signal != "traces" or any(f"{one}." in text for one in ("span", "spanevent", "resource", "scope"))
            whole = text if reads else f'span.name == "chat" and {text}'
            found.append((signal, "filter", {"error_mode": "silent", key: [whole]}))
        found += [(signal, "redaction", one) for one in CASES["redactions"]]
    actions = [*CASES["actions"], *({"key": key, "action": "hash"} for key in ATTRIBUTES)]
    actions += [
        {"key": key, "action": "convert", "converted_type": to} for key in ATTRIBUTES for to in CASES["converted"]
    ]
    found += [("traces", "attributes", {"actions": [one]}) for one in actions]
    hit = {"key": "hit", "action": "insert", "value": True}
    found += [
        ("traces", "attributes", {"actions": [hit], how: one})
        for one in CASES["matches"]
        for how in ("include", "exclude")
    ]
    kept = {"name": "all", "type": "always_sample"}
    for one in CASES["policies"]:
        policies = [{"name": "x", **one}, *([kept] if one["type"] == "drop" else [])]
        found.append(("traces", "tail_sampling", {"decision_wait": "1s", "policies": policies}))
    return {f"{kind}/{number}": (signal, kind, settings) for number, (signal, kind, settings) in enumerate(found)}


def document(folder):
    """One receiver, and for each case a pipeline that ends in a file."""
    files = {name: folder / name.replace("/", "-") for name in cases()}
    pipelines = {
        f"{signal}/{number}": {"receivers": ["otlp"], "processors": [name], "exporters": [f"file/{number}"]}
        for number, (name, (signal, _, _)) in enumerate(cases().items())
    }
    return files, {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "localhost:0"}}}},
        "processors": {name: settings for name, (_, _, settings) in cases().items()},
        "exporters": {
            f"file/{number}": {"path": str(path), "flush_interval": "100ms"}
            for number, path in enumerate(files.values())
        },
        "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": pipelines},
    }


def send(port):
    for signal, request in requests().items():
        asked = urllib.request.Request(f"http://localhost:{port}/v1/{signal}", request.SerializeToString())
        asked.add_header("content-type", "application/x-protobuf")
        with urllib.request.urlopen(asked, timeout=20) as answer:
            assert answer.status == 200


def port_of(process):
    """The port that the system gave it, as its log says."""
    said = []
    for line in process.stderr:
        said.append(line)
        if "Starting HTTP server" in line:
            return int(json.loads(line[line.index("{") :])["endpoint"].rpartition(":")[2])
    raise AssertionError("the OpenTelemetry Collector did not start: " + "".join(said))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """What the Collector has written for each case, once nothing is pending any more."""
    folder = tmp_path_factory.mktemp("otelcol")
    files, whole = document(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(whole))
    command = [BINARY, "--config", folder / "config.yaml"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        send(port_of(process))
        sampled = [path for name, path in files.items() if name.startswith("tail_sampling")]
        deadline = time.monotonic() + 20
        while any(not path.stat().st_size for path in sampled) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.terminate()  # it writes what it has before it ends
        process.communicate(timeout=20)
    return files


def read(path, signal):
    """The requests in a file of the Collector, whose ids are hexadecimal where protobuf's JSON wants base64."""
    return [
        json_format.ParseDict(_ids(json.loads(line)), type(requests()[signal])(), ignore_unknown_fields=True)
        for line in path.read_text().splitlines()
    ]


def _ids(value):
    if isinstance(value, list):
        return [_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in ids else _ids(one) for key, one in value.items()
    }


def plain_items(signal, given):
    """Every item with its resource and scope, as text, in an order that does not depend on how requests are cut."""
    top, middle, bottom = {
        "traces": ("resource_spans", "scope_spans", "spans"),
        "logs": ("resource_logs", "scope_logs", "log_records"),
        "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    }[signal]
    items = []
    for request in given:
        for group in getattr(request, top):
            for inner in getattr(group, middle):
                for item in getattr(inner, bottom):
                    _sort(item)
                    items.append(f"{_sort(group.resource)}{inner.scope}{item}")
    return sorted(items)


def _sort(message):
    """Attributes have no order."""
    message_type = message.DESCRIPTOR
    for field, value in message.ListFields():
        if field.name == "attributes":
            value.sort(key=lambda one: one.key)
        elif field.message_type is not None and message_type.full_name != field.message_type.full_name:
            for one in value if field.is_repeated else [value]:
                _sort(one)
    return message


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    _, whole = document(tmp_path_factory.mktemp("ours"))
    return {one.processors[0].name: one.processors[0] for one in parse(yaml.safe_dump(whole), {}).pipelines}


@pytest.mark.parametrize("name", cases())
def test_both_engines_make_the_same_of_it(theirs, ours, name):
    signal, _, settings = cases()[name]
    request = copy.deepcopy(requests()[signal])
    given = [*ours[name].process(SIGNALS[signal], request, 0.0), *ours[name].due(1e9)]
    assert plain_items(signal, given) == plain_items(signal, read(theirs[name], signal)), settings
