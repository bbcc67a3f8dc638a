"""The `file` and the `debug` exporter: what they write, and what they do when the disk refuses."""

import errno
import json
import logging
import os
import struct

import pytest
import zstandard
from forward_kit import one_span
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from paramedic_collector.config.model import DebugExporter, FileExporter
from paramedic_collector.forward.answers import Verdict
from paramedic_collector.forward.debug import DebugSender
from paramedic_collector.forward.file import FileSender
from paramedic_collector.otlp import Signal


def writer(path, **settings):
    return FileSender(FileExporter("file", str(path), **settings), clock=lambda: 1_663_131_734.173)


def write(sender, *names):
    answers = [sender.send(Signal.TRACES, one_span(name)) for name in names]
    return {one.verdict for one in answers}


def names_in(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for line in lines]


def framed(data):
    found = []
    while data:
        (size,) = struct.unpack_from(">I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def test_json_is_a_line_a_request_and_a_restart_goes_on_below(tmp_path):
    path = tmp_path / "new folder" / "spans.json"
    assert write(writer(path), "a", "b") == {Verdict.TAKEN}
    write(writer(path), "c")
    assert names_in(path) == ["a", "b", "c"]


def test_protobuf_comes_with_its_length_in_four_bytes(tmp_path):
    path = tmp_path / "spans"
    write(writer(path, format="proto"), "a", "b")
    found = [ExportTraceServiceRequest.FromString(one) for one in framed(path.read_bytes())]
    assert [one.resource_spans[0].scope_spans[0].spans[0].name for one in found] == ["a", "b"]


def test_what_is_compressed_comes_with_its_length_too(tmp_path):
    path = tmp_path / "spans"
    write(writer(path, compression="zstd"), "a", "b")
    found = [json.loads(zstandard.ZstdDecompressor().decompress(one)) for one in framed(path.read_bytes())]
    assert [one["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for one in found] == ["a", "b"]


def test_a_full_file_is_renamed_with_the_time_and_only_so_many_are_kept(tmp_path):
    path = tmp_path / "spans.json"
    (tmp_path / "spans.txt").write_text("decoy")
    sender = writer(path, rotate_bytes=300, backups=2)
    write(sender, *"abcdef")
    backups = sorted(one for one in tmp_path.iterdir() if one.name.startswith("spans-"))
    assert backups[0].name.startswith("spans-2022-09-14T05-02-14.")
    assert len(backups) == 2
    kept = [name for one in [*backups, path] for name in names_in(one)]
    assert kept == list("abcdef")[-len(kept) :]
    assert (tmp_path / "spans.txt").exists()


@pytest.mark.parametrize("settings", [{}, {"format": "proto"}])
def test_what_a_crash_left_half_written_is_cut_off(tmp_path, settings):
    path, whole = tmp_path / "spans", tmp_path / "whole"
    write(writer(path, **settings), "a")
    whole.write_bytes(path.read_bytes())
    with open(path, "ab") as file:
        file.write(b'{"resourceSpans":[{"res' if not settings else b"\x00\x00\x00\xffshort")
    write(writer(path, **settings), "b")
    write(writer(whole, **settings), "b")
    assert len(path.read_bytes()) == len(whole.read_bytes())
    if not settings:
        assert names_in(path) == ["a", "b"]


def test_a_full_disk_is_an_answer_and_not_a_crash():
    answer = writer("/dev/full").send(Signal.TRACES, one_span("a"))
    assert (answer.verdict, answer.reason) == (Verdict.LATER, os.strerror(errno.ENOSPC))
    assert "/dev/full" in str(answer)


def test_a_disk_that_takes_writes_again_holds_whole_requests(tmp_path):
    path = tmp_path / "there" / "spans.json"
    (tmp_path / "there").write_text("a file where the folder should be")
    sender = writer(path)
    assert write(sender, "a") == {Verdict.LATER}
    (tmp_path / "there").unlink()
    assert write(sender, "a", "b") == {Verdict.TAKEN}
    assert names_in(path) == ["a", "b"]


def told(caplog, verbosity, payload):
    with caplog.at_level(logging.INFO):
        answer = DebugSender(DebugExporter("debug/x", verbosity)).send(Signal.TRACES, payload)
    assert answer.verdict is Verdict.TAKEN
    return [record.getMessage() for record in caplog.records]


def test_debug_says_a_line_a_request(caplog):
    payload = one_span("a") + one_span("b")
    assert told(caplog, "basic", payload) == [f"debug/x: traces: 2 spans, {len(payload)} bytes"]


def test_debug_normal_has_a_line_an_item(caplog):
    lines = told(caplog, "normal", one_span("a", trace=b"\x01" * 16, color="red"))
    assert lines[1:] == [f"debug/x: a {'01' * 16} {'02' * 8} color=red"]


def test_debug_never_says_all_of_a_large_request(caplog):
    payload = b"".join(one_span(f"s{number}", long="x" * 10_000) for number in range(500))
    lines = told(caplog, "detailed", payload)
    assert len(lines) == 22
    assert max(map(len, lines)) < 2100
    assert lines[-1].endswith("... and more")
