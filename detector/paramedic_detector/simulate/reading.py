"""Reads what stands in a scenario file: the demo's vocabulary, and more worlds, kinds and oddities.

    {"name": ..., "world": "demo", "duration": 600, "faults": [...], "oddities": [...]} --read--> Plan
                                                                                     '--> ValueError: one line a mistake

What a reader does not know it refuses: a key with a typing error must not turn a fault into another one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from paramedic.contract.command import Target
from paramedic_detector.simulate.demo_world import demo_graph
from paramedic_detector.simulate.graph import Graph
from paramedic_detector.simulate.kinds import KINDS, USERS
from paramedic_detector.simulate.plan import START, Happening, Plan
from paramedic_detector.simulate.random_world import random_graph

TOP: Final = ("name", "description", "world", "duration", "traffic", "hour", "faults", "oddities")
TRAFFIC: Final = ("rate", "daily", "bursts")
FAULT: Final = ("name", "at", "until", "kind", "target", "zone", "severity", "class", "root_cause", "parameters")
UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
DEMO_DELAY_S: Final = 3.0  # of a slow backend, when nobody says how slow
FAULT_CLASSES: Final = tuple(sorted({name for kind in KINDS.values() for name in kind.classes.values()}))
_WORLD: Final = re.compile(r"random-(\d{1,9})(?:-(\d{1,2}))?")


class ScenarioMistakes(ValueError):
    """A scenario that cannot be used; `mistakes` has one sentence each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class _Taken:
    """Takes values out of one mapping, and collects what is wrong with them."""

    def __init__(self, raw: object, path: str, mistakes: list[str], keys: Sequence[str]) -> None:
        self.raw: Mapping[Any, Any] = raw if isinstance(raw, Mapping) else {}
        self._path, self._mistakes = path, mistakes
        if not isinstance(raw, Mapping):
            mistakes.append(f"{path.rstrip('.: ')} must be a mapping with {', '.join(keys)}, got {raw!r}")
        for key in self.raw:
            if key not in keys:
                mistakes.append(f"{path}{key} is not known{did_you_mean(key, keys)}; there are {', '.join(keys)}")

    def wrong(self, key: str, what: str) -> None:
        self._mistakes.append(f"{self._path}{key} {what}")

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.wrong(key, f"must be a number from {least:g} to {most:g}, got {value!r}")
            return default
        return float(value)

    def seconds(self, key: str, default: float | None = None) -> float:
        value = self.raw.get(key, default)
        if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", value.strip())):
            return float(found[1]) * UNIT_S[found[2]]
        if value is None:
            self.wrong(key, "is missing, and has no default")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e8:
            self.wrong(key, f"must be seconds, such as 90 or 1.5m, got {value!r}")
        else:
            return float(value)
        return 0.0

    def text(self, key: str, default: str = "") -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            self.wrong(key, f"must be a text, got {value!r}")
            return default
        return value

    def choice(self, key: str, names: Sequence[str], default: str) -> str:
        value = self.raw.get(key, default)
        if value != default and value not in names:
            self.wrong(key, f"must be one of {', '.join(names)}, got {value!r}{did_you_mean(value, names)}")
            return default
        return str(value)

    def entries(self, key: str) -> list[object]:
        value = self.raw.get(key, [])
        if not isinstance(value, list):
            self.wrong(key, f"must be a list, each entry with a dash before it, got {value!r}")
            return []
        return value


def read(raw: object, file: str, stem: str) -> Plan:
    """A plan from what stands in a scenario file.

    Args:
        raw: As the YAML reader gave it.
        file: How mistakes name the file.
        stem: Name of the scenario when the file gives none.

    Raises:
        ScenarioMistakes: With every mistake in the file.
    """
    mistakes: list[str] = []
    top = _Taken(raw, f"{file}: ", mistakes, TOP)
    graph = _world(top)
    duration_s = top.seconds("duration")
    if not mistakes and duration_s < 1:
        top.wrong("duration", f"must be at least 1 s, got {duration_s:g}")
    traffic = _Taken(top.raw.get("traffic", {}), f"{file}: traffic.", mistakes, TRAFFIC)
    happenings = [
        _happening(one, graph, f"{file}: {key}[{place}].", mistakes, is_fault=key == "faults")
        for key in ("faults", "oddities")
        for place, one in enumerate(top.entries(key))
    ]
    mistakes += [f"{file}: {mistake}" for mistake in _clashes(happenings, duration_s)]
    plan = Plan(
        top.text("name", stem),
        graph,
        duration_s,
        tuple(sorted(happenings, key=lambda one: one.at_s)),
        traffic.number("rate", graph.rate_per_s, 0.01, 1000),
        traffic.number("daily", 0.0, 0.0, 0.95),
        bool(traffic.raw.get("bursts", True)),
        START + 3600 * top.number("hour", 12.0, 0.0, 24.0),
        " ".join(top.text("description").split()),
    )
    if mistakes:
        raise ScenarioMistakes(mistakes)
    return plan


