"""One file, two engines: what the OpenTelemetry Collector accepts the embedded one accepts, and what it refuses too."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from otelcol_kit import BINARY, CONFIG, changed, needs_otelcol

from paramedic_collector.config.load import ConfigError, load

FREE_PORTS = {"PARAMEDIC_OTLP_GRPC": "localhost:0", "PARAMEDIC_OTLP_HTTP": "localhost:0"}
CASES = yaml.safe_load((Path(__file__).parent / "verdicts.yaml").read_text())

pytestmark = needs_otelcol


def verdict_of_the_collector(file, *, at_start=False):
    """("accept" or "refuse", what it said); a file that it accepts is not started unless `at_start`."""
    command = [BINARY, *(["--config"] if at_start else ["validate", "--config"]), file]
    done = subprocess.run(command, env=FREE_PORTS, capture_output=True, text=True, timeout=60, check=False)
    return "refuse" if done.returncode else "accept", done.stdout + done.stderr


def verdict_of_paramedic(file):
    try:
        load(file, {})
    except ConfigError as error:
        return "refuse", str(error)
    return "accept", ""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    found = {}
    for number, (name, case) in enumerate(CASES.items()):
        found[name] = folder / f"{number}.yaml"
        found[name].write_text(case.get("text") or yaml.safe_dump(changed(case.get("change"))))
    return found


@pytest.fixture(scope="module")
def collector_said(files):
    """Of every file."""
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(
            lambda name: verdict_of_the_collector(files[name], at_start=CASES[name].get("at_start", False)), files
        )
        return dict(zip(files, said, strict=True))


def test_the_file_that_comes_with_paramedic_runs_on_both_as_it_is():
    assert verdict_of_the_collector(CONFIG) == ("accept", "")
    assert verdict_of_paramedic(CONFIG) == ("accept", "")


@pytest.mark.parametrize("name", CASES)
def test_the_collector_accepts_what_the_table_says(collector_said, name):
    case, (verdict, said) = CASES[name], collector_said[name]
    assert verdict == case.get("both", case.get("collector")), said
    for words in (case.get("says"), case.get("collector_says")):
        assert words is None or words in said


@pytest.mark.parametrize("name", CASES)
def test_the_embedded_collector_accepts_what_the_table_says(files, name):
    case, (verdict, said) = CASES[name], verdict_of_paramedic(files[name])
    assert verdict == case.get("both", case.get("paramedic")), said
    for words in (case.get("says"), case.get("paramedic_says")):
        assert words is None or words in said


def test_every_difference_has_a_reason():
    for name, case in CASES.items():
        assert ("both" in case) != ({"collector", "paramedic", "why"} <= set(case)), name
