"""Scenario files: those that come with the simulation, held out from training, and anybody's own."""

from pathlib import Path
from typing import Final

import yaml

from paramedic_detector.simulate.plan import Plan
from paramedic_detector.simulate.reading import ScenarioMistakes, read

FOLDER: Final = Path(__file__).parent / "scenarios"


def names() -> list[str]:
    """The scenarios that come with the simulation."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(path: Path) -> Plan:
    """The plan of a scenario file.

    Raises:
        ScenarioMistakes: There is no such file, or something in it is wrong; all mistakes at once.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioMistakes([f"{path}: cannot be read ({error.strerror}); give the path of a file"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioMistakes([f"{path.name}: must be YAML, and is not: {' '.join(str(error).split())}"]) from None
    return read(raw, path.name, path.stem)


def load_named(name: str) -> Plan:
    """One of `names`."""
    return load(FOLDER / f"{name}.yaml")
