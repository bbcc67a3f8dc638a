"""The shape of a service: all its features together, for what no single one of them shows.

    values of its rows --every 15 s--> vector --robustly scaled--> covariance of the last hour, refit --> distance

Twice the processor at the same traffic is nothing that either level shows alone, when both were as high before. So
a covariance of a service's levels is kept, and a vector is odd when its distance is beyond all that the hour of the fit
showed. Services take turns, and one is refit a step: the time of a step has a bound, whatever the number of services.

Source: Mahalanobis distance with a shrunken covariance (Ledoit and Wolf, 2004), by scikit-learn.
"""

import importlib
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

EVERY_S: Final = 15
VECTORS: Final = 240  # an hour
LEAST_VECTORS: Final = 60
FEATURES: Final = 16  # rows of a service, at most
LEAST_FEATURES: Final = 3
AT_ONCE: Final = 8  # services in one step, and a fifteenth of all
STALE_S: Final = 90.0  # between the oldest and the newest value of a vector
REFIT_S: Final = 300.0
LASTING: Final = 4  # vectors on end: a minute
NEW_NORMAL: Final = 120  # odd vectors on end, from which on the shape is the new one
CLIP: Final = 8.0  # robust deviations: one wild level is not a shape
BEYOND: Final = 1.5  # times the largest distance of the hour of the fit

_LIBRARY: Final = "sklearn.covariance"
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Odd:
    """A service whose features do not fit together."""

    service: int
    distance: float
    usual: float  # the largest distance of the hour of the fit
    since: float
    rows: tuple[int, ...]  # what contributes most, first


@dataclass(slots=True)
class _Model:
    rows: Ints
    vectors: Doubles = field(init=False)  # ring, NaN where nothing was
    at: int = 0  # vectors ever
    next_at: float = 0.0
    newest_at: float = 0.0  # newest point of the last vector
    fitted_at: float = 0.0
    middle: Doubles | None = None
    spread: Doubles | None = None
    precision: Doubles | None = None
    usual: float = 0.0
    odd_for: int = 0
    odd_since: float = 0.0
    distance: float = 0.0
    shares: Doubles | None = None

    def __post_init__(self) -> None:
        self.vectors = np.full((VECTORS, len(self.rows)), np.nan)


class Shapes:
    """Models of all services with enough features."""

    def __init__(self) -> None:
        self.models: dict[int, _Model] = {}
        self._names: list[int] = []
        self._place = 0
        self._turn: list[int] = []

    def follow(self, service: NDArray[np.int32], eligible: NDArray[np.bool_]) -> None:
        """Choose the rows of new services; a service with a model keeps its rows."""
        rows = np.flatnonzero(eligible)
        if not rows.size:
            return
        order = rows[np.argsort(service[rows], kind="stable")]
        names, first = np.unique(service[order], return_index=True)
        for name, mine in zip(names.tolist(), np.split(order, first[1:]), strict=True):
            known = self.models.get(name)
            young = known is None or (known.at < LEAST_VECTORS and len(known.rows) < min(len(mine), FEATURES))
            if len(mine) >= LEAST_FEATURES and young:
                self.models[name] = _Model(mine[:FEATURES].astype(np.int64))
        self._names = list(self.models)

    def step(
        self, values: Doubles, last_at: Doubles, held: NDArray[np.bool_], odd: NDArray[np.bool_], now: float
    ) -> None:
        """Take a vector of each service when it is time, judge it, and refit one service.

        Args:
            values: (rows,) the last value of each row.
            held: (rows,) rows of open incidents; a service with one does not learn.
            odd: (rows,) rows out of their own range: single levels tell them, and nothing is learned either.
        """
        count = len(self._names)
        for _ in range(min(count, AT_ONCE + count // EVERY_S)):
            self._place = (self._place + 1) % count
            model = self.models[self._names[self._place]]
            if now >= model.next_at:
                model.next_at = now + EVERY_S
                self._take(model, values, last_at, held, odd, now)
        self._refit_one(now)

    def _take(
        self,
        model: _Model,
        values: Doubles,
        last_at: Doubles,
        held: NDArray[np.bool_],
        odd: NDArray[np.bool_],
        now: float,
    ) -> None:
        rows = model.rows
        newest = float(last_at[rows].max())
        if newest <= model.newest_at:
            return
        model.newest_at = newest
        if (newest - last_at[rows] > STALE_S).any():
            model.odd_for = 0
            return
        vector = values[rows]
        self._judge(model, vector, now)
        settled = model.odd_for == 0 or model.odd_for > NEW_NORMAL
        if not held[rows].any() and not odd[rows].any() and settled:
            model.vectors[model.at % VECTORS] = vector
            model.at += 1

    @staticmethod
    def _judge(model: _Model, vector: Doubles, now: float) -> None:
        if model.precision is None or model.middle is None or model.spread is None:
            return
        scaled = np.clip((vector - model.middle) / model.spread, -CLIP, CLIP)
        parts = scaled * (model.precision @ scaled)
        model.distance, model.shares = float(np.sqrt(max(0.0, parts.sum()))), parts
        if model.distance <= BEYOND * model.usual:
            model.odd_for = 0
            return
        if not model.odd_for:
            model.odd_since = now
        model.odd_for += 1

    def _refit_one(self, now: float) -> None:
        if not self._turn:
            self._turn = [name for name, model in self.models.items() if now - model.fitted_at >= REFIT_S]
        if self._turn and _library_is_here():
            model = self.models[self._turn.pop()]
            if model.at >= LEAST_VECTORS and (model.odd_for == 0 or model.odd_for > NEW_NORMAL):
                _fit(model, now)

    def odd(self) -> list[Odd]:
        """Services whose shape has been odd for a minute."""
        return [
            Odd(name, model.distance, model.usual, model.odd_since, _most(model))
            for name, model in self.models.items()
            if model.odd_for >= LASTING
        ]


def _library_is_here() -> bool:
    """Whether the library is loaded; that takes seconds, in which another thread does it and steps go on."""
    if _LIBRARY in sys.modules and hasattr(sys.modules[_LIBRARY], "LedoitWolf"):
        return True
    if not any(thread.name == _LIBRARY for thread in threading.enumerate()):
        threading.Thread(target=importlib.import_module, args=(_LIBRARY,), name=_LIBRARY, daemon=True).start()
    return False


def _most(model: _Model) -> tuple[int, ...]:
    if model.shares is None:
        return ()
    return tuple(int(model.rows[place]) for place in np.argsort(-model.shares)[:3])


def _fit(model: _Model, now: float) -> None:
    known: Any = model.vectors[np.isfinite(model.vectors).all(axis=1)]
    if len(known) < LEAST_VECTORS:
        return
    middle = np.median(known, axis=0)
    spread = 1.4826 * np.median(np.abs(known - middle), axis=0) + 0.02 * np.abs(middle) + 1e-9
    scaled = np.clip((known - middle) / spread, -CLIP, CLIP)
    precision = np.asarray(sys.modules[_LIBRARY].LedoitWolf(assume_centered=True).fit(scaled).get_precision())
    distances = np.sqrt(np.maximum(0, np.einsum("ij,jk,ik->i", scaled, precision, scaled)))
    model.middle, model.spread, model.precision = middle, spread, precision
    model.usual, model.fitted_at = float(distances.max()), now
