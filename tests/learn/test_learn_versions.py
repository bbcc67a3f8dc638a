"""The shelf of models: kept, promoted only when better, and always a way back."""

import numpy as np
import pytest
from test_learn_training import SHOWS, example, some, trained

from paramedic_cli.training import is_taken
from paramedic_detector.diagnosis.model import Model
from paramedic_detector.learn.course import is_held_out, split
from paramedic_detector.learn.examples import Example, Source
from paramedic_detector.learn.shadow import Comparison, compare
from paramedic_detector.learn.versions import Shelf


def test_the_shipped_model_is_in_use_until_one_is_promoted(tmp_path):
    shelf = Shelf(tmp_path / "models")
    assert shelf.current() is None
    version = shelf.keep(trained(), {"why": "test"})
    assert shelf.current() is None
    shelf.promote(version)
    assert Model.load(shelf.current()).version == version


def test_every_version_is_kept_and_the_way_back_is_open(tmp_path):
    shelf = Shelf(tmp_path / "models")
    first, second = (shelf.keep(trained(without), {}) for without in ("", "cost_runaway"))
    shelf.promote(first)
    shelf.promote(second)
    assert shelf.revert() == first
    assert shelf.revert() == ""
    assert shelf.path_of(second).exists()
    with pytest.raises(ValueError, match="none was before"):
        shelf.revert()
    with pytest.raises(ValueError, match=first):
        shelf.promote("strange")


def test_a_model_is_promoted_over_one_that_does_not_know_a_class_and_not_the_other_way_round():
    held = some(12, 20)
    blind, whole = trained(without="cost_runaway"), trained()
    assert compare(whole, blind, held).promote
    assert not compare(blind, whole, held).promote
    assert not compare(whole, whole, held).promote


def test_a_first_model_is_taken_by_a_person_and_not_by_itself():
    """The weights of the taxonomy may be better, and a policy acts on what a model is sure of."""
    found = compare(trained(), None, some(12, 20))
    assert not found.promote
    assert found.reason == "no trained model is in use to compare it with"


@pytest.mark.parametrize(
    ("asked", "better", "first", "taken"),
    [
        (None, True, False, True),
        (None, False, True, False),
        (True, False, True, True),
        (True, False, False, False),
        (False, True, False, False),
    ],
)
def test_what_is_used_is_better_or_was_asked_for(asked, better, first, taken):
    assert is_taken(asked, Comparison(better, "", {}, None if first else {})) is taken


def test_held_out_cases_are_never_learnt_from():
    rng = np.random.default_rng(1)
    names = [*SHOWS] * 4
    examples = [example(name, 0, rng) for name in names]
    examples = [
        Example(one.values, one.kind, one.fault_class, f"{seed}-{place}/{one.fault_class}")
        for place, one in enumerate(examples)
        for seed in (3, 1_000_000)
    ]
    people = [Example(one.values, one.kind, one.fault_class, f"INC-{place // 2}", Source.PERSON)
              for place, one in enumerate(examples)]  # fmt: skip
    learnt, held = split([*examples, *people])
    assert not {one.group for one in learnt} & {one.group for one in held}
    assert all(is_held_out(one, {}) for one in held if one.source is Source.SIMULATED)
    assert {one.source for one in held} == {Source.SIMULATED, Source.PERSON}
