"""What the collector's tests share: telemetry made by hand, and a naive reading of it to compare with.

Spans are plain dataclasses; `request` encodes them with the official protobuf messages, and `naive_windows`
folds them in plain Python straight from the contract, one span at a time.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import CollectorConfig, DebugExporter, Pipeline, Receiver, Server
from paramedic_collector.decode import joined, parse
from paramedic_collector.facts import facts_of
from paramedic_collector.fold import fold_family
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.parts import whole
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.tables import Tables
from paramedic_collector.windows import KEYS, SCALE

T0 = 1_700_000_000  # a second of the tests' time
NANO = 1_000_000_000
KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


class Clock:
    """Time that a test moves by hand."""

    def __init__(self, now=float(T0)):
        self.now = now

    def __call__(self):
        return self.now


@dataclass
class Made:
    """A span as a test writes it."""

    service: str = "support-bot"
    name: str = "llm.primary"
    kind: str = "client"
    trace: bytes = b"\x01" * 16
    span: bytes = b"\x02" * 8
    parent: bytes = b""
    start_ns: int = T0 * NANO
    duration_ns: int = 100_000_000
    failed: bool = False
    attributes: dict = field(default_factory=dict)
    event: dict = field(default_factory=dict)
    resource: dict = field(default_factory=dict)

    @property
    def ts(self):
        return (self.start_ns + self.duration_ns) // NANO


def value_of(value):
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)


def pairs(attributes):
    return [KeyValue(key=key, value=value_of(value)) for key, value in attributes.items()]


def request(spans: Iterable[Made]) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    for made in spans:
        resource = message.resource_spans.add()
        resource.resource.attributes.extend(pairs({"service.name": made.service, **made.resource}))
        scope = resource.scope_spans.add()
        scope.scope.name = "tests"
        span = scope.spans.add(
            trace_id=made.trace,
            span_id=made.span,
            parent_span_id=made.parent,
            name=made.name,
            kind=KINDS[made.kind],
            start_time_unix_nano=made.start_ns,
            end_time_unix_nano=made.start_ns + made.duration_ns,
            attributes=pairs(made.attributes),
        )
        span.status.code = 2 if made.failed else 0
        if made.event:
            span.events.add(name="exception", attributes=pairs(made.event))
    return message


def payload(*spans: Made) -> bytes:
    return request(spans).SerializeToString()


def new_tables(limit=100_000):
    return Tables(limit=limit, keep_s=600.0, clock=Clock())


def facts(spans, tables):
    return facts_of(joined([parse(Signal.TRACES, payload(*spans))]), tables)


def random_spans(seed, count=200):
    """Guarded calls, served requests, vendors' LLM spans; failures, refusals, probes and useless answers."""
    dice = random.Random(seed)
    return [_random_span(dice) for _ in range(count)]


def _random_span(dice):
    made = Made(
        service=dice.choice(["front-door", "support-bot"]),
        name=dice.choice(["chat", "orders", "POST /chat"]),
        kind=dice.choice(["client", "client", "server", "internal"]),
        trace=dice.randbytes(16),
        span=dice.randbytes(8),
        parent=dice.choice([b"", dice.randbytes(8)]),
        start_ns=T0 * NANO + dice.randrange(3 * NANO),
        duration_ns=dice.choice([0, 1, 1000, 2**20, dice.randrange(5 * NANO), 125_000_000, 4 * NANO]),
        failed=dice.random() < 0.2,
        resource={"cloud.availability_zone": dice.choice(["eu-1a", "eu-1b"]), "service.version": "1"},
    )
    _decorate(made, dice)
    return made


def _decorate(made, dice):
    attributes = made.attributes
    peers = [
        "service.peer.name",
        "peer.service",
        "gen_ai.provider.name",
        "gen_ai.system",
        "db.system",
        "server.address",
    ]
    for key in dice.sample(peers, dice.randrange(3)):
        attributes[key] = f"{dice.choice('ab')}-by-{key}"
    if dice.random() < 0.3:
        attributes["paramedic.peer.zone"] = "eu-1a"
    if made.failed and dice.random() < 0.7:
        key, value = dice.choice(
            [("error.type", "timeout"), ("http.response.status_code", 503), ("http.status_code", 429)]
        )
        attributes[key] = value
    if made.failed and dice.random() < 0.3:
        made.event = {"exception.type": "ValueError"}
    if dice.random() < 0.1:
        attributes |= {"paramedic.decision": "refused", "paramedic.refused.by": dice.choice(["breaker", "command"])}
    if dice.random() < 0.1:
        attributes["paramedic.probe"] = True
    if dice.random() < 0.1:
        attributes["paramedic.useless"] = dice.choice(["empty", "cut"])
    if dice.random() < 0.4:
        attributes |= {
            dice.choice(["gen_ai.request.model", "gen_ai.response.model"]): "large",
            "gen_ai.usage.input_tokens": dice.randrange(2000),
            "gen_ai.usage.output_tokens": dice.randrange(500),
            "paramedic.cost": round(dice.random() / 100, 6),
            dice.choice(["gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"]): 0.25,
        }


PEER_ORDER = (
    "service.peer.name",
    "peer.service",
    "gen_ai.provider.name",
    "gen_ai.system",
    "db.system",
    "server.address",
)


def naive_peer(made):
    if made.kind != "client":
        return ""
    return next((made.attributes[key] for key in PEER_ORDER if key in made.attributes), "")


