"""Other ways to write the same recorded set: each gives the windows of the plain form, or what that way can tell."""

import json

import pyarrow as pa
import pytest
from recorded_kit import MS, NANO, T0, log, merged, point, random_traces, recorded, span, windows

from paramedic_collector.recorded.names import operation_of

CALL = [  # a call from shop to orders, which looks into its database
    span(7, 0, -1, "shop", "GET /", "SERVER", 0.0, 100),
    span(7, 1, 0, "shop", "orders", "CLIENT", 0.01, 80),
    span(7, 2, 1, "orders", "GET /orders", "SERVER", 0.02, 50, status="ERROR"),
    span(7, 3, 2, "orders", "select", "CLIENT", 0.03, 20),
]


def changed(spans, **columns):
    """Columns of the same spans made anew; None leaves one out."""
    table = pa.Table.from_pylist(spans)
    for name, make in columns.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        if make is not None:
            made = make if isinstance(make, pa.Array | pa.ChunkedArray) else pa.array([make(one) for one in spans])
            table = table.append_column(name, made)
    return table


def ids_as(write):
    """Ids written as texts; 0 becomes another number, as it does in the plain form."""
    return {
        "trace_id": lambda one: write(one["trace_id"], 32),
        "span_id": lambda one: write(one["span_id"] + 1, 16),
        "parent_id": lambda one: write(one["parent_id"] + 1, 16) if one["parent_id"] >= 0 else None,
    }


def dictionary(name, spans):
    return pa.array([one[name] for one in spans]).dictionary_encode()


SAME = {
    "columns in another order": lambda spans: (t := pa.Table.from_pylist(spans)).select(t.column_names[::-1]),
    "rows in another order": lambda spans: pa.Table.from_pylist(spans[::-1]),
    "small and unsigned numbers": lambda spans: changed(
        spans, trace_id=pa.array([one["trace_id"] for one in spans], pa.uint16()),
        span_id=pa.array([one["span_id"] for one in spans], pa.int32()),
    ),
    "texts as a dictionary": lambda spans: changed(
        spans, service=dictionary("service", spans),
        name=pa.array([one["name"] for one in spans], pa.large_string()).dictionary_encode(),
    ),
    "ids as hex digits": lambda spans: changed(spans, **ids_as(lambda n, width: f"{n:0{width}x}")),
    "ids as short hex digits": lambda spans: changed(spans, **ids_as(lambda n, width: f"{n:X}")),
    "no parent as 0": lambda spans: changed(
        spans, span_id=lambda one: one["span_id"] + 1, parent_id=lambda one: one["parent_id"] + 1
    ),
    "no parent as null": lambda spans: changed(
        spans, parent_id=lambda one: one["parent_id"] if one["parent_id"] >= 0 else None
    ),
    "kinds as OpenTelemetry writes them": lambda spans: changed(spans, kind=lambda one: f"SPAN_KIND_{one['kind']}"),
    "kinds as numbers": lambda spans: changed(
        spans, kind=lambda one: {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3}[one["kind"]]
    ),
    "kinds as entry and exit": lambda spans: changed(
        spans, kind=lambda one: {"INTERNAL": "Local", "SERVER": "Entry", "CLIENT": "Exit"}[one["kind"]]
    ),
    "status in small letters": lambda spans: changed(spans, status=lambda one: one["status"].lower()),
    "status as OTLP writes it": lambda spans: changed(spans, status=lambda one: f"STATUS_CODE_{one['status']}"),
    "status as numbers": lambda spans: changed(spans, status=lambda one: 2 if one["status"] == "ERROR" else 0),
    "status as numbers with gaps": lambda spans: changed(
        spans, status=lambda one: 2.0 if one["status"] == "ERROR" else None
    ),
    "status as whether it failed": lambda spans: changed(spans, status=lambda one: one["status"] == "ERROR"),
    "start as a timestamp": lambda spans: changed(
        spans, start_unix_ns=None,
        start_unix=pa.array([one["start_unix_ns"] for one in spans], pa.timestamp("ns", "UTC")),
    ),
    "duration as a duration": lambda spans: changed(
        spans, duration_ns=None, duration=pa.array([one["duration_ns"] for one in spans], pa.duration("ns"))
    ),
    "start and duration in microseconds": lambda spans: changed(
        spans, start_unix_ns=None, start_unix_us=lambda one: one["start_unix_ns"] // 1000,
        duration_ns=None, duration_us=lambda one: one["duration_ns"] // 1000,
    ),
    "no pod": lambda spans: changed(spans, pod=None),
}  # fmt: skip


def round_spans(seed=5):
    """Whole milliseconds, so that every unit can write them."""
    spans = random_traces(seed, traces=30)
    for one in spans:
        one["start_unix_ns"] = one["start_unix_ns"] // MS * MS
        one["duration_ns"] = one["duration_ns"] // MS * MS
        one["pod"] = "p"
    return spans


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    spans = round_spans()
    return spans, list(recorded(tmp_path_factory.mktemp("plain"), spans=spans).batches(every_s=60))


