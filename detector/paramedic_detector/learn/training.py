"""From examples to a model: fitted, cooled, taught to doubt, and only then sure.

    examples --each fold told by the others--> shares --> temperature
             --classes left out, a few at a time--> what the unknown looks like --> weights of `unknown`
             --both--> how often class and target were right --> weights of the probability

Every probability is fitted to examples that the estimators had not seen. Same examples, same seed: the same model.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.diagnosis.model import CUES, Model, Values, joint_cues, unknown_cues
from paramedic_detector.diagnosis.taxonomy import KINDS, UNKNOWN, Taxonomy
from paramedic_detector.learn.examples import Example

FOLDS: Final = 3
CLASS_FOLDS: Final = 4
LEAST: Final = 4  # cases of a class below which it cannot be learnt
STRANGE_SHARE: Final = 0.06  # of all cases, how many are believed to be of no known class
EDGE: Final = 0.01  # share of the examples of a class that may lie outside of its range on either side
DROPPED: Final = 0.25  # share of the copies in which one group of columns is made unknown
TREES: Final = 40  # rounds of boosting; 0 for the linear estimator alone
LEAVES, LEAF = 8, 12
BLOCKS: Final = (
    ("gauge_", "grows", "full", "leak", "busy"),
    ("own_", "gap"),
    ("log_", "told_wrong"),
    ("alert_",),
    ("tokens_", "cost", "spend_", "first_token"),
)
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples in columns."""

    values: Values  # (n, COLUMNS) of the true target
    kinds: tuple[str, ...]
    labels: NDArray[np.int64]  # (n,) places in `classes`
    weights: Values  # (n,) every class and every case counts the same
    groups: NDArray[np.int64]
    classes: tuple[str, ...]

    def pick(self, rows: NDArray[Any]) -> "Arrays":
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        kinds = tuple(self.kinds[int(row)] for row in places)
        return replace(self, values=self.values[places], kinds=kinds, labels=self.labels[places],
                       weights=self.weights[places], groups=self.groups[places])  # fmt: skip


