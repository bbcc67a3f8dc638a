"""The page `docs/sdk-comparison.md`, and reading one library's column back out of it."""

import re
from collections.abc import Iterable
from typing import Any, Final

from sdk_scenarios import SCENARIOS, Scenario

_MARKS: Final = {"right": "yes", "wrong": "**no**", "not offered": "–"}

_HEAD: Final = """# The SDK beside other libraries

The same bad days for `paramedic` and for other Python libraries of its kind. This page is written by
`make sdk-comparison`, which does each of these things to each library and looks at what happens; a test plays our
column again on every `make test`.

- Each library is used as its own documentation tells, with the options that fit best, in a process of its own:
  `benchmarks/sdk_ours.py`, `sdk_peers_*.py` and `sdk_litellm.py` are all there is to it.
- "yes" is right, "**no**" is wrong; a library that has nothing for a scenario is not wrong there: –.
- LiteLLM's Router guards requests, not functions: it talks to a provider on a local port that misbehaves in the
  same way.
- logfire and traceloop record calls and do not guard them; [benchmarks](benchmarks.md) has what they cost.

What this table does not show is what the others have and the SDK has not: breaker state shared through Redis
(pybreaker, aiobreaker, purgatory, interlock-cb), rate limiters (pyresilience, hyx), Trio (stamina), and one API for a
hundred providers with budgets and a proxy (LiteLLM). Breakers of paramedic are a process's own; what the processes
have in common comes from the platform.
"""


def page(columns: list[dict[str, Any]]) -> str:
    """The whole page.

    Args:
        columns: By library: name, version, and its cells by scenario.
    """
    parts = [_HEAD, "\n".join(_summary(columns)), *(_section(scenario, columns) for scenario in SCENARIOS)]
    versions = ", ".join(f"{column['name']} {column['version']}" for column in columns)
    parts.append(f"## Versions\n\n{versions}.")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(columns: list[dict[str, Any]]) -> Iterable[str]:
    names = [f"**{column['name']}**" if not at else column["name"] for at, column in enumerate(columns)]
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{':---:|' * len(names)}"
    for scenario in SCENARIOS:
        marks = [_MARKS[column["cells"][scenario.key]["verdict"]] for column in columns]
        yield f"| [{scenario.title}](#{_anchor(scenario.title)}) | {' | '.join(marks)} |"


def _section(scenario: Scenario, columns: list[dict[str, Any]]) -> str:
    cells = {column["name"]: column["cells"][scenario.key] for column in columns}
    offered = {name: cell for name, cell in cells.items() if cell["verdict"] != "not offered"}
    rows = [f"| {name} | {cell['verdict']} | {cell['what']} |" for name, cell in offered.items()]
    lines = [f"## {scenario.title}", "", scenario.what, "", "| library | | what happened |", "|---|---|---|", *rows]
    others = [
        f"{name} ({cell['what']})" if cell["what"] else name for name, cell in cells.items() if name not in offered
    ]
    if others:
        lines += ["", f"Not offered: {', '.join(others)}."]
    return "\n".join(lines)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def column(text: str, name: str) -> dict[str, tuple[str, str]]:
    """One library's verdicts and words by the scenario's title, as a page has them."""
    found = {}
    for part in text.split("\n## ")[1:]:
        row = re.search(rf"^\| {re.escape(name)} \| ([a-z ]+) \| (.*) \|$", part, re.MULTILINE)
        if row:
            found[part.splitlines()[0]] = (row[1], row[2])
    return found


def without_times(what: str) -> str:
    """A cell's words without what differs from run to run."""
    return re.sub(r"\d+\.\d (?=deadlines|of the time)", "some ", what)
