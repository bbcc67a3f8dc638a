"""What others reached on a set that is known, and which injections its labels leave out: one file, read for the report.

Nothing here is seen by anything that detects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from paramedic_detector.evaluate.truth import Fault, Span


@dataclass(frozen=True, slots=True)
class Known:
    """A set that somebody wrote about."""

    name: str
    unlabelled: tuple[Span, ...]
    figures: tuple[Mapping[str, Any], ...]


def known(faults: Sequence[Fault]) -> Known | None:
    """The set with as many faults, of which the first began at the same second; None for any other."""
    if not faults:
        return None
    first = round(min(fault.start for fault in faults))
    for name, entry in _file().items():
        if entry["known_by"] == {"faults": len(faults), "first_start": first}:
            spans = tuple(Span(one["start"], one["end"], one["name"]) for one in entry.get("unlabelled", ()))
            return Known(name, spans, tuple(entry["figures"]))
    return None


@cache
def _file() -> dict[str, Any]:
    text = (files("paramedic_detector") / "evaluate" / "data" / "published.yaml").read_text()
    return dict(yaml.safe_load(text))
