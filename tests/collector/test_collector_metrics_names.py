"""One thing under old and new names is one series; what tells causes apart stands in braces."""

import pytest
from metrics_kit import Folded, histogram, message, number

from paramedic_collector.metrics_names import MOST_SPLITS, SAME

LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
DURATIONS = [
    ("gen_ai.client.operation.duration", LLM | {"gen_ai.system": "openai"}, "s", 1.0),
    ("gen_ai.client.operation.duration", LLM | {"gen_ai.provider.name": "openai"}, "s", 1.0),
    ("gen_ai.client.inference.duration", LLM | {"gen_ai.provider.name": "openai"}, "s", 1.0),
]


def wait(name, attributes=None, unit="s", factor=1.0, count=2, second=0):
    return histogram(name, [0, count, 0], [factor, 4 * factor], second, attributes, unit=unit, sum=count * 2 * factor)


@pytest.mark.parametrize(("name", "attributes", "unit", "factor"), DURATIONS)
def test_both_generations_of_llm_durations_are_one_series(name, attributes, unit, factor):
    found = Folded().sums(wait(name, attributes, unit, factor))
    series = "gen_ai.client.operation.duration"
    assert found == {f"{series}.count{{openai/gpt-4o}}": 2.0, f"{series}.sum{{openai/gpt-4o}}": 4.0}


@pytest.mark.parametrize(
    ("old", "unit", "new"),
    [
        ("http.client.duration", "ms", "http.client.request.duration"),
        ("http.server.duration", "ms", "http.server.request.duration"),
        ("rpc.client.duration", "ms", "rpc.client.call.duration"),
        ("gen_ai.server.time_to_first_token", "s", "gen_ai.client.operation.time_to_first_chunk"),
        ("gen_ai.client.inference.time_to_first_chunk", "s", "gen_ai.client.operation.time_to_first_chunk"),
        ("db.client.connections.wait_time", "ms", "db.client.connection.wait_time"),
    ],
)
def test_an_old_name_in_its_unit_is_the_series_of_the_new_one(old, unit, new):
    older = Folded()(message(wait(old, unit=unit, factor=1000.0 if unit == "ms" else 1.0)))
    newer = Folded()(message(wait(new)))
    assert {row["metric"]: row["sum"] for row in newer} == {f"{new}.count": 2, f"{new}.sum": 4}
    assert {row["metric"]: row["sum"] for row in older} == pytest.approx({f"{new}.count": 2, f"{new}.sum": 4})
    shapes = [[row["distribution"]["index"] for row in rows if row["distribution"]] for rows in (older, newer)]
    assert shapes[0] == shapes[1] != []


def test_tokens_of_both_generations_are_one_series_by_what_they_are():
    old = Folded().sums(
        histogram("gen_ai.client.token.usage", [4], [], 0, {"gen_ai.token.type": "input"}, unit="{token}", sum=900.0),
        histogram(
            "gen_ai.client.token.usage", [4], [], 0, {"gen_ai.token.type": "completion"}, unit="{token}", sum=80.0
        ),
    )
    new = Folded().sums(
        number("gen_ai.client.inference.usage.input_tokens", "delta", 900, 0, {"gen_ai.token.modality": "text"}),
        number("gen_ai.client.inference.usage.output_tokens", "delta", 80, 0, {"gen_ai.token.modality": "text"}),
        number("gen_ai.client.inference.usage.cache_read.input_tokens", "delta", 600, 0),
    )
    name = "gen_ai.client.token.usage"
    assert old == {f"{name}.count{{input}}": 4, f"{name}.sum{{input}}": 900, f"{name}.count{{output}}": 4,
                   f"{name}.sum{{output}}": 80}  # fmt: skip
    assert new == {f"{name}.sum{{input}}": 900, f"{name}.sum{{output}}": 80, f"{name}.sum{{cache_read}}": 600}


def test_one_who_says_it_under_both_names_is_counted_once():
    """The sanctioned way to move over: OTEL_SEMCONV_STABILITY_OPT_IN=http/dup."""
    folded = Folded()
    both = wait("http.client.duration", unit="ms", factor=1000.0), wait("http.client.request.duration")
    assert folded.sums(*both)["http.client.request.duration.count"] == 2
    assert folded.sums(*reversed(both))["http.client.request.duration.count"] == 2
    assert folded.sums(both[1], scope="another library")["http.client.request.duration.count"] == 2


def test_a_name_that_falls_silent_gives_way_to_the_other():
    folded = Folded()
    folded.sums(wait("http.client.duration", second=0))
    assert folded.sums(wait("http.client.request.duration", second=200)) == {}
    folded.sums(wait("http.client.duration", second=210))
    assert folded.sums(wait("http.client.request.duration", second=600))["http.client.request.duration.count"] == 2


def test_failed_calls_are_counted_by_error_type_beside_all_calls():
    name = "http.server.request.duration"
    found = Folded().sums(
        wait(name, {"http.response.status_code": 200}, count=5),
        wait(name, {"http.response.status_code": 503, "error.type": "503"}, count=2),
        wait(name, {"http.status_code": 500}, count=1),
        wait(name, {"http.response.status_code": 404}, count=3),
        wait("wait.time", {"error.type": "timeout"}, count=9),  # no duration of calls
    )
    assert found[f"{name}.count"] == 11
    assert {metric: value for metric, value in found.items() if "errors" in metric} == {
        f"{name}.errors{{503}}": 2,
        f"{name}.errors{{500}}": 1,
    }


def test_what_is_in_braces_is_bounded():
    folded = Folded()
    hosts = [wait("http.client.request.duration", {"server.address": f"host-{n}"}) for n in range(MOST_SPLITS + 20)]
    found = {row["metric"]: row["sum"] for row in folded(message(*hosts)) if ".count" in row["metric"]}
    assert len(found) == MOST_SPLITS + 1
    assert found["http.client.request.duration.count{_other}"] == 2 * 20
    long = folded.sums(wait("db.client.operation.duration", {"db.system": "x" * 10_000}))
    assert max(map(len, long)) < 150


def test_attributes_that_tell_no_cause_are_summed_over():
    paths = [wait("http.server.request.duration", {"http.route": f"/{n}"}) for n in range(9)]
    assert Folded().sums(*paths)["http.server.request.duration.count"] == 18


def test_the_state_of_a_breaker_is_told_by_guard():
    states = [number("paramedic.breaker.state", "gauge", n, 0, {"paramedic.guard": f"g{n}"}) for n in (0, 2)]
    assert Folded().sums(*states) == {"paramedic.breaker.state{g0}": 0.0, "paramedic.breaker.state{g2}": 2.0}


def test_no_name_leads_to_a_name_that_leads_on():
    assert not {name for name, _ in SAME.values()} & set(SAME)
