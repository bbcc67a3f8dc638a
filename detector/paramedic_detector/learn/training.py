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
from paramedic_detector.diagnosis.model import (
    CUES,
    Model,
    Values,
    by_weights,
    cooled,
    fitting,
    joint_cues,
    unknown_cues,
)
from paramedic_detector.diagnosis.taxonomy import FEATURES, KINDS, UNKNOWN, Taxonomy
from paramedic_detector.learn.examples import Example

FOLDS: Final = 3
CLASS_FOLDS: Final = 4
LEAST: Final = 4  # cases of a class below which it cannot be learnt
STRANGE_SHARE: Final = 0.12  # of all cases, how many are believed to be of no known class
EDGE: Final = 0.01  # share of the examples of a class that may lie outside of its range on either side
TRUSTS: Final = (0.1, 0.2, 0.3, 0.5)  # in the taxonomy's weights: it knows what few examples do not show
DROPPED: Final = 0.25  # share of the copies in which one group of columns is made unknown
TREES: Final = 0  # rounds of boosting beside the linear estimator; they pay from some thousand cases on
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
    systems: NDArray[np.int64]  # (n,) those of one are on one side of every split
    classes: tuple[str, ...]

    def pick(self, rows: NDArray[Any]) -> "Arrays":
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        kinds = tuple(self.kinds[int(row)] for row in places)
        return replace(self, values=self.values[places], kinds=kinds, labels=self.labels[places],
                       weights=self.weights[places], systems=self.systems[places])  # fmt: skip


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
    weights = weights_of(data.classes, taxonomy)
    blank = _blank(data, fits, weights)
    learnt, novelty = _told_by_others(data, blank, rng, trees, progress)
    progress("fit", 0.5)
    trust, temperature = _mixture(learnt, by_weights(weights, data.values, data.kinds, fits), data)
    model = replace(blank, estimators=_fitted(data, rng, trees), trust=trust, temperature=temperature)
    shares = _mixed_shares(model, learnt, data.values, data.kinds)
    progress("strangers", 0.6)
    strange = _strangers(data, model, rng, trees, progress)
    model = replace(model, unknown=_fit_unknown(data, shares, novelty, strange))
    progress("how sure", 0.95)
    return replace(model, joint=_fit_joint(model, data, known, shares, novelty, strange))


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
    groups, systems = (_numbered([getattr(one, name) for one in mine]) for name in ("group", "system"))
    labels = np.array([classes.index(one.fault_class) for one in mine], np.int64)
    each = Counter((int(label), int(group)) for label, group in zip(labels, groups, strict=True))
    cases = Counter(label for label, _ in each)
    weights = np.array(
        [1.0 / each[int(la), int(gr)] / cases[int(la)] for la, gr in zip(labels, groups, strict=True)], np.float64
    )
    values = np.array([one.values for one in mine], np.float64).reshape(-1, len(COLUMNS))
    return Arrays(
        values, tuple(one.kind for one in mine), labels, weights * len(mine) / weights.sum(), systems, classes
    )


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(np.unique(np.array(names), return_inverse=True)[1], np.int64)


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


def _told_by_others(
    data: Arrays, blank: Model, rng: np.random.Generator, trees: int, progress: Progress
) -> tuple[Values, Values]:
    """For each example what a model says that has not seen its system: (n, classes) shares and (n,) novelty."""
    shares, novelty = np.zeros((len(data.labels), len(data.classes))), np.zeros(len(data.labels))
    fold = _folds(data.systems, rng)
    for number in range(FOLDS):
        out = fold[data.systems] == number
        kept, values = data.pick(~out), data.values[out]
        if not out.any() or len(set(kept.labels.tolist())) < 2:
            continue
        kinds = [data.kinds[int(row)] for row in np.flatnonzero(out)]
        shares[out] = fitting(_raw(_fitted(kept, rng, trees), data, values), kinds, blank.fits)
        novelty[out] = _blank(kept, blank.fits, blank.weights).novelty(values, shares[out])
        progress("folds", 0.05 + 0.45 * (number + 1) / FOLDS)
    return shares, novelty


def _mixed_shares(model: Model, learnt: Values, values: Values, kinds: Sequence[str]) -> Values:
    """What the model says, were these the shares of its estimators."""
    told = by_weights(model.weights, values, kinds, model.fits)
    return cooled((1 - model.trust) * learnt + model.trust * told, model.temperature)


