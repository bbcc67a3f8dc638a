"""Two type checkers see in `typed/` what a team sees: signatures kept, mistakes found, and nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

SAMPLES = Path(__file__).parent / "typed"
ROOT = Path(__file__).parents[2]
Line = tuple[str, int]


def lines_with_errors() -> set[Line]:
    return {
        (path.name, number)
        for path in SAMPLES.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.endswith("# error")
    }


def compare(found: dict[Line, str]) -> None:
    expected = lines_with_errors()
    unexpected = [f"{file}:{line}: {found[file, line]}" for file, line in sorted(found.keys() - expected)]
    missed = [f"{file}:{line}: no error is found" for file, line in sorted(expected - found.keys())]
    assert not unexpected + missed, "\n".join(unexpected + missed)


def test_mypy_in_strict_mode_finds_these_errors_and_no_others():
    cache = ROOT / "build" / "typed"
    settings = ["--config-file", str(SAMPLES / "mypy.ini"), "--cache-dir", str(cache), "--no-error-summary"]
    told, broken, _ = api.run([*settings, str(SAMPLES)])
    assert not broken
    errors = re.findall(r"^(.+?):(\d+): error: (.*)$", told, re.MULTILINE)
    compare({(Path(file).name, int(line)): message for file, line, message in errors})


def test_pyright_in_standard_mode_finds_these_errors_and_no_others():
    checker = Path(sys.executable).with_name("basedpyright")
    if not checker.exists():
        pytest.skip("basedpyright is not installed; it is part of paramedic[dev]")
    command = [checker, "-p", SAMPLES, "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(list(SAMPLES.glob("*.py")))
    errors = [found for found in told["generalDiagnostics"] if found["severity"] == "error"]
    compare({(Path(e["file"]).name, e["range"]["start"]["line"] + 1): e["message"] for e in errors})
