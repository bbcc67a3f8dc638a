"""Scenario files: those that come with the demo, the one in the reference, and those with mistakes in them."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from paramedic.contract.command import Target
from paramedic_demo.fleet import demo_members
from paramedic_demo.scenario import FOLDER, ScenarioError, Traffic, load, load_all, names, suites
from paramedic_demo.scenario_reading import CLASSES, TARGETS, read
from paramedic_demo.scenario_values import BY_TARGET, LINK, SHORTEST_FAULT_S, USERS, WARM_UP_S, ZONES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "scenarios.md"
FAULT = {"name": "down", "at": 40, "until": 60, "kind": "outage", "target": "aurora", "class": "provider_outage"}


def mistakes(**changes: object) -> tuple[str, ...]:
    """What is said about a scenario that is right but for one fault."""
    with pytest.raises(ScenarioError) as caught:
        read({"duration": 100, "faults": [{**FAULT, **changes}]}, "mine.yaml", "mine")
    return caught.value.mistakes


def test_the_demo_has_its_three_faults_in_order():
    demo = load("demo")
    assert demo.duration_s == 180
    assert [(f.fault_class, f.at_s, f.until_s) for f in demo.faults] == [
        ("provider_outage", 40, 68),
        ("provider_rate_limited", 95, 120),
        ("zone_outage", 142, 165),
    ]
    assert demo.faults[2].root_cause == Target(peer="support-bot", zone="eu-1b")


def test_each_scenario_of_the_demo_can_be_read_and_bears_its_files_name():
    assert {"demo", "provider_slow", "provider_auth", "provider_empty", "orders_errors", "orders_slow", "quiet"} <= set(
        names()
    )
    assert [load(name).name for name in names()] == names()
    assert load("quiet").faults == ()
    assert load("provider_empty").faults[0].fault_class == "quality_degradation"


def test_a_fault_may_hit_each_process_of_the_fleet_and_no_other(tmp_path):
    """The reader and the fleet each have a list of processes; they must be the same."""
    members = demo_members("bare", 1, {}, tmp_path)
    assert {member.target for member in members} - {LINK} == set(TARGETS) - {USERS, *BY_TARGET}
    assert {member.zone for member in members if member.target == "support-bot"} == set(ZONES)


def test_the_example_in_the_reference_is_a_scenario():
    example = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.S)[0]
    scenario = read(yaml.safe_load(example), "scenarios.md", "example")
    assert len(scenario.faults) == 2
    assert scenario.faults[1].zone == "eu-1a"


def test_the_reference_names_every_kind_target_parameter_class_and_scenario():
    text = REFERENCE.read_text()
    kinds = {kind for known in TARGETS.values() for kind in known}
    parameters = {name for known in TARGETS.values() for taken in known.values() for name in taken}
    for word in kinds | parameters | set(TARGETS) | set(CLASSES) | set(names()) | set(ZONES):
        assert f"`{word}`" in text, f"{word} is missing in {REFERENCE.name}"


def test_what_is_left_out_has_a_default():
    scenario = read({"duration": "2m", "faults": [FAULT]}, "mine.yaml", "mine")
    fault = scenario.faults[0]
    assert scenario.name == "mine"
    assert scenario.duration_s == 120
    assert scenario.traffic == Traffic(10.0)
    assert (fault.severity, fault.zone, fault.parameters, fault.root_cause) == (1.0, "", {}, Target(peer="aurora"))


def test_faults_come_in_order_of_time():
    late = FAULT | {"name": "late", "at": 80, "until": 90}
    assert [f.name for f in read({"duration": 100, "faults": [late, FAULT]}, "f", "f").faults] == ["down", "late"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "outtage"}, "kind must be errors, hang, outage, rate_limit"),
        ({"kind": "outtage"}, "got 'outtage' (did you mean 'outage'?)"),
        ({"target": "aurore"}, "target must be aurora, borealis, orders, support-bot, nlu, front-door or users, got"),
        ({"target": "front-door", "kind": "auth"}, "kind must be kill or pause, got 'auth'"),
        (
            {"target": "users", "kind": "surge", "parameters": {"factor": 0.5}},
            "parameters.factor must be a number from 1",
        ),
        ({"target": "orders", "kind": "leak", "severity": 0.5}, "severity must be 1 for 'leak', which cannot be done"),
        ({"target": "orders", "kind": "cache_flush"}, "kind must not be 'cache_flush' under faults: it is none"),
        ({"until": 40}, "until must be after at, which is 40 s, got 40"),
        ({"until": 101}, "until must be within the run, which ends at 100 s, got 101"),
        ({"at": "soon"}, "at must be seconds, such as 90 or 1.5m, got 'soon'"),
        ({"at": True}, "at must be seconds"),
        ({"at": float("nan")}, "at must be seconds"),
        ({"severity": 0}, "severity must be the share of calls that it hurts, above 0 and at most 1, got 0"),
        ({"severity": 1.2}, "severity must be"),
        ({"kind": "kill", "severity": 0.5}, "severity must be 1 for 'kill'"),
        ({"class": "outage"}, "class must be provider_outage"),
        ({"zone": "eu-1a"}, "zone must be left out, since 'aurora' is not in one zone, got 'eu-1a'"),
        ({"target": "support-bot", "kind": "kill", "zone": "eu-2"}, "zone must be eu-1a or eu-1b, got 'eu-2'"),
        ({"parameters": {"status": 404}}, "parameters.status must be a whole number from 500 to 599, got 404"),
        ({"parameters": {"factor": 2}}, "parameters.factor is not a parameter of 'outage'"),
        ({"parameters": {"share": 1}}, "parameters.share is not a parameter of 'outage'; it takes status"),
        (
            {"kind": "hang", "parameters": {"status": 500}},
            "parameters.status is not a parameter of 'hang'; it takes none",
        ),
        ({"parameters": [2]}, "parameters must be a mapping of names to numbers, got [2]"),
        ({"root_cause": {"pear": "aurora"}}, "root_cause.pear is not known (did you mean 'peer'?)"),
        ({"root_cause": "aurora"}, "root_cause must be a mapping with peer, zone, got 'aurora'"),
        ({"untill": 3}, "untill is not known (did you mean 'until'?)"),
        ({"name": 7}, "name must be a text, got 7"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_key_value_and_cure(changes, said):
    (found,) = mistakes(**changes)
    assert found.startswith("mine.yaml: faults[0].")
    assert said in found
    assert "\n" not in found


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ScenarioError) as caught:
        read({"duration": -1, "traffic": {"rate": 0}, "colour": "red", "faults": [{"name": "x"}]}, "mine.yaml", "mine")
    told = "\n".join(caught.value.mistakes)
    for key in ("duration must", "traffic.rate must", "colour is not known", "faults[0].at is missing"):
        assert f"mine.yaml: {key}" in told
    assert "faults[0].class is missing" in told


@pytest.mark.parametrize("raw", [None, [], "demo", {}])
def test_what_is_no_scenario_at_all_is_said_so(raw):
    with pytest.raises(ScenarioError, match="duration"):
        read(raw, "mine.yaml", "mine")


def test_two_faults_cannot_break_one_process_at_once():
    other = FAULT | {"name": "again", "at": 55, "until": 70}
    with pytest.raises(ScenarioError, match=r"faults\[1\].at must not be before the end of 'down' at 60 s"):
        read({"duration": 100, "faults": [FAULT, other]}, "mine.yaml", "mine")
    read({"duration": 100, "faults": [FAULT, other | {"target": "borealis"}]}, "mine.yaml", "mine")


def test_two_faults_that_strike_one_process_under_two_names_cannot_be_at_once():
    nlu = FAULT | {"name": "nlu", "kind": "nlu", "target": "nlu"}
    storm = FAULT | {"name": "storm", "kind": "retries", "target": "orders", "at": 50}
    with pytest.raises(ScenarioError, match="since both break 'support-bot'"):
        read({"duration": 100, "faults": [nlu, storm]}, "mine.yaml", "mine")
    delay = storm | {"kind": "delay"}
    read({"duration": 100, "faults": [nlu, delay, delay | {"kind": "kill", "name": "k"}]}, "mine.yaml", "mine")


def test_an_oddity_is_no_fault_and_has_no_truth():
    odd = {"name": "odd", "at": 30, "until": 35, "kind": "cache_flush", "target": "orders"}
    scenario = read({"duration": 100, "faults": [FAULT], "oddities": [odd]}, "mine.yaml", "mine")
    assert [one.name for one in scenario.faults] == ["down"]
    assert [one.name for one in scenario.happenings] == ["odd", "down"]
    assert [one.at_s for one in scenario.scaled(200).happenings] == [60, 80]
    with pytest.raises(ScenarioError, match=r"oddities\[0\].class is not known"):
        read({"duration": 100, "oddities": [odd | {"class": "unknown"}]}, "mine.yaml", "mine")


def test_a_surge_needs_no_target_and_shows_where_users_come_in():
    surge = {"name": "crowd", "at": 40, "until": 60, "kind": "surge", "class": "traffic_surge"}
    (fault,) = read({"duration": 100, "faults": [surge]}, "mine.yaml", "mine").faults
    assert (fault.target, fault.root_cause) == ("users", Target(peer="front-door"))


def test_the_suite_of_every_class_has_every_class():
    found = [fault.fault_class for scenario in load_all("every") for fault in scenario.faults]
    assert set(found) == set(CLASSES) - {"unknown"}
    assert suites() == ["every"]


def test_a_name_may_be_that_of_a_folder(tmp_path):
    assert [scenario.name for scenario in load_all(FOLDER / "every")] == ["calls", "models", "processes"]
    assert [scenario.name for scenario in load_all("demo")] == ["demo"]
    with pytest.raises(ScenarioError, match="there is no scenario in this folder"):
        load_all(tmp_path)


def test_two_faults_cannot_have_one_name():
    with pytest.raises(ScenarioError, match=r"faults\[1\].name must be another one for each fault, got 'down' twice"):
        read({"duration": 100, "faults": [FAULT, FAULT | {"at": 70, "until": 80}]}, "mine.yaml", "mine")


def test_an_unknown_name_names_the_known_ones():
    with pytest.raises(ScenarioError, match=r"no scenario 'dmeo' \(did you mean 'demo'\?\); there are agent_loop, bad"):
        load("dmeo")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(ScenarioError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("faults: [")
    with pytest.raises(ScenarioError, match=r"^broken\.yaml: must be YAML, and is not: [^\n]*$"):
        load(broken)


def test_a_longer_run_stretches_everything_alike():
    fault = load("demo").scaled(360).faults[0]
    assert (fault.at_s, fault.until_s) == (80, 136)


@settings(deadline=None)  # another process may have the processor for a while
@given(duration_s=st.floats(61, 2000))
def test_a_scaled_run_keeps_warm_up_order_and_length_of_faults(duration_s):
    demo, scaled = load("demo"), load("demo").scaled(duration_s)
    assert scaled.duration_s == duration_s
    assert scaled.warm_up_s >= min(WARM_UP_S, demo.warm_up_s) - 1e-6
    times = [time for fault in scaled.faults for time in (fault.at_s, fault.until_s)]
    assert times == sorted(times)
    assert times[-1] <= duration_s
    assert all(fault.until_s - fault.at_s >= SHORTEST_FAULT_S - 1e-6 for fault in scaled.faults)


def test_a_run_that_is_too_short_says_how_long_it_must_be():
    with pytest.raises(ValueError, match="duration of demo must be at least 61 s for its faults, got 30"):
        load("demo").scaled(30)
    assert load("quiet").scaled(30).duration_s == 30
