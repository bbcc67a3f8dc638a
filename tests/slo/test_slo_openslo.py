"""OpenSLO files: what is read, and one clear sentence for each mistake."""

import textwrap

import pytest

from paramedic_detector.slo.objectives import DAY_S, Measure
from paramedic_detector.slo.openslo import SloError, read

GOOD = """
    apiVersion: openslo/v1
    kind: SLO
    metadata: {name: chat-useful, displayName: Useful answers}
    spec:
      service: support-bot
      budgetingMethod: Occurrences
      timeWindow: [{duration: 30d, isRolling: true}]
      indicator:
        metadata: {name: useful}
        spec:
          ratioMetric:
            good: {metricSource: {type: paramedic, spec: {count: useful}}}
      objectives: [{target: 0.995}]
"""
FIRST_TOKEN = """
    apiVersion: openslo/v1
    kind: SLI
    metadata: {name: first-token}
    spec:
      thresholdMetric:
        metricSource: {type: paramedic, spec: {measure: first_token, kind: client, peer: aurora}}
    ---
    apiVersion: openslo/v1
    kind: SLO
    metadata: {name: quick}
    spec:
      service: support-bot
      indicatorRef: first-token
      timeWindow: [{duration: 1w}]
      objectives:
        - {displayName: most, op: lte, value: 1, targetPercent: 90}
        - {displayName: nearly all, op: lte, value: 4, targetPercent: 99}
"""


def folder(tmp_path, **files: str):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(textwrap.dedent(text))
    return tmp_path


def test_a_ratio_of_a_service(tmp_path):
    (one,) = read(folder(tmp_path, chat=GOOD))
    assert (one.name, one.title, one.target, one.window_s) == ("chat-useful", "Useful answers", 0.995, 30 * DAY_S)
    assert one.measure is Measure.USEFUL
    assert str(one.series) == "op:support-bot/*/server/*/*/*/*"
    assert one.source == "chat.yaml"


def test_an_indicator_that_is_referred_to_and_two_objectives(tmp_path):
    first, second = read(folder(tmp_path, quick=FIRST_TOKEN))
    assert [(one.name, one.target, one.at_most_s) for one in (first, second)] == [
        ("quick-1", 0.9, 1.0),
        ("quick-2", 0.99, 4.0),
    ]
    assert first.measure is Measure.FIRST_TOKEN
    assert str(first.series) == "op:support-bot/*/client/aurora/*/*/*"
    assert first.window_s == 7 * DAY_S


def test_other_kinds_and_empty_documents_are_left_alone(tmp_path):
    other = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: support-bot}\n---\n"
    assert len(read(folder(tmp_path, chat=GOOD, service=other))) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("openslo/v1", "openslo/v2", "chat.yaml: apiVersion must be openslo/v1, got 'openslo/v2'"),
        ("name: chat-useful", "name: Chat useful", "chat.yaml: metadata.name must be lower-case letters"),
        ("service: support-bot", "service: ''", "chat.yaml: spec.service is missing"),
        ("Occurrences", "Timeslices", "spec.budgetingMethod must be Occurrences"),
        ("duration: 30d", "duration: 1y", "spec.timeWindow[0].duration must be from 1h to 31d, such as 30d, got '1y'"),
        ("duration: 30d", "duration: 90d", "spec.timeWindow[0].duration must be from 1h to 31d"),
        ("isRolling: true", "isRolling: false", "spec.timeWindow[0] must be rolling"),
        ("target: 0.995", "target: 99.5", "spec.objectives[0].target must be above 0 and below 1, such as 0.99"),
        ("target: 0.995", "target: 1", "got 1"),
        ("count: useful", "count: nice", "ratioMetric.good count must be one of useful, worked, got 'nice'"),
        ("count: useful", "count: useful, pear: aurora", "metricSource.spec.pear is no part of op; there are service"),
        ("count: useful", "count: useful, family: gauge", "metricSource.spec.family must be one of op, edge, callee"),
        ("type: paramedic", "type: prometheus", "metricSource.type must be paramedic, got 'prometheus'"),
        ("ratioMetric", "rawMetric", "spec.indicator must have a spec with either ratioMetric or thresholdMetric"),
        ("objectives: [{target: 0.995}]", "objectives: []", "spec.objectives must be a list with at least one"),
        ("metadata: {name: chat", "metadata: [{name: chat", "chat.yaml cannot be read"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence(tmp_path, old, new, said):
    with pytest.raises(SloError) as caught:
        read(folder(tmp_path, chat=GOOD.replace(old, new)))
    assert any(said in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_a_limit_needs_a_number_and_a_direction(tmp_path):
    with pytest.raises(SloError) as caught:
        read(folder(tmp_path, quick=FIRST_TOKEN.replace("op: lte, value: 1", "op: gte, value: fast")))
    assert [mistake.partition(" must")[0] for mistake in caught.value.mistakes] == [
        "quick.yaml, document 2: spec.objectives[0].op",
        "quick.yaml, document 2: spec.objectives[0].value",
    ]


def test_two_files_cannot_give_one_name(tmp_path):
    with pytest.raises(SloError, match=r"'chat-useful' is taken by a\.yaml; every name may stand once"):
        read(folder(tmp_path, a=GOOD, b=GOOD))


def test_a_reference_into_nothing_says_what_there_is(tmp_path):
    with pytest.raises(SloError, match="names no SLI of these files: 'first-tokens'; there are: first-token"):
        read(folder(tmp_path, quick=FIRST_TOKEN.replace("indicatorRef: first-token", "indicatorRef: first-tokens")))
