"""The published alert rules, evaluated on the same windows: the yardstick for noise, never a source of incidents.

SeriesTable --each second, each rule and scope--> condition --held for `for_s`--> a transition to firing
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.taxonomy import unknown_keys
from paramedic_detector.series.slots import BUCKETS, CELLS, Cell, Triples, upper_edge_s
from paramedic_detector.series.table import SeriesTable

EVERY_S: Final = 15.0  # between two evaluations, as of a server that is set to be quick
MEASURES: Final = ("error_ratio", "p95_s", "down", "burn")
SCOPES: Final = ("service", "edge")
_NUMBERS: Final = ("window_s", "above", "least_calls", "for_s", "short_s", "objective")

_EVERY: Final = {
    "service": SeriesKey("op", ("*", "*", "server", "*", "*", "*", "*")),
    "edge": SeriesKey("edge", ("*", "*", "*")),
}
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


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

    def holds(self, sums: "Sums") -> Flags:
        """(scopes,) whether the condition holds now, whatever its `for_s`."""
        calls = sums.cell(Cell.COUNT, self.window_s)
        if self.measure == "down":
            usual = sums.cell(Cell.COUNT, 10 * self.window_s)
            return np.asarray((calls == 0) & (usual >= self.least_calls))
        if self.measure == "p95_s":
            high = sums.quantile_s(0.95, self.window_s) > self.above
        elif self.measure == "burn":
            limit = self.above * (1 - self.objective)
            high = (sums.error_ratio(self.window_s) > limit) & (sums.error_ratio(self.short_s) > limit)
        else:
            high = sums.error_ratio(self.window_s) > self.above
        return np.asarray(high & (calls >= self.least_calls))


class Sums:
    """What happened in each service, or on each edge, over windows that end now; each is added up once."""

    def __init__(self, table: SeriesTable, scope: str, now: float) -> None:
        self._table, self._end, self._cache = table, now + 1, dict[tuple[str, float], Array]()
        numbers = table.matching(_EVERY[scope])
        named = [_scope_of(table.keys[int(number)]) for number in numbers]
        self.names = sorted(set(named))
        rank = {name: place for place, name in enumerate(self.names)}
        self._place = np.full(table.size + 1, -1, np.int64)
        self._place[numbers] = [rank[name] for name in named]

    def cell(self, cell: Cell, window_s: float) -> Array:
        """(scopes,) one cell."""
        if ("cells", window_s) not in self._cache:
            cells = self._table.cells(self._end - window_s, self._end)
            self._cache["cells", window_s] = self._added(cells, CELLS)
        return np.asarray(self._cache["cells", window_s][:, cell])

    def error_ratio(self, window_s: float) -> Array:
        return np.asarray(self.cell(Cell.ERRORS, window_s) / np.maximum(self.cell(Cell.COUNT, window_s), 1))

    def quantile_s(self, q: float, window_s: float) -> Array:
        """(scopes,) duration below which a share `q` of the calls ended; 0 without calls."""
        if ("durations", window_s) not in self._cache:
            details = self._table.details(self._end - window_s, self._end)
            self._cache["durations", window_s] = self._added(details.pick(details.code < BUCKETS), BUCKETS)
        sums = np.cumsum(self._cache["durations", window_s], axis=1)
        places = (sums < q * sums[:, -1:] - 1e-9).sum(axis=1)
        return np.where(sums[:, -1] > 0, upper_edge_s(places), 0.0)

    def _added(self, found: Triples, width: int) -> Array:
        row = self._place[found.idx]
        mine = row >= 0
        flat = np.bincount(row[mine] * width + found.code[mine], found.amount[mine], len(self.names) * width)
        return np.asarray(flat.reshape(len(self.names), width), np.float64)


class RuleSet:
    """The rules with the state that each of them is in, for each service and edge."""

    def __init__(self, rules: tuple[AlertRule, ...]) -> None:
        self.rules = rules
        self.fired = 0  # transitions with the rules' own `for`
        self.fired_at_once = 0  # transitions with `for: 0s`
        self._evaluated_at = -EVERY_S
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
        """The alerts that began to fire in this step, each "rule scope"; `fired` and `fired_at_once` count on.

        Between two evaluations of a rule set lie `EVERY_S` seconds; a call in between changes nothing.
        """
        if now - self._evaluated_at < EVERY_S:
            return []
        self._evaluated_at = now
        started: list[str] = []
        scopes = {scope: Sums(table, scope, now) for scope in {rule.scope for rule in self.rules}}
        for rule in self.rules:
            sums = scopes[rule.scope]
            for scope, holds in zip(sums.names, rule.holds(sums), strict=True):
                started += self._follow(rule, f"{rule.name} {scope}", bool(holds), now)
        return started

    def _follow(self, rule: AlertRule, name: str, holds: bool, now: float) -> list[str]:
        if not holds:
            self._since.pop(name, None)
            self._firing.discard(name)
            return []
        self.fired_at_once += name not in self._since
        since = self._since.setdefault(name, now)
        if now - since < rule.for_s or name in self._firing:
            return []
        self._firing.add(name)
        self.fired += 1
        return [name]


def _scope_of(key: SeriesKey) -> str:
    return key.part("service") if key.family == "op" else f"{key.part('caller')} -> {key.part('callee')}"


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