def _folds(systems: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(systems,) the fold of each."""
    return np.asarray(rng.permutation(int(systems.max()) + 1) % FOLDS, np.int64)


def _mixture(learnt: Values, told: Values, data: Arrays) -> tuple[float, float]:
    """How far to trust the taxonomy's weights, and the temperature, at which unseen cases are most likely."""
    rows = np.arange(len(data.labels))

    def loss(trust: float, temperature: float) -> float:
        shares = cooled((1 - trust) * learnt + trust * told, temperature)
        return float(-(data.weights * np.log(shares[rows, data.labels] + 1e-12)).mean())

    grid = [(trust, float(heat)) for trust in TRUSTS for heat in np.geomspace(0.4, 4.0, 25)]
    return min(grid, key=lambda pair: loss(*pair))


def _blank(data: Arrays, fits: NDArray[np.bool_], weights: Values) -> Model:
    """A model that has learnt nothing yet but what each class showed, all but a few of its examples."""
    low, high = np.full((2, len(data.classes), len(COLUMNS)), 0.0)
    for label in sorted(set(data.labels.tolist())):
        mine = data.values[data.labels == label]
        low[label], high[label] = np.quantile(mine, (EDGE, 1 - EDGE), axis=0)
    none = np.zeros(1 + len(CUES))
    return Model(data.classes, fits, [], 1.0, weights, 0.0, low, high, unknown=np.zeros(4), joint=none)


def weights_of(classes: Sequence[str], taxonomy: Taxonomy) -> Values:
    """(classes, FEATURES) the weights of the taxonomy; 0 for a class that it does not have."""
    of = {fault.name: fault.weights for fault in taxonomy.classes}
    return np.array([[float(of.get(name, {}).get(one, 0.0)) for one in FEATURES] for name in classes])


# Doubt


@dataclass(frozen=True, slots=True)
class Strangers:
    """Examples as a model sees them that has not met their class."""

    rows: NDArray[np.int64]  # which examples
    shares: Values  # (rows, classes)
    novelty: Values  # (rows,)


def _strangers(data: Arrays, model: Model, rng: np.random.Generator, trees: int, progress: Progress) -> Strangers:
    folds = min(CLASS_FOLDS, len(data.classes))
    order = rng.permutation(len(data.classes)) % folds
    found: list[Strangers] = []
    for number in range(folds):
        out = order[data.labels] == number
        if len(set(data.labels[~out].tolist())) < 2:
            continue
        rows = np.flatnonzero(out)
        values, kinds = data.values[rows], [data.kinds[int(row)] for row in rows]
        blind = replace(model, fits=model.fits & (order != number)[:, None])
        raw = fitting(_raw(_fitted(data.pick(~out), rng, trees), data, values), kinds, blind.fits)
        shares = _mixed_shares(blind, raw, values, kinds)
        found.append(Strangers(rows, shares, blind.novelty(values, shares)))
        progress("strangers", 0.6 + 0.35 * (number + 1) / folds)
    if not found:
        return Strangers(np.empty(0, np.int64), np.empty((0, len(data.classes))), np.empty(0))
    return Strangers(*(np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "shares", "novelty")))


def _fit_unknown(data: Arrays, shares: Values, novelty: Values, strange: Strangers) -> Values:
    """Weights that tell strangers from known cases, as if STRANGE_SHARE of all were strangers."""
    cues = np.vstack([unknown_cues(shares, novelty), unknown_cues(strange.shares, strange.novelty)])
    truth = np.concatenate([np.zeros(len(shares)), np.ones(len(strange.rows))])
    return _logistic(cues, truth, _mixed(data.weights, data.weights[strange.rows]))


def _fit_joint(
    model: Model, data: Arrays, examples: Sequence[Example], shares: Values, novelty: Values, strange: Strangers
) -> Values:
    """Weights of the probability that class and target are both right, over known cases and strangers."""
    right, cues = _seen(model, data, examples, shares, novelty)
    best, second = _two_best(strange.shares, model.unknown_odds(strange.shares, strange.novelty))
    mine = [examples[int(row)] for row in strange.rows]
    share = np.array([one.share for one in mine])
    values = np.array([one.values for one in mine]).reshape(-1, len(COLUMNS))
    whole = np.vstack([cues, joint_cues(best, share, strange.novelty, second, values)])
    truth = np.concatenate([right, np.zeros(len(mine))])
    return _logistic(whole, truth, _mixed(data.weights, data.weights[strange.rows]))


def _seen(
    model: Model, data: Arrays, examples: Sequence[Example], shares: Values, novelty: Values
) -> tuple[Values, Values]:
    """Whether the first suspect and its class were right, and the cues that a diagnosis would have had."""
    wrong = np.array([not one.target_right for one in examples])
    values = np.array([one.first[0] for one in examples])
    seen, far = shares.copy(), novelty.copy()
    if wrong.any():
        seen[wrong] = model.shares(values[wrong], [one.first[1] for one in examples if not one.target_right])
        far[wrong] = model.novelty(values[wrong], seen[wrong])
    best, second = _two_best(seen, model.unknown_odds(seen, far))
    right = (~wrong) & (seen.argmax(axis=1) == data.labels)
    share = np.array([one.share for one in examples])
    return right.astype(np.float64), joint_cues(best, share, far, second, values)


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
    fit = LogisticRegression(C=3.0, max_iter=1000)
    fit.fit(scale.transform(cues[:, 1:]), truth, sample_weight=weights / weights.mean())
    slope = fit.coef_[0] / scale.scale_
    return np.concatenate([[float(fit.intercept_[0] - slope @ scale.mean_)], slope])
