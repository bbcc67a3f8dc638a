"""The fault classes: data from one file, checked when it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

UNKNOWN: Final = "unknown"
KINDS: Final = ("provider", "dependency", "service", "zone")
FEATURES: Final = (
    "failing", "server_errors", "rate_limited", "auth", "timeouts", "connection", "other_errors", "refused", "hang",
    "slow", "useless", "silent", "one_member", "own_time", "gap", "surge", "new_version", "bulkhead", "cost", "nlu",
    "loop", "retries", "leak", "first_token", "full", "busy", "told_wrong", "broken",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaultClass:
    """One class: for which kinds of target it stands, and how much each feature speaks for it."""

    name: str
    description: str
    kinds: tuple[str, ...]
    weights: Mapping[str, float]

    def sum_of(self, features: Mapping[str, float]) -> float:
        return sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())


@dataclass(frozen=True)
class Taxonomy:
    """All classes of the file, in its order, and what the labels of recorded sets mean."""

    classes: tuple[FaultClass, ...]
    unknown: float  # the height that a class must reach over
    labels: Mapping[str, str]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return (*(fault.name for fault in self.classes), UNKNOWN)

    @classmethod
    def load(cls, path: Path | None = None) -> "Taxonomy":
        """The classes of a file; without one those that come with paramedic.

        Raises:
            ValueError: The file has mistakes; the message has one line for each.
        """
        where = str(path) if path else "taxonomy.yaml"
        text = path.read_text() if path else (files("paramedic_detector") / "data" / "taxonomy.yaml").read_text()
        try:
            raw = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
        mistakes = _mistakes(raw)
        if mistakes:
            raise ValueError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
        classes = [
            FaultClass(name, one["description"], tuple(one["kinds"]), dict(one["weights"]))
            for name, one in raw["classes"].items()
        ]
        return cls(tuple(classes), float(raw["unknown"]), dict(raw.get("labels", {})))


def _mistakes(raw: Any) -> list[str]:
    if not isinstance(raw, dict) or not isinstance(raw.get("classes"), dict):
        return ["classes must be a mapping of fault classes"]
    found = unknown_keys("", raw, ("version", "unknown", "kinds", "classes", "labels"))
    if not isinstance(raw.get("unknown"), int | float):
        found.append(f"unknown must be a number, got {raw.get('unknown')!r}")
    for name, one in raw["classes"].items():
        found += _class_mistakes(f"classes.{name}", one)
    for label, name in (raw.get("labels") or {}).items():
        if name not in raw["classes"]:
            found.append(f"labels.{label} must be one of the classes, got {name!r}")
    return found


def _class_mistakes(where: str, one: Any) -> list[str]:
    if not isinstance(one, dict):
        return [f"{where} must have description, kinds and weights, got {one!r}"]
    found = unknown_keys(f"{where}.", one, ("description", "kinds", "weights"))
    found += [f"{where}.{name} is missing" for name in ("description", "kinds", "weights") if name not in one]
    for kind in one.get("kinds") or ():
        if kind not in KINDS:
            found.append(f"{where}.kinds must be of {', '.join(KINDS)}, got {kind!r}")
    weights = one.get("weights")
    for feature, weight in (weights if isinstance(weights, dict) else {}).items():
        if feature not in FEATURES:
            found.append(f"{where}.weights.{feature} is no feature; there are {', '.join(FEATURES)}")
        elif not isinstance(weight, int | float):
            found.append(f"{where}.weights.{feature} must be a number, got {weight!r}")
    return found


def unknown_keys(where: str, raw: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """One sentence for each key that nobody reads."""
    return [f"{where}{key} is not known; there are {', '.join(known)}" for key in raw if key not in known]