@pytest.mark.parametrize("form", SAME)
def test_the_same_spans_written_otherwise_give_the_same_windows(plain, tmp_path, form):
    spans, expected = plain
    found = list(recorded(tmp_path, spans=SAME[form](spans)).batches(every_s=60))
    for family in ("op", "edge", "callee"):
        assert merged(found, family).equals(merged(expected, family))


def test_ids_that_are_any_texts_join_as_well(plain, tmp_path):
    """Their exemplars have other ids, all else is the same."""
    spans, expected = plain
    table = changed(spans, **ids_as(lambda n, width: f"span-{n}-ü"))
    found = list(recorded(tmp_path, spans=table).batches(every_s=60))
    for family in ("op", "edge", "callee"):
        ours, theirs = (merged(each, family).drop_columns(["exemplars"]) for each in (found, expected))
        assert ours.equals(theirs)


def test_spans_in_several_files_belong_together(plain, tmp_path):
    spans, expected = plain
    files = {"spans_a": spans[::2], "spans_b": changed(spans[1::2], service=dictionary("service", spans[1::2]))}
    found = list(recorded(tmp_path, **files).batches(every_s=60))
    assert merged(found, "op").equals(merged(expected, "op"))


def test_signed_ids_of_any_size_join(tmp_path):
    spans = [span(-(2**63), -5, -1), span(-(2**63), 2**62, -5, at=0.01, ms=60)]
    rows = windows(recorded(tmp_path, spans=spans).batches(), "op").values()
    assert sorted(round(row["self_time"]["sum"] * 1000) for row in rows) == [100]  # one row: 40 and 60


def test_without_span_ids_no_self_time_is_said(tmp_path):
    table = changed(CALL, span_id=None)
    rows = windows(recorded(tmp_path, spans=table).batches(), "op")
    assert {row["self_time"] for row in rows.values()} == {None}
    assert sum(row["count"] for row in rows.values()) == 4


def test_a_parent_that_was_not_recorded_is_none(tmp_path):
    rows = windows(recorded(tmp_path, spans=[span(1, 4, -2), span(1, 5, 77, at=1)]).batches(), "op")
    assert [row["count"] for row in rows.values()] == [1, 1]


def test_kinds_are_read_from_the_tree_when_no_span_says_its_own(tmp_path):
    rows = windows(recorded(tmp_path, spans=changed(CALL, kind=None)).batches(), "op")
    assert {key[2]: key[3] for key in rows} == {
        "GET /": "server", "orders": "client", "GET /orders": "server", "select": "internal",
    }  # fmt: skip


def test_a_call_that_no_clients_span_tells_of_is_an_edge_without_a_gap(tmp_path):
    spans = [span(1, 0, -1, "shop"), span(1, 1, 0, "orders", "GET /orders", at=0.02, ms=50, status="ERROR")]
    batches = list(recorded(tmp_path, spans=spans).batches())
    ((key, edge),) = windows(batches, "edge").items()
    assert key[1:] == ("shop", "orders", "")
    assert (edge["count"], edge["errors"], edge["gap"]) == (1, [{"key": "_OTHER", "count": 1}], None)
    assert edge["duration"]["sum"] == 0.05
    assert [row["count"] for row in windows(batches, "callee").values()] == [1]
    assert {key[1]: row["self_time"]["sum"] for key, row in windows(batches, "op").items()} == {
        "shop": 0.05,
        "orders": 0.05,
    }


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("GET /users/42/orders?page=2", "GET /users/<n>/orders"),
        ("GET /users/42", "GET /users/<n>"),
        ("/v1/items/0b9e8f4a-1c2d-4e5f-8a9b-0c1d2e3f4a5b", "/v1/items/<id>"),
        ("cart 4bf92f3577b34da6", "cart <id>"),
        ("GET /v1/chat", "GET /v1/chat"),
        ("SELECT shop.t1", "SELECT shop.t1"),
        ("decade_of_facade", "decade_of_facade"),
        ("/*", "/*"),
        ("why?", "why?"),
    ],
)
def test_ids_in_a_name_make_no_series(name, operation):
    assert operation_of(name) == operation


def test_names_that_differ_in_their_ids_are_one_series(tmp_path):
    rows = windows(recorded(tmp_path, spans=[span(n, 0, name=f"GET /users/{n}") for n in range(5)]).batches(), "op")
    assert {key[2]: row["count"] for key, row in rows.items()} == {"GET /users/<n>": 5}


def test_http_codes_fail_from_500_and_for_clients_from_400(tmp_path):
    codes = {("SERVER", 200): 0, ("SERVER", 404): 0, ("SERVER", 503): 1, ("CLIENT", 404): 1, ("CLIENT", 0): 0}
    spans = [span(n, 0, -1, name=f"{kind} {code}", kind=kind, status=str(code)) for n, (kind, code) in enumerate(codes)]
    rows = windows(recorded(tmp_path, spans=spans).batches(), "op")
    found = {key[2]: [(one["key"], one["count"]) for one in row["errors"]] for key, row in rows.items()}
    assert found == {f"{kind} {code}": [(str(code), 1)] if failed else [] for (kind, code), failed in codes.items()}


