"""The example of docs/reference/recorded-data.md, run as it stands there, and the mistakes it shows."""

import re
from pathlib import Path

import pytest
from recorded_kit import FAULTS, T0, folder_of, span

from paramedic_collector.recorded.dataset import read
from paramedic_collector.recorded.mistakes import RecordedMistakes

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "recorded-data.md").read_text()


def examples(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_writes_a_set_and_reads_its_windows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in examples("python"):
        exec(example, names)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "1700000060 {'op': 120, 'edge': 60, 'callee': 60}"
    assert len(shown) == 6
    rows = [row for b in names["recorded"].batches() if "callee" in b.tables for row in b.tables["callee"].to_pylist()]
    assert {row["callee"] for row in rows} == {"postgresql"}
    slow = {row["ts"] - 1_700_000_000 for row in rows if row["duration"]["sum"] > 0.5}
    assert slow == set(range(120, 180))
    assert names["recorded"].faults[0].root_cause_service == "postgresql"


def test_the_mistakes_that_it_shows_are_those_that_are_told(tmp_path):
    faults = FAULTS + "".join(f"{n},1,2,x,y\n" for n in range(2)) + "db-2,1700000160,1700000100,db,slow\n"
    with pytest.raises(RecordedMistakes) as caught:
        read(folder_of(tmp_path, faults, spans=[{**span(kind="inbound"), "start_unix_ns": T0}]))
    shown = [line for line in PAGE.splitlines() if re.match(r"\S+\.(parquet|csv): ", line)]
    assert sorted(caught.value.mistakes) == sorted(shown)