def naive_error(made):
    attributes = made.attributes
    if "error.type" in attributes:
        return attributes["error.type"]
    if not made.failed:
        return ""
    codes = [str(attributes[key]) for key in ("http.response.status_code", "http.status_code") if key in attributes]
    return next(iter([*codes, *made.event.values()]), "_OTHER")


def naive_key(family, made):
    attributes, peer = made.attributes, naive_peer(made)
    zone = attributes.get("paramedic.peer.zone", "")
    if family != "op":
        return ((made.service, peer, zone) if family == "edge" else (peer, zone)) if peer else None
    model = attributes.get("gen_ai.request.model") or attributes.get("gen_ai.response.model") or ""
    ran_in = made.resource.get("cloud.availability_zone", "")
    return (made.service, made.name, made.kind, peer, ran_in, model, made.resource.get("service.version", ""))


def naive_bucket(duration_ns, scale=SCALE):
    return math.ceil(math.log2(duration_ns / NANO) * 2**scale) - 1


def naive_windows(family, spans):
    """{(ts, *key): values} by the words of the contract."""
    groups = defaultdict(list)
    for made in spans:
        if naive_key(family, made) is not None:
            groups[(made.ts, *naive_key(family, made))].append(made)
    return {key: _naive_values(group) for key, group in groups.items()}


def _naive_values(group):
    made = [one for one in group if one.attributes.get("paramedic.decision") != "refused"]
    refused = [one for one in group if one not in made]
    errors = [one for one in made if naive_error(one)]
    probes = [one for one in made if one.attributes.get("paramedic.probe")]
    useless = [
        one.attributes["paramedic.useless"]
        for one in made
        if "paramedic.useless" in one.attributes and one not in errors
    ]
    ranked = sorted(made, key=_naive_rank)[:4]
    return {
        "count": len(made),
        "errors": dict(Counter(naive_error(one) for one in errors)),
        "refused": dict(Counter(one.attributes["paramedic.refused.by"] for one in refused)),
        "probes": len(probes),
        "probe_errors": len([one for one in probes if one in errors]),
        "useless": dict(Counter(useless)),
        "zero": sum(one.duration_ns == 0 for one in made),
        "sum_ns": sum(one.duration_ns for one in made),
        "buckets": dict(Counter(naive_bucket(one.duration_ns) for one in made if one.duration_ns)),
        "exemplars": [(one.trace.hex(), one.span.hex()) for one in ranked],
        "input_tokens": sum(one.attributes.get("gen_ai.usage.input_tokens", 0) for one in made),
        "output_tokens": sum(one.attributes.get("gen_ai.usage.output_tokens", 0) for one in made),
        "cost_usd": sum(round(one.attributes.get("paramedic.cost", 0) * 1e9) for one in made) / 1e9,
        "streams": sum(any("time_to_first" in key for key in one.attributes) for one in made),
    }


def _naive_rank(one):
    rank = 2 if naive_error(one) else 1 if "paramedic.useless" in one.attributes else 0
    return (-rank, -one.duration_ns, one.trace, one.span)


def plain_windows(family, batch):
    """A record batch in the form of `naive_windows`."""
    return {(row["ts"], *(row[key] for key in KEYS[family])): _plain_values(row) for row in batch.to_pylist()}


def _plain_values(row):
    duration = row["duration"]
    values = {
        "count": row["count"],
        **{name: {one["key"]: one["count"] for one in row[name]} for name in ("errors", "refused", "useless")},
        "probes": row["probes"],
        "probe_errors": row["probe_errors"],
        "zero": duration["zero"],
        "sum_ns": round(duration["sum"] * NANO),
        "buckets": dict(zip(duration["index"], duration["count"], strict=True)),
        "exemplars": [(one["trace_id"], one["span_id"]) for one in row["exemplars"]],
    }
    if "input_tokens" in row:
        values |= {name: row[name] for name in ("input_tokens", "output_tokens", "cost_usd")}
        values["streams"] = sum(row["first_token"]["count"]) if row["first_token"] else 0
    return values


def config_of(grpc=None, http=None, *, limit_bytes=20 << 20, windows=tuple(Signal), debug=(), **options):
    """A configuration with these endpoints; signals in `windows` go to paramedic, those in `debug` to the log."""
    servers = {"grpc": grpc and Server(grpc, limit_bytes), "http": http and Server(http, limit_bytes)}
    pipelines = tuple(
        Pipeline(one, one, windows=one in windows, exporters=(DebugExporter("debug"),) if one in debug else ())
        for one in Signal
    )
    return CollectorConfig((Receiver("otlp", **servers),), pipelines, **options)


def running(folder: Path, **options) -> tuple[Collector, InProcessBus]:
    """A started collector on free ports."""
    bus = InProcessBus()
    config = config_of(Endpoint("localhost", 0), Endpoint("localhost", 0), **options)
    collector = Collector(config, bus, folder)
    collector.start()
    return collector, bus


def rows(batches, family):
    return [row for batch in batches if family in batch.tables for row in batch.tables[family].to_pylist()]


def batches(parts, tables):
    """What folding gave, as record batches."""
    return [whole([part], tables) for part in parts if len(part)]


def folded(family, spans, tables):
    """The windows of spans."""
    return whole([fold_family(family, facts(spans, tables), tables)], tables)
