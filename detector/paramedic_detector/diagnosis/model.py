"""The trained model of a diagnosis: which class, whether the like was ever seen, and how sure of class and target.

    values --estimators and the taxonomy's weights, averaged, cooled--> classes that fit the kind of target
           --how far outside of what the named class ever showed--> novelty --> unknown
    classes, novelty, share of the target, evidence --> probability that class and target are both right

The file is skops: arrays and scikit-learn estimators of a few trusted types, and no pickle. Other types are refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.diagnosis.taxonomy import KINDS, UNKNOWN

FORMAT: Final = 1
SHIPPED: Final = "diagnosis.skops"
TRUSTED: Final = (
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.pipeline.Pipeline",
)
LEAST_SPREAD: Final = 0.08  # of a column within a class: what is closer than this is the same
FARTHEST: Final = 6.0  # spreads; what is farther counts no more
TOP: Final = 4  # columns that lie farthest outside make the novelty
_AMOUNTS: Final = [COLUMNS.index(name) for name in ("calls", "bad", "age", "usual_known")]  # of no class
CUES: Final = ("class", "share", "novelty", "margin", "evidence", "age")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A trained model; all arrays are in the order of `classes` and `COLUMNS`."""

    classes: tuple[str, ...]
    fits: NDArray[np.bool_]  # (classes, KINDS) whether a class can be that of a target of this kind
    estimators: Sequence[Any]  # each with predict_proba over the numbers of classes
    temperature: float
    weights: Values  # (classes, FEATURES) of the taxonomy: what is known without any example
    trust: float  # share of those in what is said, 0 to 1
    low: Values  # (classes, COLUMNS) least that each class showed
    high: Values  # likewise the most
    unknown: Values  # (4,) weights of `unknown_odds`
    joint: Values  # (1 + CUES,) weights of `probability`
    report: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    def shares(self, values: Values, kinds: Sequence[str]) -> Values:
        """(n, classes) probability of each class, were it one of them.

        Args:
            values: (n, COLUMNS) what `features.vector` gives.
            kinds: Of each target.
        """
        learnt = fitting(np.mean([one.predict_proba(values) for one in self.estimators], axis=0), kinds, self.fits)
        told = by_weights(self.weights, values, kinds, self.fits)
        return cooled((1 - self.trust) * learnt + self.trust * told, self.temperature)

    def novelty(self, values: Values, shares: Values) -> Values:
        """(n,) how far each case lies outside of what its likeliest class ever showed, 0 to 1."""
        best = shares.argmax(axis=1)
        low, high = self.low[best], self.high[best]
        out = np.maximum(low - values, values - high) / LEAST_SPREAD
        out[:, _AMOUNTS] = 0.0
        out = np.sort(np.clip(out, 0.0, FARTHEST), axis=1)[:, -TOP:]
        return np.asarray(out.mean(axis=1) / FARTHEST)

    def unknown_odds(self, shares: Values, novelty: Values) -> Values:
        """(n,) probability that it is no class that the model has met."""
        return sigmoid(unknown_cues(shares, novelty) @ self.unknown)

    def judge(self, values: Values, kind: str) -> tuple[dict[str, float], float]:
        """Probability of each class and of `unknown` for one target, and the novelty."""
        shares = self.shares(values[None, :], [kind])
        novelty = self.novelty(values[None, :], shares)
        odds = float(self.unknown_odds(shares, novelty)[0])
        found = {name: float(share) * (1 - odds) for name, share in zip(self.classes, shares[0], strict=True)}
        return found | {UNKNOWN: odds}, float(novelty[0])

    def probability(self, classes: Mapping[str, float], share: float, novelty: float, values: Values) -> float:
        """How likely the likeliest class and the target are both right, as held-out cases showed.

        Args:
            classes: Of `judge`.
            share: Probability of the target.
        """
        ranked = sorted(classes.values(), reverse=True)
        column = joint_cues(
            np.array([ranked[0]]), np.array([share]), np.array([novelty]), np.array([ranked[1]]), values[None, :]
        )
        return float(sigmoid(column @ self.joint)[0])

    # The file

    def dump(self, path: Path) -> None:
        """Write it; the same model gives the same bytes."""
        path.write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        from zipfile import ZIP_DEFLATED

        from skops.io import dumps

        whole = {name: getattr(self, name) for name in (*_ARRAYS, "temperature", "trust")} | {
            "format": FORMAT,
            "columns": list(COLUMNS),
            "kinds": list(KINDS),
            "classes": list(self.classes),
            "estimators": list(self.estimators),
            "report": dict(self.report),
        }
        return _canonical(dumps(whole, compression=ZIP_DEFLATED))

    @classmethod
    def load(cls, path: Path | None = None) -> "Model":
        """The model of a file; without one, that which comes with paramedic.

        Raises:
            ValueError: Not a model, or one of another version of paramedic; the message says what would do.
            OSError: The file cannot be read.
        """
        where = str(path) if path else SHIPPED
        data = path.read_bytes() if path else (files("paramedic_detector") / "data" / SHIPPED).read_bytes()
        whole = _unpacked(where, data)
        for name, mine in (("format", FORMAT), ("columns", list(COLUMNS)), ("kinds", list(KINDS))):
            if whole.get(name) != mine:
                raise ValueError(
                    f"{where}: made for another version of paramedic ({name} differ); run `paramedic train`"
                )
        return cls(
            classes=tuple(whole["classes"]),
            estimators=whole["estimators"],
            temperature=float(whole["temperature"]),
            trust=float(whole["trust"]),
            report=whole["report"],
            version=version_of(data),
            **{name: np.asarray(whole[name]) for name in _ARRAYS},
        )


