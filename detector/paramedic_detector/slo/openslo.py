"""OpenSLO v1 files to objectives: every mistake is named at once, with its file, its field and the cure.

    slo/*.yaml --read--> Objective ...        kind: SLO is judged, kind: SLI is referred to, other kinds are left alone

What is counted stands in `metricSource` of type `paramedic`: which series, and what of them.

Source: the OpenSLO specification, v1 (github.com/OpenSLO/OpenSLO).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from paramedic_collector.windows import KEYS, SeriesKey
from paramedic_detector.slo.objectives import Measure, Objective

_SUFFIXES: Final = (".yaml", ".yml")
_FAMILIES: Final = ("op", "edge", "callee")
_COUNTS: Final = {"useful": Measure.USEFUL, "worked": Measure.WORKED}
_MEASURES: Final = {"duration": Measure.DURATION, "first_token": Measure.FIRST_TOKEN}
_UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_LONGEST_S: Final = 31 * 86_400.0
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class SloError(ValueError):
    """Files that cannot be used; one sentence for each mistake, in `mistakes`."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class _Document:
    where: str  # "chat.yaml" or "chat.yaml, document 2"
    raw: Mapping[str, Any]


@dataclass(slots=True)
class _Reading:
    """One SLO being read: what is wrong is collected, so that all of it is told together."""

    where: str
    mistakes: list[str] = field(default_factory=list)

    def wrong(self, path: str, what: str) -> None:
        self.mistakes.append(f"{self.where}: {path} {what}")


def read(folder: Path) -> tuple[Objective, ...]:
    """The objectives of all files of a folder, by name.

    Raises:
        SloError: A file cannot be read or has mistakes, or two objectives have one name.
    """
    documents, mistakes = _documents(folder)
    indicators = {
        str(one.raw["metadata"].get("name")): one.raw.get("spec")
        for one in documents
        if one.raw.get("kind") == "SLI" and isinstance(one.raw.get("metadata"), dict)
    }
    found: dict[str, Objective] = {}
    for document in documents:
        if document.raw.get("kind") != "SLO":
            continue
        reading = _Reading(document.where)
        for objective in _objectives(document.raw, indicators, reading):
            if objective.name in found:
                other = found[objective.name].source
                reading.wrong("metadata.name", f"{objective.name!r} is taken by {other}; every name may stand once")
            found[objective.name] = objective
        mistakes += reading.mistakes
    if mistakes:
        raise SloError(mistakes)
    return tuple(found[name] for name in sorted(found))


def _documents(folder: Path) -> tuple[list[_Document], list[str]]:
    documents: list[_Document] = []
    mistakes: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES):
        try:
            found = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            mistakes.append(f"{path.name} cannot be read: {' '.join(str(error).split())}")
            continue
        for number, raw in enumerate(found, 1):
            where = path.name if len(found) == 1 else f"{path.name}, document {number}"
            if raw is None:
                continue
            if not isinstance(raw, dict) or raw.get("apiVersion") != "openslo/v1":
                said = raw.get("apiVersion") if isinstance(raw, dict) else raw
                mistakes.append(f"{where}: apiVersion must be openslo/v1, got {said!r}")
            else:
                documents.append(_Document(where, raw))
    return documents, mistakes


def _objectives(raw: Mapping[str, Any], indicators: Mapping[str, Any], reading: _Reading) -> Iterator[Objective]:
    metadata, spec = _mapping(raw, "metadata", reading), _mapping(raw, "spec", reading)
    name = str(metadata.get("name", ""))
    if not _NAME.fullmatch(name):
        reading.wrong("metadata.name", f"must be lower-case letters, digits and dashes, at most 63, got {name!r}")
    service = str(spec.get("service") or "")
    if not service:
        reading.wrong("spec.service", "is missing; it names whose calls these are, as service.name says it")
    if (method := spec.get("budgetingMethod", "Occurrences")) != "Occurrences":
        reading.wrong(
            "spec.budgetingMethod", f"must be Occurrences: calls are counted, not slices of time; got {method!r}"
        )
    window_s = _window_s(spec, reading)
    indicator = _indicator(spec, indicators, reading)
    wanted = spec.get("objectives")
    if not isinstance(wanted, list) or not wanted:
        reading.wrong("spec.objectives", f"must be a list with at least one objective, got {wanted!r}")
        return
    if reading.mistakes:
        indicator = None
    for number, one in enumerate(wanted):
        path = f"spec.objectives[{number}]"
        if not isinstance(one, dict):
            reading.wrong(path, f"must be a mapping, got {one!r}")
            continue
        target = _target(one, path, reading)
        counted = _counted(indicator, one, path, service, reading) if indicator is not None else None
        if target is None or counted is None:
            continue
        series, measure, at_most_s = counted
        yield Objective(
            name=name if len(wanted) == 1 else f"{name}-{number + 1}",
            service=service,
            series=series,
            measure=measure,
            target=target,
            at_most_s=at_most_s,
            window_s=window_s,
            title=str(one.get("displayName") or metadata.get("displayName") or ""),
            source=reading.where,
        )


def _mapping(raw: Mapping[str, Any], name: str, reading: _Reading) -> Mapping[str, Any]:
    found = raw.get(name)
    if isinstance(found, dict):
        return found
    reading.wrong(name, f"must be a mapping, got {found!r}")
    return {}


