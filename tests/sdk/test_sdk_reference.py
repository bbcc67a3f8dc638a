"""The reference of the SDK names everything that is public, and its tables say what the code says."""

import inspect
import math
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import paramedic
import paramedic.testing
from paramedic.contract.command import ActionKind
from paramedic.routing.members import GuardOptions, RouterOptions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/sdk.md").read_text()
TABLES: dict[str, Callable[..., Any]] = {
    "Answers": paramedic.Answers,
    "Breaker": paramedic.Breaker,
    "Cascade": paramedic.Cascade,
    "Fallback": paramedic.Fallback,
    "Guard": paramedic.Guard,
    "Member": paramedic.Member,
    "Retry": paramedic.Retry,
    "Router": paramedic.Router,
    "deadline": paramedic.deadline,
    "feedback": paramedic.feedback,
    "init": paramedic.init,
    "request": paramedic.request,
}
OPTIONS = {"Router": RouterOptions, "Cascade": GuardOptions}
INNER = {"Guard": {"members"}}  # what a router gives its guards; nobody else does
NOT_FOR_PEOPLE = {"PARAMEDIC_SAID"}  # by which `paramedic run` tells the processes of a program
VALUES = {**vars(paramedic), "time": time, "random": random, "math": math}


def section(name: str) -> str:
    """From the heading of a name to the next one."""
    found = re.search(rf"^## `{name}`$(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"docs/reference/sdk.md has no section ## `{name}`"
    return found[1]


def rows(text: str) -> dict[str, str]:
    """First and second cell of each row of the first table, without backticks; what is in the head is no row."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    cells = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", table[0] if table else "", re.MULTILINE)
    return {name: default.strip().strip("`") for name, default in cells}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_each_argument_with_its_default(name):
    told = rows(section(name))
    parameters = {
        parameter.name: parameter
        for parameter in inspect.signature(TABLES[name]).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in INNER.get(name, ())
    }
    options = set(OPTIONS[name].__annotations__ if name in OPTIONS else ())
    assert set(told) == set(parameters) | options
    for argument, parameter in parameters.items():
        if parameter.default is parameter.empty:
            assert told[argument] == "", f"{argument} of {name} has no default"
        else:
            assert eval(told[argument], dict(VALUES)) == parameter.default, f"default of {argument} of {name}"


def test_every_public_name_has_its_place():
    assert not [name for name in paramedic.__all__ if not re.search(rf"`{name}[`(]", PAGE)]


def test_every_name_of_the_testing_kit_has_its_place():
    kit = section("testing")
    assert not [name for name in paramedic.testing.__all__ if not re.search(rf"`{name}[`(]", kit)]


def test_every_refusal_stands_there_with_its_reason():
    table = section("Refused")
    for kind in paramedic.Refused.__subclasses__():
        assert f"| `{kind.__name__}` |" in table
    from paramedic.guards.refusals import _CLASS_OF

    assert not [reason for reason in _CLASS_OF if f"`{reason}`" not in table]


def test_every_kind_of_command_stands_on_the_page_about_them():
    page = (ROOT / "docs/concepts/commands-in-a-bot.md").read_text()
    assert not [kind for kind in ActionKind if f"| `{kind}` |" not in page]


def test_every_variable_of_the_environment_stands_there():
    sources = [path.read_text() for path in (ROOT / "bot/paramedic").rglob("*.py")]
    read = {name for text in sources for name in re.findall(r'"((?:PARAMEDIC|OTEL)_[A-Z_]+[A-Z])"', text)}
    assert len(read) > 10
    assert not sorted(name for name in read - NOT_FOR_PEOPLE if f"`{name}`" not in PAGE)