def train(
    examples: Sequence[Example],
    taxonomy: Taxonomy,
    *,
    seed: int = 7,
    trees: int = TREES,
    progress: Progress = lambda _say, _share: None,
) -> Model:
    """A model of the examples.

    Args:
        examples: Of at least two classes with LEAST cases each; classes with fewer are left out.
        taxonomy: Which class may stand for which kind of target.
        seed: Of everything that is drawn.
        trees: Rounds of boosting of the tree estimator; 0 for the linear one alone.
        progress: Told what is being done, and how much of all is done.

    Raises:
        ValueError: Not enough to learn from; the message says of what.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # threads that wait for each other on a busy machine cost more than they bring
        return _train(examples, taxonomy, np.random.default_rng(seed), trees, progress)


def _train(
    examples: Sequence[Example], taxonomy: Taxonomy, rng: np.random.Generator, trees: int, progress: Progress
) -> Model:
    data = arrays_of(examples, _enough(examples))
    fits = fits_of(data, taxonomy)
    known = [one for one in examples if one.fault_class in data.classes]
    progress("folds", 0.05)
    raw = _told_by_others(data, fits, rng, trees, progress)
    temperature = _temperature(raw, data)
    progress("fit", 0.5)
    model = _blank(data, fits, temperature, _fitted(data, rng, trees))
    progress("strangers", 0.6)
    cooled = _cool(raw, temperature)
    strange = _strangers(data, fits, temperature, rng, trees, progress)
    model = replace(model, unknown=_fit_unknown(model, data, cooled, strange))
    progress("how sure", 0.95)
    return replace(model, joint=_fit_joint(model, data, known, cooled, strange))


# What goes in


def _enough(examples: Iterable[Example]) -> tuple[str, ...]:
    cases = Counter(name for name, _ in {(one.fault_class, one.group) for one in examples})
    classes = tuple(sorted(name for name, count in cases.items() if count >= LEAST and name != UNKNOWN))
    if len(classes) < 2:
        raise ValueError(
            f"at least two classes with {LEAST} cases each are needed to learn from, got "
            + (", ".join(f"{name}: {count}" for name, count in sorted(cases.items())) or "no example")
        )
    return classes


def arrays_of(examples: Sequence[Example], classes: tuple[str, ...]) -> Arrays:
    """The examples of these classes; each class weighs the same, and within it each case."""
    mine = [one for one in examples if one.fault_class in classes]
    names = sorted({one.group for one in mine})
    number = {name: place for place, name in enumerate(names)}
    groups = np.array([number[one.group] for one in mine], np.int64)
    labels = np.array([classes.index(one.fault_class) for one in mine], np.int64)
    each = Counter((int(label), int(group)) for label, group in zip(labels, groups, strict=True))
    cases = Counter(label for label, _ in each)
    weights = np.array(
        [1.0 / each[int(la), int(gr)] / cases[int(la)] for la, gr in zip(labels, groups, strict=True)], np.float64
    )
    values = np.array([one.values for one in mine], np.float64).reshape(-1, len(COLUMNS))
    return Arrays(values, tuple(one.kind for one in mine), labels, weights * len(mine) / weights.sum(), groups, classes)


def fits_of(data: Arrays, taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """(classes, KINDS) what the taxonomy allows, and what was seen."""
    allowed = {fault.name: set(fault.kinds) for fault in taxonomy.classes}
    fits = np.array([[kind in allowed.get(name, KINDS) for kind in KINDS] for name in data.classes], bool)
    for label, kind in zip(data.labels, data.kinds, strict=True):
        fits[label, KINDS.index(kind)] = True
    return fits


# Estimators


def _fitted(data: Arrays, rng: np.random.Generator, trees: int) -> list[Any]:
    """A linear and a tree estimator; the mean of both is steadier than either away from what was seen."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    values, labels, weights = _with_holes(data, rng)
    linear = Pipeline([("scale", StandardScaler()), ("fit", LogisticRegression(C=0.3, max_iter=400))])
    boosted = HistGradientBoostingClassifier(
        max_iter=trees, max_leaf_nodes=LEAVES, min_samples_leaf=LEAF, learning_rate=0.12, l2_regularization=1.0,
        max_bins=64, early_stopping=False, random_state=int(rng.integers(2**31)),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: an unfinished fit is judged by its figures
        linear.fit(values, labels, fit__sample_weight=weights)
        if trees:
            boosted.fit(values, labels, sample_weight=weights)
    return [linear, boosted] if trees else [linear]


def _with_holes(data: Arrays, rng: np.random.Generator) -> tuple[Values, NDArray[np.int64], Values]:
    """The examples and copies of some in which one group of columns says nothing: not every system tells everything."""
    copies = np.flatnonzero(rng.random(len(data.labels)) < DROPPED)
    values = data.values[copies].copy()
    block = rng.integers(len(BLOCKS), size=len(copies))
    for number, prefixes in enumerate(BLOCKS):
        columns = [place for place, name in enumerate(COLUMNS) if name.startswith(prefixes)]
        values[np.ix_(block == number, columns)] = 0.0
    return (
        np.vstack([data.values, values]),
        np.concatenate([data.labels, data.labels[copies]]),
        np.concatenate([data.weights, 0.5 * data.weights[copies]]),
    )


def _raw(estimators: Sequence[Any], data: Arrays, values: Values) -> Values:
    """(n, classes) mean probability; 0 for classes that the estimators have not met."""
    found = np.zeros((len(values), len(data.classes)))
    for estimator in estimators:
        found[:, np.asarray(estimator.classes_, np.int64)] += estimator.predict_proba(values) / len(estimators)
    return found


def _masked(raw: Values, kinds: Sequence[str], fits: NDArray[np.bool_]) -> Values:
    fitting = fits[:, [KINDS.index(kind) for kind in kinds]].T
    found = np.where(fitting, np.clip(raw, 1e-9, 1.0), 1e-12)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _told_by_others(
    data: Arrays, fits: NDArray[np.bool_], rng: np.random.Generator, trees: int, progress: Progress
) -> Values:
    """(n, classes) for each example what a model says that has not seen its case."""
    raw, fold = np.zeros((len(data.labels), len(data.classes))), _folds(data.groups, FOLDS, rng)
    for number in range(FOLDS):
        out = fold[data.groups] == number
        raw[out] = _raw(_fitted(data.pick(~out), rng, trees), data, data.values[out])
        progress("folds", 0.05 + 0.45 * (number + 1) / FOLDS)
    return _masked(raw, data.kinds, fits)


def _folds(groups: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(groups,) the fold of each group."""
    return np.asarray(rng.permutation(int(groups.max()) + 1) % folds, np.int64)


def _temperature(shares: Values, data: Arrays) -> float:
    """The temperature at which the shares of unseen cases are most likely."""
    grid = np.geomspace(0.5, 4.0, 43)
    rows = np.arange(len(data.labels))
    loss = [-(data.weights * np.log(_cool(shares, t)[rows, data.labels] + 1e-12)).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])


def _cool(shares: Values, temperature: float) -> Values:
    cooled = np.power(np.clip(shares, 1e-12, 1.0), 1.0 / temperature)
    return np.asarray(cooled / cooled.sum(axis=1, keepdims=True))


def _blank(data: Arrays, fits: NDArray[np.bool_], temperature: float, estimators: Sequence[Any]) -> Model:
    """A model that does not know yet how sure to be: with what each class showed, but for a few examples."""
    of = [data.values[data.labels == label] for label in range(len(data.classes))]
    low, high = (np.array([np.quantile(one, q, axis=0) for one in of]) for q in (EDGE, 1 - EDGE))
    none = np.zeros(1 + len(CUES))
    return Model(data.classes, fits, estimators, temperature, low, high, unknown=np.zeros(4), joint=none)


# Doubt


@dataclass(frozen=True, slots=True)
class Strangers:
    """Examples as a model sees them that has not met their class."""

    rows: NDArray[np.int64]  # which examples
    shares: Values  # (rows, classes)
    novelty: Values  # (rows,)


def _strangers(
    data: Arrays,
    fits: NDArray[np.bool_],
    temperature: float,
    rng: np.random.Generator,
    trees: int,
    progress: Progress,
) -> Strangers:
    folds = min(CLASS_FOLDS, len(data.classes))
    order = rng.permutation(len(data.classes)) % folds
    found: list[Strangers] = []
    blank = _blank(data, fits, temperature, [])
    for number in range(folds):
        out = order[data.labels] == number
        if len(set(data.labels[~out].tolist())) < 2:
            continue
        kept = data.pick(~out)
        rows = np.flatnonzero(out)
        raw = _raw(_fitted(kept, rng, trees), data, data.values[rows])
        kinds = [data.kinds[int(row)] for row in rows]
        shares = _cool(_masked(raw, kinds, fits & (order != number)[:, None]), temperature)
        found.append(Strangers(rows, shares, blank.novelty(data.values[rows], shares)))
        progress("strangers", 0.6 + 0.35 * (number + 1) / folds)
    if not found:
        return Strangers(np.empty(0, np.int64), np.empty((0, len(data.classes))), np.empty(0))
    return Strangers(*(np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "shares", "novelty")))


def _fit_unknown(model: Model, data: Arrays, shares: Values, strange: Strangers) -> Values:
    """Weights that tell strangers from known cases, as if STRANGE_SHARE of all were strangers."""
    cues = np.vstack(
        [unknown_cues(shares, model.novelty(data.values, shares)), unknown_cues(strange.shares, strange.novelty)]
    )
    truth = np.concatenate([np.zeros(len(shares)), np.ones(len(strange.rows))])
    weights = _mixed(data.weights, data.weights[strange.rows])
    return _logistic(cues, truth, weights)


def _fit_joint(model: Model, data: Arrays, examples: Sequence[Example], shares: Values, strange: Strangers) -> Values:
    """Weights of the probability that class and target are both right, over known cases and strangers."""
    right, cues = _seen(model, data, examples, shares)
    novel = strange.novelty
    odds = model.unknown_odds(strange.shares, novel)
    best, second = _two_best(strange.shares, odds)
    mine = [examples[int(row)] for row in strange.rows]
    share = np.array([one.share for one in mine]) if mine else np.empty(0)
    values = np.array([one.first[0] for one in mine]).reshape(-1, len(COLUMNS))
    whole = np.vstack([cues, joint_cues(best, share, novel, second, values)])
    truth = np.concatenate([right, np.zeros(len(mine))])
    return _logistic(whole, truth, _mixed(data.weights, data.weights[strange.rows]))


def _seen(model: Model, data: Arrays, examples: Sequence[Example], shares: Values) -> tuple[Values, Values]:
    """Whether the first suspect and its class were right, and the cues that a diagnosis would have had."""
    wrong = np.array([not one.target_right for one in examples])
    values = np.array([one.first[0] for one in examples])
    seen = shares.copy()
    if wrong.any():
        seen[wrong] = model.shares(values[wrong], [one.first[1] for one in examples if not one.target_right])
    novelty = model.novelty(values, seen)
    best, second = _two_best(seen, model.unknown_odds(seen, novelty))
    right = (~wrong) & (seen.argmax(axis=1) == data.labels)
    share = np.array([one.share for one in examples])
    return right.astype(np.float64), joint_cues(best, share, novelty, second, values)


def _two_best(shares: Values, unknown: Values) -> tuple[Values, Values]:
    whole = np.column_stack([shares * (1 - unknown)[:, None], unknown])
    ranked = np.sort(whole, axis=1)
    return ranked[:, -1], ranked[:, -2]


def _mixed(known: Values, strange: Values) -> Values:
    if not len(strange):
        return known
    return np.concatenate([known / known.sum() * (1 - STRANGE_SHARE), strange / strange.sum() * STRANGE_SHARE])


def _logistic(cues: Values, truth: Values, weights: Values) -> Values:
    """Weights of a logistic regression, the constant first; the truth when it is always the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if truth.min() == truth.max():
        return np.concatenate([[6.0 if truth[0] else -6.0], np.zeros(cues.shape[1] - 1)])
    scale = StandardScaler().fit(cues[:, 1:])
    fit = LogisticRegression(C=0.3, max_iter=1000)
    fit.fit(scale.transform(cues[:, 1:]), truth, sample_weight=weights / weights.mean())
    slope = fit.coef_[0] / scale.scale_
    return np.concatenate([[float(fit.intercept_[0] - slope @ scale.mean_)], slope])
