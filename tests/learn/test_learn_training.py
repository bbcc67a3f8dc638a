"""Training on examples by hand: what is learnt, how sure it is, and what it makes of strangers."""

import functools

import numpy as np
import pytest

from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.diagnosis.model import SHIPPED, Model
from paramedic_detector.diagnosis.taxonomy import UNKNOWN, Taxonomy
from paramedic_detector.learn import examples as kept
from paramedic_detector.learn.examples import Example
from paramedic_detector.learn.report import figures, tell
from paramedic_detector.learn.training import train

SHOWS = {  # what a case of each class shows, in these columns
    "provider_outage": ("server_errors", "failing"),
    "provider_rate_limited": ("rate_limited", "failing"),
    "provider_slow": ("slow", "p50_shift"),
    "cost_runaway": ("cost", "tokens_shift"),
    "quality_degradation": ("useless", "useless_empty"),
    "auth_failure": ("auth", "failing"),
}


def example(fault_class, number, rng, *, kind="provider", shows=None, moment=1.0):
    """Early moments show less of it."""
    values = np.abs(rng.normal(0, 0.03, len(COLUMNS)))
    for column in SHOWS[fault_class] if shows is None else shows:
        values[COLUMNS.index(column)] = moment * rng.uniform(0.5, 1.0)
    values[COLUMNS.index("bad")], values[COLUMNS.index("age")] = 0.5 * moment, 0.5 * moment
    values[COLUMNS.index(f"kind_{kind}")] = 1.0
    return Example(values, kind, fault_class, f"{str(number).replace('-', '.')}-{fault_class}", share=0.95)


def some(cases, seed, classes=tuple(SHOWS)):
    rng = np.random.default_rng(seed)
    return [
        example(name, f"{seed}-{number}", rng, moment=moment)
        for name in classes
        for number in range(cases)
        for moment in (0.1, 0.6, 1.0)
    ]


@functools.cache
def trained(without: str = "") -> Model:
    classes = tuple(name for name in SHOWS if name != without)
    return train(some(25, 1, classes), Taxonomy.load(), seed=3, trees=0)


def test_what_was_learnt_is_told_of_new_cases():
    found = figures(tell(trained(), some(15, 2)))
    assert found["class_accuracy_late"] >= 0.97
    assert found["macro_f1"] >= 0.97
    assert found["confident_mistakes"] <= 0.02


def test_probabilities_are_those_of_being_right():
    found = figures(tell(trained(), some(40, 3)))
    assert found["expected_calibration_error"] < 0.15
    assert found["brier"] < 0.12
    assert sum(row["examples"] for row in found["reliability"]) == found["examples"]


def test_an_early_moment_is_less_sure_than_a_late_one():
    rng = np.random.default_rng(5)
    early, late = (tell(trained(), [example("auth_failure", m, rng, moment=m) for _ in range(20)]) for m in (0.05, 1.0))
    assert np.mean([one.probability for one in early]) < np.mean([one.probability for one in late]) - 0.1


def test_a_class_that_it_never_met_is_no_confident_mistake():
    strangers = tell(trained(without="cost_runaway"), [e for e in some(30, 4) if e.fault_class == "cost_runaway"])
    late = [one for one in strangers if one.late]
    assert np.mean([one.fault_class == UNKNOWN or one.probability < 0.9 for one in late]) >= 0.95
    assert np.mean([one.fault_class == UNKNOWN for one in late]) >= 0.5


def test_a_wrong_target_is_not_told_with_confidence_when_the_ranking_was_not_sure():
    rng = np.random.default_rng(6)
    examples = some(25, 1)
    unsure = [
        Example(one.values, one.kind, one.fault_class, f"w{place}", share=0.4, seen=one.values, seen_kind=one.kind)
        for place, one in enumerate(some(8, 8))
    ]
    model = train([*examples, *unsure], Taxonomy.load(), seed=3, trees=0)
    one = example("auth_failure", 0, rng)
    classes, novelty = model.judge(one.values, one.kind)
    assert model.probability(classes, 0.4, novelty, one.values) < 0.7
    assert model.probability(classes, 0.97, novelty, one.values) > 0.85


def test_a_class_that_does_not_fit_the_kind_of_target_is_not_named():
    rng = np.random.default_rng(7)
    one = example("provider_outage", 0, rng)
    classes, _ = trained().judge(one.values, "zone")
    assert classes["provider_outage"] < 1e-6
    assert sum(classes.values()) == pytest.approx(1.0)


def test_the_same_examples_make_the_same_file_and_it_reads_back(tmp_path):
    data = trained().to_bytes()
    assert train(some(25, 1), Taxonomy.load(), seed=3, trees=0).to_bytes() == data
    assert len(data) < 1_000_000
    (tmp_path / SHIPPED).write_bytes(data)
    again = Model.load(tmp_path / SHIPPED)
    one = some(1, 9)[2]
    assert again.judge(one.values, one.kind) == trained().judge(one.values, one.kind)
    assert again.version


def test_what_is_no_model_is_refused_with_a_sentence(tmp_path):
    from skops.io import dumps

    path = tmp_path / "no.skops"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="paramedic train"):
        Model.load(path)
    path.write_bytes(dumps({"format": 1, "estimators": [functools.partial(print)]}))
    with pytest.raises(ValueError, match="not trusted"):
        Model.load(path)
    path.write_bytes(dumps({"format": 1, "columns": ["other"]}))
    with pytest.raises(ValueError, match="another version"):
        Model.load(path)


def test_too_little_to_learn_from_is_said(tmp_path):
    with pytest.raises(ValueError, match="auth_failure: 3"):
        train(some(3, 1, ("auth_failure", "provider_slow")), Taxonomy.load())


def test_examples_are_kept_and_read_again(tmp_path):
    examples = some(2, 1)
    kept.save(tmp_path / "examples.npz", examples)
    again = kept.load(tmp_path / "examples.npz")
    assert [(one.fault_class, one.group, one.kind, one.share) for one in again] == [
        (one.fault_class, one.group, one.kind, one.share) for one in examples
    ]
    assert np.allclose(again[0].values, examples[0].values, atol=1e-6)
