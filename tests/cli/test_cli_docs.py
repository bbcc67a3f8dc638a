"""The reference lists every command and every flag, and nothing that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from paramedic_cli.app import app

REFERENCE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text()
IN_EVERY = {"--help"}


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command as it is typed, with its long flags."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        for sub, leaf in getattr(command, "commands", {"": command}).items():
            yield (
                f"{name} {sub}".strip(),
                {o for p in leaf.params for o in (*p.opts, *p.secondary_opts) if o[:2] == "--"},
            )


COMMANDS = dict(commands())


def section_of(command: str) -> str:
    """The reference's words about a command: from its heading to the next."""
    head = command.split()[0]
    found = re.search(rf"^## `paramedic {head}\b.*?(?=^## |\Z)", REFERENCE, re.M | re.S)
    assert found, f"docs/reference/cli.md has no section for `paramedic {head}`"
    return found.group()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_place_in_the_reference(command):
    words = command.split()
    assert command in section_of(command) if len(words) > 1 else section_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_a_command_is_in_the_reference(command):
    shared = REFERENCE.partition("## `paramedic run")[0] if command == "up" else ""
    missing = {flag for flag in COMMANDS[command] if flag not in section_of(command) + shared}
    assert missing == set()


def test_the_reference_names_no_flag_that_is_not_there():
    known = set().union(*COMMANDS.values()) | IN_EVERY | {"--version"}
    assert set(re.findall(r"--[a-z][a-z-]+", REFERENCE)) <= known


def test_the_reference_names_no_command_that_is_not_there():
    named = set(re.findall(r"^## `paramedic ([a-z]+)", REFERENCE, re.M))
    assert named == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "run"])
def test_every_command_can_speak_json(command):
    assert "--json" in COMMANDS[command]
