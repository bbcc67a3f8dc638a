"""The settings of `attributes`: actions, and what `include` and `exclude` mean."""

from collections.abc import Callable
from typing import Any, Final

from paramedic_collector.config.processors import Step
from paramedic_collector.config.settings import Settings
from paramedic_collector.otlp import Signal
from paramedic_collector.process.attributes import Action, Attributes
from paramedic_collector.process.match import KINDS, PROPERTIES, Attribute, Match, strict
from paramedic_collector.process.patterns import compiled
from paramedic_collector.process.values import text_of

_KEYS: Final = ("key", "action", "value", "from_attribute", "default_value", "pattern", "converted_type")
_WRITES: Final = ("insert", "update", "upsert")
_MAY_USE: Final = {
    **{kind: {"value", "from_attribute", "default_value"} for kind in _WRITES},
    "delete": {"pattern"},
    "hash": {"pattern"},
    "extract": {"pattern"},
    "convert": {"converted_type"},
}
_TEXTS: Final = ("services", "span_names", "span_kinds", "metric_names", "log_bodies", "log_severity_texts")


def attributes(name: str, settings: Settings) -> Step:
    settings.only("actions", "include", "exclude")
    actions = tuple(_action(place, one) for place, one in enumerate(settings.maps("actions")))
    if not actions and not isinstance(settings.get("actions"), str):
        settings.wrong("", 'missing required field "actions"')
    include, exclude = _match(settings, "include"), _match(settings, "exclude")
    asked = {one for match in (include, exclude) if match for one in match.asks()}
    signals = tuple(signal for signal in Signal if asked <= set(PROPERTIES[signal]))
    return Step(build=lambda: Attributes(name, actions, include, exclude), signals=signals)


def _action(place: int, one: Settings) -> Action:
    one.only(*_KEYS, missing=("from_context",))
    kind, key = one.text("action").lower(), one.text("key")
    if kind not in _MAY_USE:
        one.wrong(
            "",
            f'error with key "{key}" ({place}-th action): error creating AttrProc due to unsupported action "{kind}"',
        )
        return Action("delete")
    _check(place, one, kind, key)
    pattern = one.pattern("pattern")
    if kind == "extract" and pattern is not None:
        named = len(pattern.groupindex)
        if not pattern.groups:
            _wrong(place, one, 'Field "pattern" contains no named matcher groups')
        elif named < pattern.groups:
            _wrong(place, one, 'Field "pattern" contains at least one unnamed matcher group')
    return Action(
        kind,
        key,
        value=one.get("value"),
        from_attribute=one.text("from_attribute"),
        default=one.get("default_value"),
        pattern=pattern,
        converted_type=one.text("converted_type"),
    )


def _check(place: int, one: Settings, kind: str, key: str) -> None:
    if kind in ("delete", "hash") and not key and not one.text("pattern"):
        _wrong(place, one, 'missing required field (at least one of "key" and "pattern" have to be used)')
    elif not key and kind not in ("delete", "hash"):
        _wrong(place, one, 'missing required field "key"')
    for field in ("value", "from_attribute", "default_value", "pattern", "converted_type"):
        if one.get(field) is not None and field not in _MAY_USE[kind]:
            _wrong(place, one, f'Action "{kind}" does not use the "{field}" field. This must not be specified')
    if kind in _WRITES and all(one.get(field) is None for field in _MAY_USE[kind]):
        _wrong(
            place, one, 'Either field "value", "from_attribute", "from_context", or "default_value" must be specified'
        )
    if kind in _WRITES and one.get("value") is not None and one.get("from_attribute") is not None:
        _wrong(place, one, "due to multiple value sources being set")
    for field, needed_by in (("pattern", "extract"), ("converted_type", "convert")):
        if kind == needed_by and not one.text(field):
            _wrong(place, one, f'due to missing required field "{field}" for action "{kind}"')
    if kind == "convert" and one.text("converted_type") not in ("", "int", "double", "string"):
        wrong = one.text("converted_type")
        _wrong(place, one, f'due to invalid value "{wrong}" in field "converted_type" for action "{kind}"')


def _wrong(place: int, one: Settings, message: str) -> None:
    one.wrong("", f'error with key "{one.text("key")}" ({place}-th action): error creating AttrProc. {message}')


def _match(settings: Settings, key: str) -> Match | None:
    if settings.get(key) is None:
        return None
    given = settings.inner(key)
    given.only(
        "match_type",
        *_TEXTS,
        "attributes",
        "resources",
        ignored=("regexp",),
        missing=("libraries", "log_severity_number"),
    )
    regexp = given.choice("match_type", ("strict", "regexp"), "strict") == "regexp"
    if given.get("match_type") is None:
        given.wrong("", 'error creating matcher: "match_type" is required')
    if not any(given.get(name) for name in (*_TEXTS, "attributes", "resources")):
        given.wrong("", f"at least one of {', '.join((*_TEXTS, 'attributes', 'resources'))} must be specified")
    for kind in given.texts("span_kinds") if not regexp else ():
        if kind.removeprefix("SPAN_KIND_") not in KINDS:
            given.wrong(
                "span_kinds",
                f"unknown span kind {kind!r} (valid values: [{' '.join(f'SPAN_KIND_{one}' for one in KINDS)}])",
            )
    texts = {name: tuple(_text_tests(given, name, regexp)) for name in _TEXTS if given.get(name)}
    return Match(texts, _attributes(given, "attributes", regexp), _attributes(given, "resources", regexp))


def _text_tests(given: Settings, name: str, regexp: bool) -> list[Callable[[str], bool]]:
    if regexp:
        return [lambda text, pattern=pattern: pattern.search(text) is not None for pattern in given.patterns(name)]  # type: ignore[misc]
    return [wanted.__eq__ for wanted in given.texts(name)]


def _attributes(given: Settings, name: str, regexp: bool) -> tuple[Attribute, ...]:
    found = []
    for one in given.maps(name):
        one.only("key", "value")
        if not one.text("key"):
            one.wrong("", "error creating processor. Can't have empty key in the list of attributes")
        found.append(Attribute(one.text("key"), _value_test(one, regexp)))
    return tuple(found)


def _value_test(one: Settings, regexp: bool) -> Callable[[Any], bool] | None:
    value = one.get("value")
    if value is None:
        return None
    if not regexp:
        return strict(value)
    try:
        pattern = compiled(one.text("value"))
    except ValueError as error:
        one.wrong("value", str(error))
        return None
    return lambda held: pattern.search(text_of(held)) is not None
