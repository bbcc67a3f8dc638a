"""Each mistake of a recorded set is one sentence that names the file, the column and the value."""

import pyarrow as pa
import pytest
from recorded_kit import FAULTS, T0, folder_of, log, point, span

from paramedic_collector.recorded.dataset import read
from paramedic_collector.recorded.mistakes import RecordedMistakes


def without(one, *names):
    return {key: value for key, value in one.items() if key not in names}


def dated(start, end=""):
    return f"case,start,end,root_cause_service,fault_type\na,{start},{end},orders,slow\n"


MISTAKES = [
    ({"spans": [without(span(), "service")]},
     "spans.parquet: the column service is missing: every span belongs to a service; "
     "there are trace_id, span_id, parent_id, name, kind, start_unix_ns, duration_ns, status"),
    ({"spans": [without(span(), "start_unix_ns")]},
     "spans.parquet: the column start_unix_ns (or start_unix_us, start_unix_ms, start_unix_s, start_unix) is missing: "
     "it says when a span began; there are trace_id, span_id, parent_id, service, name, kind, duration_ns, status"),
    ({"spans": [{**span(), "start_unix_ns": T0}]},
     f"spans.parquet: start_unix_ns should be a moment in unix ns, row 0 has {T0}: is it in another unit?"),
    ({"spans": [span(), {**span(), "start_unix_ns": None}]},
     "spans.parquet: start_unix_ns has 1 rows without a value"),
    ({"metrics": [{**point(1), "ts": float("nan")}]},
     "metrics.parquet: ts has 1 rows without a value"),
    ({"spans": [{**span(), "duration_ns": "fast"}]},
     "spans.parquet: duration_ns should hold numbers, it has the type string and holds 'fast'"),
    ({"spans": [span(kind="inbound")]},
     "spans.parquet: kind should be server, client, internal, producer, consumer or OTLP's number from 0 to 5, "
     "there is 'inbound'"),
    ({"spans": [span(status="7")]},
     "spans.parquet: status should be OK, UNSET, ERROR, OTLP's number from 0 to 2 or an HTTP status, there is '7'"),
    ({"spans": [span(attributes="x=1")]},
     "spans.parquet: attributes should hold JSON objects, a row has 'x=1'"),
    ({"spans": [span(attributes=7)]},
     "spans.parquet: attributes should be a struct, a map or JSON, it has the type int64"),
    ({"spans": [span(service={"name": "shop"})]},
     "spans.parquet: service should hold texts, it has the type struct<name: string>"),
    ({"metrics": [without(point(1), "value")]},
     "metrics.parquet: the column value is missing: it is what was measured; there are ts, service, pod, metric"),
    ({"metrics": [{**point(1), "ts": T0 * 1000}]},
     f"metrics.parquet: ts should be a moment in unix s, row 0 has {T0 * 1000}: is it in another unit?"),
    ({"metrics_b": [{**point(1), "value": "high"}]},
     "metrics_b.parquet: value should hold numbers, it has the type string and holds 'high'"),
    ({"logs": [without(log(), "template", "body")]},
     "logs.parquet: the column template (or body) is missing: it says what the line tells; "
     "there are ts_unix_ns, service, trace_id, span_id, severity"),
    ({"alerts": [{"case": "a"}]},
     "alerts.parquet: the column component is missing: every row of alerts needs it; there are case"),
    ({"faults": "case,begin\na,1\n"},
     "faults.csv: the columns start, root_cause_service, fault_type are missing; there are case, begin"),
    ({"faults": dated("yesterday")},
     "faults.csv: start of row 0 should be unix seconds or a date with a time, it is 'yesterday'"),
    ({"faults": dated(T0 * 1000)},
     f"faults.csv: start of row 0 should be unix seconds or a date with a time, it is '{T0 * 1000}'"),
    ({"faults": dated(T0, T0 - 5)},
     f"faults.csv: row 0 (case a) ends at '{T0 - 5}', before it starts at '{T0}'"),
]  # fmt: skip


@pytest.mark.parametrize(("tables", "sentence"), MISTAKES)
def test_a_mistake_is_one_clear_sentence(tmp_path, tables, sentence):
    with pytest.raises(RecordedMistakes) as caught:
        read(folder_of(tmp_path, **tables))
    assert caught.value.mistakes == (sentence,)


def test_all_mistakes_are_told_at_once(tmp_path):
    (tmp_path / "graph.json").write_text("[]")
    (tmp_path / "logs.parquet").write_text("no Parquet")
    with pytest.raises(RecordedMistakes) as caught:
        read(folder_of(tmp_path, dated("?"), spans=[span(kind="x", status="y")]))
    assert [one.split(":")[0] for one in caught.value.mistakes] == [
        "faults.csv", "spans.parquet", "spans.parquet", "logs.parquet", "graph.json",
    ]  # fmt: skip
    assert str(caught.value).splitlines() == list(caught.value.mistakes)
    assert "it should be an object with nodes and edges, it is list" in caught.value.mistakes[-1]


def test_a_folder_without_faults_is_none(tmp_path):
    with pytest.raises(RecordedMistakes, match=r"there is no faults.csv; it is the one file that a recorded set needs"):
        read(tmp_path)


def test_a_graph_that_is_no_json_is_a_mistake(tmp_path):
    (tmp_path / "graph.json").write_text("{")
    with pytest.raises(RecordedMistakes, match=r"graph.json: it cannot be read as JSON"):
        read(folder_of(tmp_path))


def test_a_fault_may_lack_its_end_and_its_case_and_have_more(tmp_path):
    text = "start,root_cause_service,fault_type,level\n2024-01-01 00:00:00+00:00,orders,slow,pod\n1704067201.5,,x,\n"
    faults = read(folder_of(tmp_path, text)).faults
    assert [(one.case, one.start, one.end, one.root_cause_service) for one in faults] == [
        ("0", 1704067200.0, 1704067200.0, "orders"),
        ("1", 1704067201.5, 1704067201.5, ""),
    ]
    assert [dict(one.more) for one in faults] == [{"level": "pod"}, {"level": ""}]


def test_a_set_may_have_nothing_but_faults_and_empty_files(tmp_path):
    empty = pa.Table.from_pylist([span()]).slice(0, 0)
    found = read(folder_of(tmp_path, FAULTS, spans=empty, metrics=pa.Table.from_pylist([point(1)]).slice(0, 0),
                           logs=pa.Table.from_pylist([log()]).slice(0, 0)))  # fmt: skip
    assert list(found.batches()) == []
    assert [found.has(kind) for kind in ("spans", "metrics", "logs")] == [False, False, False]
    assert found.seconds.tolist() == []
