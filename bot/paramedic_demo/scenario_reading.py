"""Reads a scenario file, and says everything that is wrong with it at once.

    YAML --> Reader.take(key) ... --> Scenario, or ScenarioError: one sentence a mistake with file, key, value and cure

What a reader does not know it refuses: a key with a typing error must not turn a fault into another one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from paramedic.contract.command import Target
from paramedic_demo.faults import (
    BATCH,
    BOT_KINDS,
    DEPLOY,
    KILL,
    LINK_KINDS,
    ODD,
    ORDERS_KINDS,
    PAUSE,
    PROVIDER_KINDS,
    SURGE,
    WHOLE,
    Kinds,
    did_you_mean,
    mistakes_of,
    one_of,
)
from paramedic_demo.scenario_values import USERS, ZONES, Fault, Scenario, Traffic

T = TypeVar("T")
TARGETS: Mapping[str, Kinds] = {
    "aurora": {**PROVIDER_KINDS, **KILL, **PAUSE},
    "borealis": {**PROVIDER_KINDS, **KILL, **PAUSE},
    "orders": {**ORDERS_KINDS, **LINK_KINDS, **DEPLOY, **BATCH, **KILL, **PAUSE},
    "support-bot": {
        **{kind: known for kind, known in BOT_KINDS.items() if kind not in ("nlu", "retries")},
        **DEPLOY,
        **KILL,
        **PAUSE,
    },
    "nlu": {"nlu": BOT_KINDS["nlu"]},
    "front-door": {**KILL, **PAUSE},
    USERS: SURGE,
}
ENTRY = "front-door"  # where users come in
IN_ZONES = ("support-bot",)
CLASSES = (
    "provider_outage",
    "provider_rate_limited",
    "provider_slow",
    "auth_failure",
    "dependency_errors",
    "dependency_slow",
    "zone_outage",
    "network_degraded",
    "deploy_regression",
    "traffic_surge",
    "retry_storm",
    "resource_leak",
    "saturation",
    "cost_runaway",
    "quality_degradation",
    "nlu_degradation",
    "tool_loop",
    "unknown",
)
NOTHING: object = {}
UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class ScenarioError(ValueError):
    """The scenario cannot be used; `mistakes` has one sentence each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Wrong(ValueError):
    """A value will not do; the message goes on after the key's name: "must be above 0, got -1"."""


class Reader:
    """Takes values out of one mapping of the file, and collects what is wrong with them."""

    def __init__(self, raw: object, path: str, mistakes: list[str], keys: Sequence[str]) -> None:
        self._raw: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {}
        self._path, self._mistakes, self._is_mapping = path, mistakes, isinstance(raw, Mapping)
        if not self._is_mapping:
            mistakes.append(f"{path.rstrip('.: ')} must be a mapping with {', '.join(keys)}, got {raw!r}")
        for key in self._raw:
            if key not in keys:
                mistakes.append(f"{path}{key} is not known{did_you_mean(key, keys)}; there are {', '.join(keys)}")

    def take(self, key: str, read: Callable[[object], T], default: T, *, required: bool = False) -> T:
        """The value of a key; the default when it is missing or wrong, and then the mistake is on the list."""
        if key not in self._raw:
            if required and self._is_mapping:
                self.wrong(key, "is missing, and has no default")
            return default
        try:
            return read(self._raw[key])
        except Wrong as wrong:
            self.wrong(key, str(wrong))
            return default

    def wrong(self, key: str, what: str) -> None:
        self._mistakes.append(f"{self._path}{key} {what}")


def read(raw: object, file: str, stem: str) -> Scenario:
    """A scenario from what stands in a file.

    Args:
        raw: As the YAML reader gave it.
        file: How mistakes name the file.
        stem: Name of the scenario when the file gives none.

    Raises:
        ScenarioError: With every mistake in the file.
    """
    mistakes: list[str] = []
    top = Reader(raw, f"{file}: ", mistakes, ("name", "description", "duration", "traffic", "faults", "oddities"))
    duration_s = top.take("duration", seconds_above_0, 0.0, required=True)
    traffic = Reader(top.take("traffic", anything, NOTHING), f"{file}: traffic.", mistakes, ("rate",))
    found = {"faults": list[Fault](), "oddities": list[Fault]()}
    for key, happenings in found.items():
        listed: list[object] = top.take(key, a_list, [])
        for index, one in enumerate(listed):
            happenings.append(read_fault(one, f"{file}: {key}[{index}].", mistakes, odd=key == "oddities"))
    mistakes += [f"{file}: {mistake}" for mistake in clashes(found, duration_s)]
    scenario = Scenario(
        top.take("name", a_name, stem),
        duration_s,
        Traffic(traffic.take("rate", rate, Traffic().rate_per_s)),
        tuple(sorted(found["faults"], key=lambda fault: fault.at_s)),
        " ".join(top.take("description", a_name, "").split()),
        tuple(sorted(found["oddities"], key=lambda odd: odd.at_s)),
    )
    if mistakes:
        raise ScenarioError(mistakes)
    return scenario


