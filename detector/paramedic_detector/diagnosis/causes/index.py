"""Which series speak of whom: every series of a table by family, and the names that may be causes.

Built once and extended as series appear; a name's number never changes, and neither does its row in the arrays.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.roles import Role, role_of
from paramedic_detector.series.table import SeriesTable

Numbers = NDArray[np.int64]
NOBODY: Final = -1
_CLIENT: Final = "client"


class Index:
    """Names of a table, and for each series whom it is about.

    Attributes of each family are arrays over its series: `numbers` of the table, `owner` (the service that tells it, or
    the caller), `other` (the callee or peer; NOBODY without one).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._of_name: dict[str, int] = {}
        self._size = 0
        self._rows: dict[str, list[tuple[int, int, int]]] = {}
        self._arrays: dict[str, Numbers] = {}
        self.roles: list[Role] = []  # of each metric, by its number
        self._of_metric: dict[str, int] = {}
        self.templates: list[tuple[int, str]] = []  # (service, template) by their number
        self._of_template: dict[tuple[int, str], int] = {}

    def extend(self, table: SeriesTable) -> None:
        """Take in the series that are new since the last time."""
        if table.size == self._size:
            return
        for number in range(self._size, table.size):
            key = table.keys[number]
            self._add(number, key.family, key.parts)
        self._size = table.size
        self._arrays = {family: np.array(rows, np.int64).reshape(-1, 3) for family, rows in self._rows.items()}

    def series(self, family: str) -> tuple[Numbers, Numbers, Numbers]:
        """(numbers, owner, other) of "own" and "client" (both of `op`), "server", "edge", "gauge", "log", "flow".

        `other` is the peer of calls, the metric of a gauge, the template of lines; "flow" ends are in "flow_end" too.
        """
        found = self._arrays.get(family)
        if found is None:
            found = np.empty((0, 3), np.int64)
        return found[:, 0], found[:, 1], found[:, 2]

    def number(self, name: str) -> int:
        """The number of a name; NOBODY when no series speaks of it."""
        return self._of_name.get(name, NOBODY)

    def _add(self, number: int, family: str, parts: tuple[str, ...]) -> None:
        if family == "op":
            self._add_op(number, parts)
        elif family == "edge":
            self._keep("edge", number, self._name(parts[0]), self._name(parts[1]))
        elif family == "gauge":
            self._keep("gauge", number, self._name(parts[0]), self._metric(parts[2]))
        elif family == "log":
            service = self._name(parts[0])
            self._keep("log", number, service, self._template(service, f"{parts[1]} {parts[2]}"))
        elif family == "flow":
            service = self._name(parts[0])
            template = self._template(service, parts[1])
            self._keep("flow", number, service, template)
            if not parts[2]:
                self._keep("flow_end", number, service, template)

    def _add_op(self, number: int, parts: tuple[str, ...]) -> None:
        service, kind, peer = self._name(parts[0]), parts[2], parts[3]
        if kind == _CLIENT:
            self._keep("client", number, service, self._name(peer) if peer else NOBODY)
            return
        self._keep("own", number, service, NOBODY)
        if kind in ("server", "consumer"):
            self._keep("server", number, service, NOBODY)

    def _keep(self, family: str, number: int, owner: int, other: int) -> None:
        self._rows.setdefault(family, []).append((number, owner, other))

    def _name(self, name: str) -> int:
        found = self._of_name.get(name)
        if found is None:
            found = self._of_name[name] = len(self.names)
            self.names.append(name)
        return found

    def _metric(self, metric: str) -> int:
        found = self._of_metric.get(metric)
        if found is None:
            found = self._of_metric[metric] = len(self.roles)
            self.roles.append(role_of(metric))
        return found

    def _template(self, service: int, template: str) -> int:
        found = self._of_template.get((service, template))
        if found is None:
            found = self._of_template[service, template] = len(self.templates)
            self.templates.append((service, template))
        return found
