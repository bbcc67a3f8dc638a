"""The examples in the docstrings of the SDK run, and what a team uses has one."""

import asyncio
import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import paramedic
import paramedic.testing

SHELLS = {"guard": "Guard"}  # another name of the same thing


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(paramedic.__path__, "paramedic.")
    return [importlib.import_module(module.name) for module in found if ".autostart" not in module.name]


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = {"paramedic": paramedic, "asyncio": asyncio}
    return [test for module in modules() for test in finder.find(module, extraglobs=names) if test.examples]


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_gives_what_it_says(example):
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("room", [paramedic, paramedic.testing])
def test_what_a_team_calls_has_an_example(room):
    shown = {example.name.rpartition(".")[2] for example in EXAMPLES}
    public = [getattr(room, name) for name in room.__all__ if name not in SHELLS]
    usable = [
        thing
        for thing in public
        if not isinstance(thing, ModuleType) and not (isinstance(thing, type) and issubclass(thing, Exception))
    ]
    without = {"init", "shutdown", "instrument", "Call", "FakePlatform"}  # of a whole process, or made by others
    assert not {thing.__name__ for thing in usable} - shown - without
