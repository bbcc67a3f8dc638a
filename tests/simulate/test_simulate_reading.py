"""Scenario files: every mistake in one sentence, all at once; and what comes with the simulation is whole."""

import pytest
import yaml

from paramedic.contract.command import Target
from paramedic_demo.scenario import FOLDER as DEMO_FOLDER
from paramedic_detector.diagnosis.taxonomy import UNKNOWN, Taxonomy
from paramedic_detector.simulate import files
from paramedic_detector.simulate.reading import ScenarioMistakes, read

FAULT = {"name": "x", "at": 60, "until": "1.5m", "kind": "slow", "target": "aurora", "class": "provider_slow"}


def scenario(**changes):
    return {"duration": 120, "faults": [FAULT | changes]}


def test_a_scenario_of_the_demo_is_read_as_it_stands():
    plan = files.load(DEMO_FOLDER / "demo.yaml")
    first, _, last = plan.faults
    assert (first.kind, first.target, first.fault_class) == ("outage", "aurora", "provider_outage")
    assert last.root_cause == Target("support-bot", "eu-1b")
    assert plan.duration_s == 180


@pytest.mark.parametrize("path", sorted(DEMO_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_of_the_demo_can_be_simulated(path):
    assert files.load(path).duration_s > 0


def test_a_slow_backend_is_as_slow_as_the_demos():
    plan = read(scenario(target="orders", **{"class": "dependency_slow"}), "f.yaml", "f")
    assert plan.faults[0].parameters == {"delay_s": 3.0}


def test_truth_that_is_left_out_follows_from_kind_and_target():
    fault = {"at": 60, "until": 80, "kind": "kill", "target": "support-bot", "zone": "eu-1a"}
    found = read({"duration": 120, "faults": [fault]}, "f.yaml", "f").faults[0]
    assert found.fault_class == "zone_outage"
    assert found.root_cause == Target("support-bot", "eu-1a")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("x", "f.yaml must be a mapping with name, description"),
        ({"faults": []}, "f.yaml: duration is missing, and has no default"),
        ({"duration": -1}, "f.yaml: duration must be seconds, such as 90 or 1.5m, got -1"),
        ({"duration": 10, "fualts": []}, "f.yaml: fualts is not known (did you mean 'faults'?)"),
        ({"duration": 10, "faults": {}}, "f.yaml: faults must be a list"),
        ({"duration": 10, "world": "moon"}, 'f.yaml: world must be "demo", "random-SEED"'),
        ({"duration": 10, "world": "random-1-99"}, "f.yaml: world must have 5 to 40 services, got 99"),
        ({"duration": 10, "traffic": {"rate": 0}}, "f.yaml: traffic.rate must be a number from 0.01 to 1000, got 0"),
        (scenario(kind="slwo"), "faults[0].kind must be one of errors, hang"),
        (scenario(target="aurra"), "faults[0].target must be one of"),
        (scenario(severity=2), "faults[0].severity must be a number from 0.001 to 1, got 2"),
        (scenario(parameters={"facto": 2}), "faults[0].parameters.facto is not known (did you mean 'factor'?)"),
        (scenario(parameters={"factor": 1e9}), "faults[0].parameters.factor must be a number from 1 to 1000"),
        (scenario(until=30), "'x': until must be after at, which is 60 s, got 30"),
        (scenario(until=300), "'x': until must be within the run, which ends at 120 s, got 300"),
        (scenario(kind="pause", target="orders", parameters={}), "is no fault, got 'pause': it belongs under oddities"),
        (scenario(**{"class": "provider_slwo"}), "faults[0].class must be one of"),
        (scenario(root_cause={"peer": "auror"}), "faults[0].root_cause.peer must be one of"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(raw, says):
    with pytest.raises(ScenarioMistakes) as wrong:
        read(raw, "f.yaml", "f")
    assert any(says in mistake for mistake in wrong.value.mistakes), wrong.value.mistakes
    assert all("\n" not in mistake for mistake in wrong.value.mistakes)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ScenarioMistakes) as wrong:
        read(scenario(kind="slwo", severity=3) | {"huor": 2}, "f.yaml", "f")
    assert len(wrong.value.mistakes) >= 3


def test_a_file_that_is_not_there_or_no_yaml_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ScenarioMistakes, match="cannot be read"):
        files.load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: b: c")
    with pytest.raises(ScenarioMistakes, match="must be YAML"):
        files.load(tmp_path / "bad.yaml")


def test_what_comes_with_the_simulation_has_every_class_and_overlaps_deploys_flapping_and_benign_days():
    plans = {name: files.load_named(name) for name in files.names()}
    assert len(plans) >= 20
    classes = {fault.fault_class for plan in plans.values() for fault in plan.faults}
    assert classes == set(Taxonomy.load().names) - {UNKNOWN}
    assert any(
        one.at_s < other.at_s < one.until_s for plan in plans.values() for one in plan.faults for other in plan.faults
    )
    assert any(one.kind == "deploy" for plan in plans.values() for one in plan.oddities)
    assert any(not plan.faults for plan in plans.values())
    assert all(plan.description for plan in plans.values())


def test_scenario_files_are_written_in_the_demos_order_of_keys():
    for name in files.names():
        raw = yaml.safe_load((files.FOLDER / f"{name}.yaml").read_text())
        assert raw["name"] == name
