"""The README of the SDK runs, and knows every argument."""

import inspect
import re
from pathlib import Path

import paramedic
from paramedic.contract.command import ActionKind

README = Path(__file__).parents[2] / "bot" / "README.md"


def test_the_examples_run_from_top_to_bottom(monkeypatch, tmp_path):
    for name in ("PARAMEDIC_URL", "PARAMEDIC_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARAMEDIC_DATA_DIR", str(tmp_path))
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(examples) >= 6
    try:
        exec("\n".join(examples), {})
    finally:
        paramedic.shutdown()


def test_every_argument_of_a_guard_is_explained():
    arguments = set(inspect.signature(paramedic.Guard.__init__).parameters) - {"self", "members"}
    table = "\n".join(line for line in README.read_text().splitlines() if line.startswith("| `"))
    assert not {argument for argument in arguments if f"`{argument}`" not in table}


def test_every_command_that_is_obeyed_is_explained():
    from paramedic.policy.effects import SUPPORTED

    text = README.read_text()
    assert not {kind for kind in [*SUPPORTED, ActionKind.CLEAR] if f"| `{kind}` |" not in text}


def test_every_public_name_exists_and_says_what_it_is():
    for name in paramedic.__all__:
        assert getattr(paramedic, name).__doc__, name