_ARRAYS: Final = ("fits", "weights", "low", "high", "unknown", "joint")


def _canonical(data: bytes) -> bytes:
    """The same file without what differs from run to run: addresses of objects as names, and dates."""
    import io
    import re
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

    out = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as given, ZipFile(out, "w") as made:
        schema = given.read("schema.json").decode()
        names: dict[str, str] = {}
        for found in re.findall(r'"__id__": (\d+)|"file": "(\d+)\.npy"', schema):
            names.setdefault(found[0] or found[1], str(len(names) + 1))
        schema = re.sub(r'("__id__": |"file": ")(\d+)', lambda m: m[1] + names[m[2]], schema)
        files_in = {names.get(name.split(".")[0], name.split(".")[0]): name for name in given.namelist()}
        for short, name in sorted(files_in.items()):
            whole = schema.encode() if name == "schema.json" else given.read(name)
            info = ZipInfo(name.replace(name.split(".")[0], short, 1), (1980, 1, 1, 0, 0, 0))
            info.compress_type = ZIP_DEFLATED
            made.writestr(info, whole, compresslevel=9)
    return out.getvalue()


def version_of(data: bytes) -> str:
    """A model's name: by its content."""
    return hashlib.sha256(data).hexdigest()[:12]


def _unpacked(where: str, data: bytes) -> dict[str, Any]:
    from skops.io import get_untrusted_types, loads

    try:
        strange = sorted(set(get_untrusted_types(data=data)) - set(TRUSTED))
        if strange:
            raise ValueError(f"{where}: holds types that are not trusted: {', '.join(strange)}")
        whole = loads(data, trusted=list(TRUSTED))
    except ValueError:
        raise
    except Exception as error:  # whatever a damaged file or another scikit-learn makes of it
        raise ValueError(f"{where} is no model that can be read here ({error}); run `paramedic train`") from None
    if not isinstance(whole, dict):
        raise ValueError(f"{where} is no model of a diagnosis")
    return whole


def fitting(shares: Values, kinds: Sequence[str], fits: NDArray[np.bool_]) -> Values:
    """(n, classes) the shares of the classes that such a target can have, made to sum to 1."""
    able = fits[:, [KINDS.index(kind) for kind in kinds]].T
    found = np.where(able, np.clip(shares, 1e-9, 1.0), 1e-12)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def by_weights(weights: Values, values: Values, kinds: Sequence[str], fits: NDArray[np.bool_]) -> Values:
    """(n, classes) what the sums of the taxonomy alone say."""
    sums = values[:, : weights.shape[1]] @ weights.T
    return fitting(np.exp(sums - sums.max(axis=1, keepdims=True)), kinds, fits)


def cooled(shares: Values, temperature: float) -> Values:
    """(n, classes) the same, less sure above a temperature of 1 and more sure below."""
    found = np.power(np.clip(shares, 1e-12, 1.0), 1.0 / temperature)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def sigmoid(x: Values) -> Values:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))))


def logit(p: Values) -> Values:
    clipped = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)))


def unknown_cues(shares: Values, novelty: Values) -> Values:
    """(n, 4) what tells the unknown: a constant, how far outside, how undecided, and both."""
    best = shares.max(axis=1)
    doubt = 1 - best
    return np.column_stack([np.ones(len(best)), novelty, doubt, novelty * doubt])


def joint_cues(best: Values, share: Values, novelty: Values, second: Values, values: Values) -> Values:
    """(n, 1 + CUES) what tells whether class and target are both right."""
    columns = [COLUMNS.index("bad"), COLUMNS.index("age")]
    return np.column_stack(
        [
            np.ones(len(best)),
            logit(best),
            logit(share),
            novelty,
            best - second,
            values[:, columns[0]],
            values[:, columns[1]],
        ]
    )
