"""`paramedic run`: the same program, with paramedic started before its first line."""

import os
import subprocess
import sys

import pytest

from paramedic.run import UsageError, plan


def run(*words, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PARAMEDIC_", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, "-m", "paramedic.run", *words],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_program_runs_with_paramedic_started(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.own_sitecustomize = True")
    script = tmp_path / "app.py"
    script.write_text("import sys, paramedic.start as s; print(s._started.on, sys.own_sitecustomize, sys.argv[1:])")
    done = run(
        "--service", "bot", sys.executable, str(script), "--x",
        PYTHONPATH=str(tmp_path), PARAMEDIC_DATA_DIR=str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True True ['--x']\n"), done.stderr


@pytest.mark.parametrize(
    ("words", "env", "code", "said"),
    [
        ((), {}, 2, "was given no command"),
        (("--fast", "python"), {}, 2, "does not know '--fast'"),
        (("python", "app.py"), {}, 2, "set OTEL_SERVICE_NAME"),
        (("no-such-program",), {"OTEL_SERVICE_NAME": "bot"}, 127, "cannot find the program 'no-such-program'"),
    ],
)
def test_a_mistake_is_one_line(words, env, code, said):
    done = run(*words, **env)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert said in done.stderr


def test_the_exit_code_is_the_programs():
    assert run(sys.executable, "-c", "raise SystemExit(7)", PARAMEDIC_SERVICE="bot").returncode == 7


def test_everything_behind_two_dashes_is_the_command():
    assert plan(["--", "a", "--service"], {"PARAMEDIC_SERVICE": "bot"})[0] == ["a", "--service"]
    with pytest.raises(UsageError):
        plan(["--service"], {})
