"""The settings of `filter`: OTTL conditions, in today's form and in the one before it.

trace_conditions: ['span.name == "ping"']        every path says its context; the innermost one is meant
traces: {span: ['name == "ping"']}               the list says the context
"""

from collections.abc import Iterable
from typing import Final

from paramedic_collector.config.processors import Step
from paramedic_collector.config.settings import Settings
from paramedic_collector.otlp import Signal
from paramedic_collector.process.filter import ERROR_MODES, Filter, Rule
from paramedic_collector.process.ottl import OttlSyntaxError, parse, parse_inferred
from paramedic_collector.process.ottl_paths import LEVELS

_FLAT: Final = {
    Signal.TRACES: "trace_conditions",
    Signal.METRICS: "metric_conditions",
    Signal.LOGS: "log_conditions",
}
_LISTS: Final = {  # of the older form: the list and its context
    Signal.TRACES: {"resource": "resource", "span": "span", "spanevent": "spanevent"},
    Signal.METRICS: {"resource": "resource", "metric": "metric", "datapoint": "datapoint"},
    Signal.LOGS: {"resource": "resource", "log_record": "log"},
}
_BOTH_STYLES: Final = (
    "configuring multiple configuration styles is not supported, please use only Basic configuration or only "
    "Advanced configuration"
)


def filter_(name: str, settings: Settings) -> Step:
    missing = ("spans", "profiles", "profile_conditions")
    settings.only("error_mode", *_FLAT.values(), *(str(signal) for signal in Signal), missing=missing)
    mode = settings.choice("error_mode", ERROR_MODES, "ignore")
    rules = {}
    for signal in Signal:
        found = [*_older(settings, signal, mode), *_flat(settings, signal, mode)]
        rules[signal] = {
            context: tuple(rule for where, rule in found if where == context)
            for context in dict.fromkeys(where for where, _ in found)
        }
    return Step(build=lambda: Filter(name, rules))


def _older(settings: Settings, signal: Signal, mode: str) -> Iterable[tuple[str, Rule]]:
    if settings.get(signal) is None:
        return
    given, lists = settings.inner(signal), _LISTS[signal]
    given.only(*lists, missing=("include", "exclude", "regexp"))
    if settings.get(_FLAT[signal]) is not None and given.values:
        one = str(signal).removesuffix("s")
        names = ", ".join(f'"{signal}.{name}"' for name in lists)
        settings.wrong(
            "",
            f'cannot use context inferred {one} conditions "{_FLAT[signal]}" and the settings {names} at the same time',
        )
    for key, context in lists.items():
        for rule in rules_of(given, key, signal, context, mode):
            yield context, rule


def rules_of(settings: Settings, key: str, signal: Signal, context: str, mode: str) -> Iterable[Rule]:
    """The conditions of a list that belongs to one context."""
    levels = LEVELS[signal]
    for place, text in enumerate(settings.texts(key)):
        try:
            yield Rule(text, parse(text, levels[: levels.index(context) + 1]), mode)
        except OttlSyntaxError as error:
            settings.wrong(f"{key}::{place}", str(error))


def _flat(settings: Settings, signal: Signal, mode: str) -> Iterable[tuple[str, Rule]]:
    key = _FLAT[signal]
    given = settings.get(key)
    if not isinstance(given, list) or all(isinstance(one, str) for one in given):
        yield from _inferred(settings, key, signal, mode)
        return
    if any(isinstance(one, str) for one in given):
        settings.wrong(key, _BOTH_STYLES)
        return
    for group in settings.maps(key):
        group.only("context", "error_mode", "conditions")
        own_mode = group.choice("error_mode", ERROR_MODES, mode)
        if group.get("context") is None:
            yield from _inferred(group, "conditions", signal, own_mode)
            continue
        context = group.choice("context", LEVELS[signal], LEVELS[signal][0])
        for rule in rules_of(group, "conditions", signal, context, own_mode):
            yield context, rule


def _inferred(settings: Settings, key: str, signal: Signal, mode: str) -> Iterable[tuple[str, Rule]]:
    for place, text in enumerate(settings.texts(key)):
        try:
            context, drops = parse_inferred(text, LEVELS[signal])
        except OttlSyntaxError as error:
            settings.wrong(f"{key}::{place}", str(error))
            continue
        yield context, Rule(text, drops, mode)