ATTRIBUTES = [
    {"peer.service": "aurora", "gen_ai.request.model": "large", "gen_ai.usage.output_tokens": 20,
     "http.status_code": 503, "cloud.availability_zone": "eu-1", "something.else": "x"},
    {"peer.service": "aurora", "gen_ai.usage.output_tokens": 5, "paramedic.useless": "empty"},
    {},
]  # fmt: skip


def attributed(**column):
    spans = [span(n, 0, -1, kind="CLIENT", status="ERROR" if n == 0 else "OK") for n in range(3)]
    return changed(spans, **column)


def in_columns():
    keys = sorted({key for one in ATTRIBUTES for key in one})
    return attributed(**{key: pa.array([one.get(key) for one in ATTRIBUTES]) for key in keys})


def texts_of(one):
    return {key: str(value) for key, value in one.items()}


IN_ONE = {
    "JSON": lambda: attributed(attributes=pa.array([json.dumps(one) for one in ATTRIBUTES])),
    "a struct": lambda: attributed(attributes=pa.array(ATTRIBUTES)),
    "a map": lambda: attributed(
        attributes=pa.array([list(texts_of(one).items()) for one in ATTRIBUTES], pa.map_(pa.string(), pa.string()))
    ),
    "keys and values": lambda: attributed(
        tags=pa.array([[{"key": k, "value": v} for k, v in texts_of(one).items()] for one in ATTRIBUTES])
    ),
}


def seen(found):
    return {
        (key[4], key[6], key[5], row["count"], row["output_tokens"],
         tuple((one["key"], one["count"]) for one in row["errors"]),
         tuple((one["key"], one["count"]) for one in row["useless"]))
        for key, row in windows(found.batches(), "op").items()
    }  # fmt: skip


EXPECTED = {
    ("aurora", "large", "eu-1", 1, 20, (("503", 1),), ()),
    ("aurora", "", "", 1, 5, (), (("empty", 1),)),
    ("", "", "", 1, 0, (), ()),
}


def test_attributes_may_be_columns(tmp_path):
    assert seen(recorded(tmp_path, spans=in_columns())) == EXPECTED


@pytest.mark.parametrize("form", IN_ONE)
def test_attributes_may_be_in_one_column(tmp_path, form):
    assert seen(recorded(tmp_path, spans=IN_ONE[form]())) == EXPECTED


def test_a_zone_and_a_version_may_be_columns_with_short_names(tmp_path):
    rows = windows(recorded(tmp_path, spans=[span(zone="eu-1", version="2.4", model="m", peer="p", kind="CLIENT")])
                   .batches(), "op")  # fmt: skip
    assert [key[4:] for key in rows] == [("p", "eu-1", "m", "2.4")]


@pytest.mark.parametrize(
    "ts",
    [
        {"ts": T0}, {"ts": float(T0)}, {"ts_ms": T0 * 1000}, {"ts_unix_ns": None, "ts_ns": T0 * NANO},
    ],
)  # fmt: skip
def test_metrics_may_have_times_in_any_unit_and_no_pod(tmp_path, ts):
    one = {"service": "shop", "metric": "cpu", "value": 2, **ts}
    (key,) = windows(recorded(tmp_path, metrics=[one]).batches(), "gauge")
    assert key == (T0, "shop", "", "cpu")


def test_timestamps_of_metrics_may_be_dates(tmp_path):
    table = pa.table({"ts": pa.array([T0], pa.timestamp("s", "UTC")), "service": ["shop"], "instance": ["i"],
                      "metric": ["cpu"], "value": pa.array([1.5], pa.float32())})  # fmt: skip
    assert list(windows(recorded(tmp_path, metrics=table).batches(), "gauge")) == [(T0, "shop", "i", "cpu")]


def test_lines_without_a_template_get_that_of_their_body(tmp_path):
    lines = [log("a"), log("", 1, body="user 12 left"), log("", 2, body=None)]
    found = windows(recorded(tmp_path, logs=lines).batches(), "log")
    assert [key[3] for key in sorted(found)] == ["a", "user <n> left", ""]


def test_severities_are_words_or_otlp_numbers(tmp_path):
    lines = [log("a", severity=severity) for severity in ("warn", "17", "9", "")]
    found = windows(recorded(tmp_path, logs=lines).batches(), "log")
    assert sorted(key[2] for key in found) == ["", "ERROR", "INFO", "WARN"]


def test_lines_without_ids_are_logs_without_flows(tmp_path):
    lines = [{k: v for k, v in log("a", at).items() if k not in ("trace_id", "span_id")} for at in range(3)]
    batches = list(recorded(tmp_path, logs=lines).batches())
    assert len(windows(batches, "log")) == 3
    assert windows(batches, "flow") == {}


def test_points_of_several_files_are_one_stream(tmp_path):
    found = recorded(tmp_path, metrics_1=[point(2.0, 60)], metrics_2=[point(1.0)])
    assert [batch.tables["gauge"]["sum"].to_pylist() for batch in found.batches() if batch.tables] == [[1.0], [2.0]]