def _window_s(spec: Mapping[str, Any], reading: _Reading) -> float:
    windows = spec.get("timeWindow") or [{"duration": "30d", "isRolling": True}]
    if not isinstance(windows, list) or len(windows) != 1 or not isinstance(windows[0], dict):
        reading.wrong("spec.timeWindow", f"must be a list of one window, got {windows!r}")
        return 0.0
    if windows[0].get("isRolling", True) is not True or "calendar" in windows[0]:
        reading.wrong("spec.timeWindow[0]", "must be rolling; calendar windows are not offered")
    duration = str(windows[0].get("duration", ""))
    match = re.fullmatch(r"(\d+)([mhdw])", duration)
    window_s = int(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 3600.0 <= window_s <= _LONGEST_S:
        reading.wrong("spec.timeWindow[0].duration", f"must be from 1h to 31d, such as 30d, got {duration!r}")
    return window_s


def _indicator(spec: Mapping[str, Any], indicators: Mapping[str, Any], reading: _Reading) -> Mapping[str, Any] | None:
    """The spec of the SLI, inline or referred to."""
    if name := spec.get("indicatorRef"):
        if name not in indicators:
            known = ", ".join(sorted(indicators)) or "none"
            reading.wrong("spec.indicatorRef", f"names no SLI of these files: {name!r}; there are: {known}")
            return None
        found = indicators[name]
    else:
        inline = spec.get("indicator")
        found = inline.get("spec") if isinstance(inline, dict) else None
    if not isinstance(found, dict) or not ("ratioMetric" in found) ^ ("thresholdMetric" in found):
        reading.wrong("spec.indicator", "must have a spec with either ratioMetric or thresholdMetric")
        return None
    return found


def _target(one: Mapping[str, Any], path: str, reading: _Reading) -> float | None:
    said = one.get("target", one.get("targetPercent"))
    target = said / 100 if "target" not in one and isinstance(said, int | float) else said
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        reading.wrong(
            f"{path}.target", f"must be above 0 and below 1, such as 0.99 (or targetPercent 99), got {said!r}"
        )
        return None
    return float(target)


def _counted(
    indicator: Mapping[str, Any], one: Mapping[str, Any], path: str, service: str, reading: _Reading
) -> tuple[SeriesKey, Measure, float | None] | None:
    if "ratioMetric" in indicator:
        ratio = indicator["ratioMetric"]
        good = ratio.get("good") if isinstance(ratio, dict) else None
        source = _source(good, "spec.indicator.spec.ratioMetric.good", reading)
        if source is None:
            return None
        measure = _one_of(source.get("count"), _COUNTS, "spec.indicator.spec.ratioMetric.good count", reading)
        series = _series(source, service, reading)
        return (series, measure, None) if series and measure else None
    metric = indicator["thresholdMetric"]
    source = _source(metric, "spec.indicator.spec.thresholdMetric", reading)
    if source is None:
        return None
    measure = _one_of(source.get("measure"), _MEASURES, "spec.indicator.spec.thresholdMetric measure", reading)
    series, at_most_s = _series(source, service, reading), one.get("value")
    if one.get("op", "lte") not in ("lte", "lt"):
        reading.wrong(f"{path}.op", f"must be lte or lt: a call is good when it is quick; got {one.get('op')!r}")
    if isinstance(at_most_s, bool) or not isinstance(at_most_s, int | float) or not 0 < at_most_s < 256:
        reading.wrong(f"{path}.value", f"must be seconds above 0 and below 256, got {at_most_s!r}")
        return None
    return (series, measure, float(at_most_s)) if series and measure else None


def _source(metric: Any, path: str, reading: _Reading) -> Mapping[str, Any] | None:
    source = metric.get("metricSource") if isinstance(metric, dict) else None
    if not isinstance(source, dict) or not isinstance(source.get("spec"), dict):
        reading.wrong(f"{path}.metricSource", "must have type: paramedic and a spec")
        return None
    if source.get("type", "paramedic") != "paramedic":
        reading.wrong(f"{path}.metricSource.type", f"must be paramedic, got {source['type']!r}; others are not asked")
        return None
    spec: Mapping[str, Any] = source["spec"]
    return spec


def _one_of(said: Any, known: Mapping[str, Measure], path: str, reading: _Reading) -> Measure | None:
    if said in known:
        return known[said]
    reading.wrong(path, f"must be one of {', '.join(known)}, got {said!r}")
    return None


def _series(source: Mapping[str, Any], service: str, reading: _Reading) -> SeriesKey | None:
    """The pattern of series: what is not said matches anything, and whose calls they are is known."""
    family = source.get("family", "op")
    if family not in _FAMILIES:
        reading.wrong("metricSource.spec.family", f"must be one of {', '.join(_FAMILIES)}, got {family!r}")
        return None
    names = KEYS[family]
    whose = {"op": {"service": service, "kind": "server"}, "edge": {"caller": service}, "callee": {"callee": service}}
    said = {key: value for key, value in source.items() if key not in ("family", "count", "measure")}
    for key in said:
        if key not in names:
            reading.wrong(f"metricSource.spec.{key}", f"is no part of {family}; there are {', '.join(names)}")
            return None
    parts = whose[family] | {key: str(value) for key, value in said.items()}
    return SeriesKey(family, tuple(parts.get(name, "*") for name in names))