def read_fault(raw: object, path: str, mistakes: list[str], *, odd: bool = False) -> Fault:
    """One fault; or one oddity, which has no truth but that it must not be reported."""
    keys = ("name", "at", "until", "kind", "target", "zone", "severity", "class", "root_cause", "parameters")
    reader = Reader(raw, path, mistakes, keys[:7] + keys[9:] if odd else keys)
    surges = isinstance(raw, Mapping) and raw.get("kind") == "surge"
    target = reader.take("target", choice(TARGETS), USERS if surges else "", required=not surges)
    zone = reader.take("zone", choice(ZONES), "")
    if zone and target and target not in IN_ZONES:
        reader.wrong("zone", f"must be left out, since {target!r} is not in one zone, got {zone!r}")
    kind = reader.take("kind", a_name, "", required=True)
    parameters: dict[str, Any] = reader.take("parameters", a_mapping, {})
    severity = reader.take("severity", share, 1.0)
    if kind and target:
        for mistake in mistakes_of(kind, parameters, TARGETS[target]):
            mistakes.append(path + ("" if mistake.startswith("kind") else "parameters.") + mistake)
    if kind in WHOLE and severity < 1.0:
        reader.wrong("severity", f"must be 1 for {kind!r}, which cannot be done to some calls only, got {severity!r}")
    if kind in ODD and not odd:
        reader.wrong("kind", f"must not be {kind!r} under faults: it is none, and belongs under oddities")
    cause = Reader(reader.take("root_cause", anything, NOTHING), f"{path}root_cause.", mistakes, ("peer", "zone"))
    return Fault(
        name=reader.take("name", a_name, "", required=True),
        at_s=reader.take("at", seconds, 0.0, required=True),
        until_s=reader.take("until", seconds_above_0, 0.0, required=True),
        kind=kind,
        target=target,
        zone=zone,
        severity=severity,
        parameters=parameters,
        fault_class="" if odd else reader.take("class", choice(CLASSES), "unknown", required=True),
        root_cause=Target(
            cause.take("peer", a_name, ENTRY if target == USERS else target), cause.take("zone", choice(ZONES), zone)
        ),
    )


def clashes(found: Mapping[str, Sequence[Fault]], duration_s: float) -> Iterator[str]:
    """What is wrong with faults and oddities that are right each by itself."""
    placed = [(f"{key}[{index}]", one) for key, listed in found.items() for index, one in enumerate(listed)]
    faults = [one for _, one in placed]
    for index, (here, fault) in enumerate(placed):
        if fault.until_s and fault.until_s <= fault.at_s:
            yield f"{here}.until must be after at, which is {fault.at_s:g} s, got {fault.until_s:g}"
        elif duration_s and fault.until_s > duration_s:
            yield f"{here}.until must be within the run, which ends at {duration_s:g} s, got {fault.until_s:g}"
        for other in faults[:index]:
            if fault.name and fault.name == other.name:
                yield f"{here}.name must be another one for each fault, got {fault.name!r} twice"
            if break_the_same(fault, other):
                both = one_of(sorted(set(fault.struck) & set(other.struck)))
                ends = f"the end of {other.name!r} at {other.until_s:g} s, since both break {both!r}"
                yield f"{here}.at must not be before {ends}, got {fault.at_s:g}"


def break_the_same(one: Fault, other: Fault) -> bool:
    """Whether two faults would break one process at one time."""
    same_process = set(one.struck) & set(other.struck) and (one.zone == other.zone or not (one.zone and other.zone))
    return bool(one.target and same_process) and one.at_s < other.until_s and other.at_s < one.until_s


def anything(value: object) -> object:
    return value


def a_name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong(f"must be a text, got {value!r}")
    return value


def a_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong(f"must be a list, each entry with a dash before it, got {value!r}")
    return value


def a_mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise Wrong(f"must be a mapping of names to numbers, got {value!r}")
    return value


def choice(names: Iterable[str]) -> Callable[[object], str]:
    known = list(names)

    def read_choice(value: object) -> str:
        if value not in known:
            raise Wrong(f"must be {one_of(known)}, got {value!r}{did_you_mean(value, known)}")
        return str(value)

    return read_choice


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise Wrong(f"must be a number, got {value!r}")
    return float(value)


def seconds(value: object) -> float:
    """Seconds, as a number or as people write them: 90, "90s", "1.5m", "1h"."""
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", value.strip())):
        return float(found[1]) * UNIT_S[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise Wrong(f"must be seconds, such as 90 or 1.5m, got {value!r}")
    return float(value)


def seconds_above_0(value: object) -> float:
    if (found := seconds(value)) == 0:
        raise Wrong(f"must be above 0 seconds, got {value!r}")
    return found


def rate(value: object) -> float:
    if not 0 < (found := number(value)) <= 1000:
        raise Wrong(f"must be above 0 and at most 1000 requests a second, got {value!r}")
    return found


def share(value: object) -> float:
    if not 0 < (found := number(value)) <= 1:
        raise Wrong(f"must be the share of calls that it hurts, above 0 and at most 1, got {value!r}")
    return found
