"""The published alert rules, evaluated on the same windows: the yardstick for noise, never a source of incidents.

SeriesTable --each second, each rule and scope--> condition --held for `for_s`--> a transition to firing
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series import SeriesTable, Totals
from paramedic_detector.taxonomy import unknown_keys

MEASURES: Final = ("error_ratio", "p95_s", "down", "burn")
SCOPES: Final = ("service", "edge")
_NUMBERS: Final = ("window_s", "above", "least_calls", "for_s", "short_s", "objective")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule; see rules.yaml for what its fields mean."""

    name: str
    scope: str
    measure: str
    window_s: float
    above: float
    least_calls: int
    for_s: float
    short_s: float = 60.0
    objective: float = 0.99

    def holds(self, table: SeriesTable, key: SeriesKey, now: float) -> bool:
        """Whether the condition holds now, whatever its `for_s`."""
        end = now + 1
        calls = table.totals(key, end - self.window_s, end)
        if self.measure == "down":
            usual = table.totals(key, end - 10 * self.window_s, end - self.window_s)
            return calls.count == 0 and usual.count >= self.least_calls
        if calls.count < self.least_calls:
            return False
        if self.measure == "p95_s":
            return (calls.quantile_s(0.95) or 0.0) > self.above
        if self.measure == "burn":
            limit, short = self.above * (1 - self.objective), table.totals(key, end - self.short_s, end)
            return _ratio(calls) > limit and _ratio(short) > limit
        return _ratio(calls) > self.above


class RuleSet:
    """The rules with the state that each of them is in, for each service and edge."""

    def __init__(self, rules: tuple[AlertRule, ...]) -> None:
        self.rules = rules
        self.fired = 0  # transitions with the rules' own `for`
        self.fired_at_once = 0  # transitions with `for: 0s`
        self._since: dict[str, float] = {}  # "rule/scope" -> since when the condition holds
        self._firing: set[str] = set()

    @classmethod
    def load(cls, path: Path | None = None) -> "RuleSet":
        """The rules of a file; without one those that come with paramedic.

        Raises:
            ValueError: The file has mistakes; the message has one line for each.
        """
        where = str(path) if path else "rules.yaml"
        text = path.read_text() if path else (files("paramedic_detector") / "data" / "rules.yaml").read_text()
        raw = yaml.safe_load(text)
        mistakes = _mistakes(raw)
        if mistakes:
            raise ValueError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
        return cls(tuple(AlertRule(**rule) for rule in raw["rules"]))

    def evaluate(self, table: SeriesTable, now: float) -> list[str]:
        """The alerts that began to fire in this step, each "rule scope"; `fired` and `fired_at_once` count on."""
        started: list[str] = []
        for rule in self.rules:
            for scope, key in _scopes(table, rule.scope):
                name = f"{rule.name} {scope}"
                if not rule.holds(table, key, now):
                    self._since.pop(name, None)
                    self._firing.discard(name)
                    continue
                self.fired_at_once += name not in self._since
                since = self._since.setdefault(name, now)
                if now - since >= rule.for_s and name not in self._firing:
                    self._firing.add(name)
                    self.fired += 1
                    started.append(name)
        return started


def _ratio(calls: Totals) -> float:
    return calls.failed / calls.count if calls.count else 0.0


def _scopes(table: SeriesTable, scope: str) -> Iterator[tuple[str, SeriesKey]]:
    """Every service that serves calls, or every pair of caller and callee."""
    if scope == "edge":
        edges = {table.keys[int(n)].parts[:2] for n in table.matching(SeriesKey("edge", ("*", "*", "*")))}
        for caller, callee in sorted(edges):
            yield f"{caller} -> {callee}", SeriesKey("edge", (caller, callee, "*"))
        return
    served = table.matching(SeriesKey("op", ("*", "*", "server", "*", "*", "*", "*")))
    for service in sorted({table.keys[int(n)].part("service") for n in served}):
        yield service, SeriesKey("op", (service, "*", "server", "*", "*", "*", "*"))


def _mistakes(raw: Any) -> list[str]:
    if not isinstance(raw, dict) or not isinstance(raw.get("rules"), list):
        return ["rules must be a list of rules"]
    found = unknown_keys("", raw, ("version", "rules"))
    for place, rule in enumerate(raw["rules"]):
        found += _rule_mistakes(f"rules[{place}]", rule)
    return found


def _rule_mistakes(where: str, rule: Any) -> list[str]:
    if not isinstance(rule, Mapping):
        return [f"{where} must be a mapping, got {rule!r}"]
    found = unknown_keys(f"{where}.", rule, ("name", "scope", "measure", *_NUMBERS))
    missing = [name for name in ("name", "scope", "measure", *_NUMBERS[:4]) if name not in rule]
    found += [f"{where}.{name} is missing" for name in missing]
    for name, known in (("scope", SCOPES), ("measure", MEASURES)):
        if name in rule and rule[name] not in known:
            found.append(f"{where}.{name} must be one of {', '.join(known)}, got {rule[name]!r}")
    for name in _NUMBERS:
        if name in rule and (not isinstance(rule[name], int | float) or rule[name] < 0):
            found.append(f"{where}.{name} must be a number of at least 0, got {rule[name]!r}")
    return found
