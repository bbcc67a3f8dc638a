"""Bad input through the real command: one clear line that names the thing, the value and the cure; no traceback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FREE = dict.fromkeys(("PARAMEDIC_API", "PARAMEDIC_OTLP_GRPC", "PARAMEDIC_OTLP_HTTP"), "localhost:0")


def paramedic(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a folder of its own, away from anybody's real platform."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PARAMEDIC_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", "paramedic_cli.main", *words],
        env=clean | {"PARAMEDIC_DATA_DIR": str(folder / "data")} | env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that was said."""
    assert done.returncode not in (0, 130), done.stdout
    lines = [line for line in (done.stdout + done.stderr).split("\n") if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("paramedic: ")
    return lines[0]


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_an_unknown_command_is_named(tmp_path):
    done = paramedic(tmp_path, "resuscitate")
    assert "resuscitate" in the_line(done)
    assert done.returncode == 2


def test_an_unknown_flag_is_named(tmp_path):
    done = paramedic(tmp_path, "demo", "--fast")
    assert "--fast" in the_line(done)
    assert done.returncode == 2


def test_a_value_of_the_wrong_kind_is_named_with_its_flag(tmp_path):
    line = the_line(paramedic(tmp_path, "demo", "--duration", "soon"))
    assert "--duration" in line
    assert "soon" in line


def test_an_unknown_scenario_is_named_beside_those_there_are(tmp_path):
    line = the_line(paramedic(tmp_path, "drill", "earthquake"))
    assert "earthquake" in line
    assert "demo" in line


def test_a_demo_that_is_too_short_says_how_long_it_must_be(tmp_path):
    line = the_line(paramedic(tmp_path, "demo", "--duration", "3"))
    assert "--duration 3" in line
    assert "at least" in line


def test_a_result_that_could_not_be_written_is_told_before_the_work(tmp_path):
    assert "nowhere/out.json" in the_line(paramedic(tmp_path, "demo", "--json", "nowhere/out.json"))


def test_a_folder_that_holds_another_run_is_not_mixed_with_this_one(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/load.jsonl").write_text("")
    assert "--folder old is not empty" in the_line(paramedic(tmp_path, "demo", "--folder", "old"))


def test_a_port_in_use_is_named_with_the_flag_that_changes_it(tmp_path, taken_port):
    line = the_line(paramedic(tmp_path, "up", "--no-dashboard", "--api", f"127.0.0.1:{taken_port}"))
    assert f"127.0.0.1:{taken_port}" in line
    assert "--api" in line
    assert "PARAMEDIC_API" in line


def test_an_unknown_key_of_the_settings_file_is_named_with_the_likely_one(tmp_path):
    (tmp_path / "paramedic.yaml").write_text("public_uri: http://paramedic.example\n")
    line = the_line(paramedic(tmp_path, "up"))
    assert "paramedic.yaml: public_uri" in line
    assert "public_url" in line


def test_a_setting_out_of_range_is_named_with_its_variable(tmp_path):
    line = the_line(paramedic(tmp_path, "up", PARAMEDIC_API="localhost:99999"))
    assert "PARAMEDIC_API" in line
    assert "99999" in line


def test_a_wrong_collector_configuration_is_named(tmp_path):
    config = (ROOT / "otel-config.yaml").read_text().replace("limit_mib: 768", "limit_mib: 768\n    limit_mub: 9")
    (tmp_path / "mine.yaml").write_text(config)
    line = the_line(paramedic(tmp_path, "up", "--no-dashboard", "--otel-config", "mine.yaml"))
    assert "mine.yaml" in line
    assert "limit_mub" in line


def test_a_wrong_price_is_named_by_up_and_by_the_doctor(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "prices:\n  - {provider: openai, models: {gpt-4o: {input: cheap, output: 1}}}\n"
    )
    wrong = "mine.yaml: prices[0].models.gpt-4o.input must be US dollars for a million tokens, 0 or more, got 'cheap'"
    done = paramedic(tmp_path, "up", "--no-dashboard", PARAMEDIC_PRICES="mine.yaml", **FREE)
    assert (the_line(done), done.returncode) == (f"paramedic: {wrong}", 2)
    found = json.loads(paramedic(tmp_path, "doctor", "--json", "-", PARAMEDIC_PRICES="mine.yaml").stdout)
    assert [f["text"] for f in found if f["what"] == "prices"] == [wrong]


def test_a_certificate_that_is_not_there_is_named(tmp_path):
    secure = "endpoint: localhost:0\n        tls: {cert_file: gone.pem, key_file: gone.pem}\n"
    config = (ROOT / "otel-config.yaml").read_text()
    plain = "endpoint: ${env:PARAMEDIC_OTLP_HTTP:-localhost:4318}\n"
    assert plain in config
    (tmp_path / "mine.yaml").write_text(config.replace(plain, secure))
    line = the_line(paramedic(tmp_path, "up", "--no-dashboard", "--otel-config", "mine.yaml", **FREE))
    assert "tls.cert_file 'gone.pem' cannot be read" in line


def test_a_wrong_policy_is_named(tmp_path):
    (tmp_path / "policy.yaml").write_text("rules: 7\n")
    line = the_line(paramedic(tmp_path, "up", "--no-dashboard", "--policy", "policy.yaml"))
    assert "policy.yaml" in line
    assert "rules" in line


def test_a_policy_that_is_not_there_is_named(tmp_path):
    assert "gone.yaml" in the_line(paramedic(tmp_path, "up", "--policy", "gone.yaml"))


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "data").write_text("")
    assert str(tmp_path / "data") in the_line(paramedic(tmp_path, "up"))


def test_asking_without_a_platform_says_how_to_get_one(tmp_path):
    line = the_line(paramedic(tmp_path, "incidents", "list"))
    assert "paramedic up" in line


def test_asking_a_platform_that_is_down_says_where_it_was_looked_for(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    line = the_line(paramedic(tmp_path, "incidents", "list", PARAMEDIC_URL=url, PARAMEDIC_OPERATOR_TOKEN="pmo.x"))
    assert url in line


def test_broken_credentials_are_named_with_their_cure(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/credentials").write_text("{")
    line = the_line(paramedic(tmp_path, "token", "support-bot"))
    assert "credentials" in line
    assert "delete it" in line


def test_the_doctor_tells_of_every_mistake_and_exits_with_1(tmp_path):
    (tmp_path / "paramedic.yaml").write_text("apy: localhost:1\nstore: mysql://x\n")
    done = paramedic(tmp_path, "doctor", "--json", "-")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {(f["state"], f["what"]) for f in found} == {("wrong", "settings")}
    assert len(found) == 2


def test_the_doctor_finds_a_fresh_machine_well(tmp_path):
    done = paramedic(
        tmp_path,
        *("doctor", "--json", "-"),
        PARAMEDIC_API="127.0.0.1:0",
        PARAMEDIC_DASHBOARD="127.0.0.1:0",
        PARAMEDIC_OTLP_GRPC="127.0.0.1:0",
        PARAMEDIC_OTLP_HTTP="127.0.0.1:0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {f["state"] for f in json.loads(done.stdout)} == {"ok", "warning"}  # the warning: nobody is told


def test_the_token_of_a_bot_is_the_one_that_its_platform_expects(tmp_path):
    from paramedic.contract.credentials import find_platform, write_credentials

    write_credentials(tmp_path / "data/credentials", url="http://localhost:8600", master="ab" * 32)
    done = paramedic(tmp_path, "token", "support-bot", "--json", "-")
    told = find_platform("support-bot", json.loads(done.stdout))
    assert told == find_platform("support-bot", {"PARAMEDIC_DATA_DIR": str(tmp_path / "data")})


BLOCK = """
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"typer", "rich", "httpx", "pydantic", "yaml", "fastapi"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from paramedic_cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def base_install(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_without_the_platforms_packages_a_command_says_what_to_install():
    line = the_line(base_install("up"))
    assert "pip install 'paramedic[platform]'" in line


def test_run_works_without_the_platforms_packages():
    done = base_install("run", "--service", "bot", sys.executable, "-c", "import paramedic; print('ran')")
    assert (done.returncode, done.stdout.strip()) == (0, "ran"), done.stderr
