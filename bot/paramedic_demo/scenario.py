"""Scenarios of the demo, by name or by file. ``docs/reference/scenarios.md`` is for those who write them.

demo.yaml --load--> Scenario --scaled(duration_s)--> Scenario --Fleet.inject, Fleet.heal--> a hurt demo
"""

from pathlib import Path

import yaml

from paramedic_demo.faults import did_you_mean
from paramedic_demo.scenario_reading import ScenarioError, read
from paramedic_demo.scenario_values import Fault, Scenario, Traffic

__all__ = ["FOLDER", "Fault", "Scenario", "ScenarioError", "Traffic", "load", "load_all", "names", "suites"]

FOLDER = Path(__file__).parent / "scenarios"


def names() -> list[str]:
    """The scenarios that come with the demo."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def suites() -> list[str]:
    """The folders of scenarios that come with the demo."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def load(path_or_name: str | Path) -> Scenario:
    """A scenario, by its file or, for one that comes with the demo, by its name.

    Raises:
        ScenarioError: There is no such file, or something in it is wrong; all mistakes at once, each in one sentence.
    """
    return load_file(file_of(path_or_name))


def load_all(path_or_name: str | Path) -> list[Scenario]:
    """The scenario of that name or file; all of a folder, in the order of their names, when it is one.

    Raises:
        ScenarioError: There is none, or something in one is wrong.
    """
    folder = next((path for path in (Path(path_or_name), FOLDER / path_or_name) if path.is_dir()), None)
    if folder is None:
        return [load(path_or_name)]
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise ScenarioError([f"{folder}: there is no scenario in this folder; give one that has *.yaml in it"])
    return [load_file(path) for path in found]


def load_file(path: Path) -> Scenario:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read ({error.strerror}); give the path of a scenario file"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{path.name}: must be YAML, and is not: {' '.join(str(error).split())}"]) from None
    return read(raw, path.name, path.stem)


def file_of(path_or_name: str | Path) -> Path:
    """Where a scenario stands. What has no suffix is a name, unless there is such a file.

    Raises:
        ScenarioError: No scenario has that name.
    """
    path = Path(path_or_name)
    if path.suffix or path.is_file():
        return path
    if (ours := FOLDER / f"{path_or_name}.yaml").is_file():
        return ours
    known = ", ".join([*names(), *suites()])
    hint = did_you_mean(path_or_name, [*names(), *suites()])
    raise ScenarioError([f"there is no scenario {str(path_or_name)!r}{hint}; there are {known}, or give a file"])