def _world(top: _Taken) -> Graph:
    name = top.text("world", "demo")
    if name == "demo":
        return demo_graph(nlu=True, tools=True)
    if found := _WORLD.fullmatch(name):
        many = int(found[2]) if found[2] else 0
        if many and not 5 <= many <= 40:
            top.wrong("world", f"must have 5 to 40 services, got {many}")
            return demo_graph()
        return random_graph(int(found[1]), services=(many, many) if many else (5, 16))
    top.wrong("world", f'must be "demo", "random-SEED" or "random-SEED-SERVICES", got {name!r}')
    return demo_graph()


def _happening(raw: object, graph: Graph, path: str, mistakes: list[str], *, is_fault: bool) -> Happening:
    taken = _Taken(raw, path, mistakes, FAULT)
    kind = taken.choice("kind", tuple(KINDS), "")
    if not kind:
        taken.wrong("kind", "is missing, and has no default") if "kind" not in taken.raw else None
    target = taken.choice("target", tuple(graph.by_name), "")
    zones = graph.service[target].zones if target in graph.service else tuple(name for name in graph.zones if name)
    zone = taken.choice("zone", zones, "")
    parameters = _parameters(taken, kind, graph, target, path, mistakes)
    classes = KINDS[kind].classes if kind else {}
    striking = "zone" if zone and "zone" in classes else graph.kind(target) if target else USERS
    known = classes.get(striking, "unknown")
    if kind and is_fault and not classes:
        taken.wrong("kind", f"is no fault, got {kind!r}: it belongs under oddities")
    fault_class = taken.choice("class", (*FAULT_CLASSES, "unknown"), known) if is_fault else ""
    cause = _Taken(taken.raw.get("root_cause", {}), f"{path}root_cause.", mistakes, ("peer", "zone"))
    default = Target(target or graph.entries[0][0], zone)
    name = taken.text("name", f"{kind} of {default}")
    at_s = taken.seconds("at")
    return Happening(
        name, at_s, taken.seconds("until"), kind or "errors", target, zone,
        taken.number("severity", 1.0, 0.001, 1.0), parameters, fault_class,
        Target(cause.choice("peer", tuple(graph.by_name), default.peer), cause.choice("zone", zones, default.zone))
        if is_fault else Target(),
    )  # fmt: skip


def _parameters(
    taken: _Taken, kind: str, graph: Graph, target: str, path: str, mistakes: list[str]
) -> dict[str, float]:
    raw = taken.raw.get("parameters", {})
    if not isinstance(raw, Mapping):
        taken.wrong("parameters", f"must be a mapping of names to numbers, got {raw!r}")
        return {}
    known = KINDS[kind].parameters if kind else {}
    inner = _Taken(raw, f"{path}parameters.", mistakes, tuple(known))
    found = {name: inner.number(name, one.default, one.least, one.most) for name, one in known.items() if name in raw}
    if kind == "slow" and target and graph.kind(target) != "provider" and not found:
        found["delay_s"] = DEMO_DELAY_S
    return found


def _clashes(happenings: Sequence[Happening], duration_s: float) -> Iterator[str]:
    seen: set[str] = set()
    for one in happenings:
        if one.until_s <= one.at_s:
            yield f"{one.name!r}: until must be after at, which is {one.at_s:g} s, got {one.until_s:g}"
        elif duration_s and one.until_s > duration_s:
            yield f"{one.name!r}: until must be within the run, which ends at {duration_s:g} s, got {one.until_s:g}"
        if one.is_fault and one.name in seen:
            yield f"{one.name!r}: name must be another one for each fault"
        seen.add(one.name)


def did_you_mean(given: object, names: Sequence[str]) -> str:
    close = get_close_matches(str(given), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
