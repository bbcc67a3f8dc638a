"""The settings of `tail_sampling`: how long to wait, and the policies."""

from collections.abc import Callable
from typing import Final

from paramedic_collector.config.conditions import rules_of
from paramedic_collector.config.processors import Step, not_here
from paramedic_collector.config.settings import Settings
from paramedic_collector.otlp import Signal
from paramedic_collector.process import policies
from paramedic_collector.process.filter import ERROR_MODES
from paramedic_collector.process.policies import Policy
from paramedic_collector.process.tail_sampling import KeepTraces, Limits, TailSampling

_IGNORED: Final = (
    "expected_new_traces_per_sec",
    "num_shards",
    "sample_on_first_match",
    "drop_pending_traces_on_shutdown",
)
_LARGEST: Final = (1 << 63) - 1


def tail_sampling(name: str, settings: Settings, keep: KeepTraces) -> Step:
    settings.only(
        "decision_wait", "decision_wait_after_root_received", "num_traces", "policies", "decision_cache",
        "sampling_strategy", "maximum_trace_size_bytes",
        ignored=_IGNORED, missing=("tail_storage", "block_on_overflow"),
    )  # fmt: skip
    if settings.choice("sampling_strategy", ("trace-complete", "span-ingest"), "trace-complete") == "span-ingest":
        not_here(settings, "the sampling_strategy span-ingest")
    given = settings.maps("policies")
    if not given and not isinstance(settings.get("policies"), str):
        settings.wrong("", "at least one policy must be specified under policies")
    _unlike_names(settings, given)
    keeps = tuple(_policy(one) for one in given if one.get("type") != "drop")
    drops = tuple(_drop(one) for one in given if one.get("type") == "drop")
    limits = _limits(settings)
    return Step(
        build=lambda: TailSampling(name, keeps, drops, keep, limits), signals=(Signal.TRACES,), counts_all=False
    )


def _limits(settings: Settings) -> Limits:
    traces = settings.whole("num_traces", 50_000, least=1)
    cache = settings.inner("decision_cache")
    cache.only("sampled_cache_size", "non_sampled_cache_size")
    return Limits(
        wait_s=settings.seconds("decision_wait", 30.0),
        root_wait_s=settings.seconds("decision_wait_after_root_received", 0.0),
        traces=traces,
        kept_cache=cache.whole("sampled_cache_size") or traces,
        dropped_cache=cache.whole("non_sampled_cache_size") or traces,
        largest_bytes=settings.whole("maximum_trace_size_bytes"),
    )


def _unlike_names(settings: Settings, given: list[Settings]) -> None:
    names = [one.text("name") for one in given]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            settings.wrong("", f'duplicate policy name "{name}"')


def _policy(one: Settings) -> Policy:
    """A policy; what is wrong with it is noted, and then anything is given."""
    kind = one.text("type")
    if kind not in READERS:
        valid = " ".join(sorted((*READERS, "drop")))
        not_here(one, f'the policy type "{kind}" (valid values: [{valid}])')
        return policies.always
    one.only("name", "type", kind)
    return READERS[kind](one.inner(kind))


def _drop(one: Settings) -> Policy:
    one.only("name", "type", "drop")
    return _all_of(one.inner("drop"), "drop_sub_policy")


def _all_of(given: Settings, key: str) -> Policy:
    given.only(key)
    inside = given.maps(key)
    if not inside:
        given.wrong("", f"at least one policy must be specified under {key}")
    return policies.all_of([_policy(one) for one in inside])


def _not(given: Settings) -> Policy:
    given.only("not_sub_policy")
    return policies.no(_policy(given.inner("not_sub_policy")))


def _always(given: Settings) -> Policy:
    given.only()
    return policies.always


def _latency(given: Settings) -> Policy:
    given.only("threshold_ms", "upper_threshold_ms")
    return policies.latency(given.whole("threshold_ms"), given.whole("upper_threshold_ms"))


def _status_code(given: Settings) -> Policy:
    given.only("status_codes")
    codes = given.texts("status_codes")
    if not codes:
        given.wrong("", "expected at least one status code to filter on")
    for code in codes:
        if code not in policies.STATUS_CODES:
            given.wrong("status_codes", f'unknown status code "{code}", supported: OK, ERROR, UNSET')
    return policies.status_code([code for code in codes if code in policies.STATUS_CODES])


def _probabilistic(given: Settings) -> Policy:
    given.only("sampling_percentage", "hash_salt")
    return policies.probabilistic(given.number("sampling_percentage", 0.0), given.text("hash_salt"))


def _string(given: Settings) -> Policy:
    given.only("key", "values", "enabled_regex_matching", "invert_match", ignored=("cache_max_size",))
    key, invert = _key(given), given.truth("invert_match")
    if given.truth("enabled_regex_matching"):
        patterns = given.patterns("values")
        return policies.attribute(
            key, "string_value", lambda text: any(one.search(text) for one in patterns), invert=invert
        )
    values = frozenset(given.texts("values")) - {""}
    return policies.attribute(key, "string_value", values.__contains__, invert=invert)


def _numeric(given: Settings) -> Policy:
    given.only("key", "min_value", "max_value", "invert_match")
    least, most = given.whole("min_value", least=-_LARGEST), given.whole("max_value", least=-_LARGEST)
    if not least and not most:
        given.wrong("", "at least one of min_value and max_value must be set, and not be 0")
    return policies.attribute(
        _key(given),
        "int_value",
        lambda number: (not least or least <= number) and (not most or number <= most),
        invert=given.truth("invert_match"),
    )


def _boolean(given: Settings) -> Policy:
    given.only("key", "value", "invert_match")
    wanted = given.truth("value")
    invert = given.truth("invert_match")
    return policies.attribute(_key(given), "bool_value", lambda held: held is wanted, invert=invert)


def _span_count(given: Settings) -> Policy:
    given.only("min_spans", "max_spans")
    return policies.span_count(given.whole("min_spans"), given.whole("max_spans"))


def _ottl(given: Settings) -> Policy:
    given.only("error_mode", "span", "spanevent")
    given.choice("error_mode", ERROR_MODES, "ignore")
    spans, events = (
        tuple(rules_of(given, context, Signal.TRACES, context, "silent")) for context in ("span", "spanevent")
    )
    if not given.get("span") and not given.get("spanevent"):
        given.wrong("", "expected at least one OTTL condition to filter on")
    return policies.ottl_condition(spans, events)


def _key(given: Settings) -> str:
    key = given.text("key")
    if not key:
        given.wrong("", 'missing required field "key"')
    return key


READERS: Final[dict[str, Callable[[Settings], Policy]]] = {
    "always_sample": _always,
    "latency": _latency,
    "status_code": _status_code,
    "probabilistic": _probabilistic,
    "string_attribute": _string,
    "numeric_attribute": _numeric,
    "boolean_attribute": _boolean,
    "span_count": _span_count,
    "ottl_condition": _ottl,
    "and": lambda given: _all_of(given, "and_sub_policy"),
    "not": _not,
}
