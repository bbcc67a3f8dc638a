"""The pipelines of a service: references that must resolve, and what each pipeline then is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paramedic_collector.config.model import OtlpExporter, Pipeline, Receiver
from paramedic_collector.config.names import type_of
from paramedic_collector.config.parts import HandOff, Part
from paramedic_collector.config.processors import Step
from paramedic_collector.config.text import unwrapped
from paramedic_collector.otlp import Signal

_SECTIONS: Final = ("receivers", "processors", "exporters")


@dataclass(slots=True)
class Pipelines:
    """Reads `service::pipelines`; what is wrong goes into `mistakes`.

    Args:
        found: The components of each section by id; a reference to any other is a mistake, but one to a
            component in `broken` was already told.
    """

    found: Mapping[str, Mapping[str, Part]]
    broken: Mapping[str, set[str]]
    mistakes: list[str]

    def read(self, given: Mapping[Any, Any]) -> tuple[Pipeline, ...]:
        if not given:
            self.mistakes.append("service must have at least one pipeline")
        uses = {str(name): self._uses(str(name), unwrapped(parts)) for name, parts in given.items()}
        known = {name: use for name, use in uses.items() if use}
        self._same_receivers(known)
        self._counted_once(known)
        return tuple(self._pipeline(name, use) for name, use in known.items())

    def _uses(self, name: str, parts: Any) -> dict[str, list[str]]:
        """The ids that a pipeline names, by section; {} when it is none of ours."""
        where = f"service::pipelines::{name}"
        try:
            Signal(type_of(name))
        except ValueError:
            self.mistakes.append(f'{where}: unknown signal "{name}" (valid values: [traces metrics logs])')
            return {}
        parts = {} if parts is None else parts
        if not isinstance(parts, dict):
            self.mistakes.append(f"{where}: expected a map, got {parts!r}")
            return {}
        for key in parts:
            if key not in _SECTIONS:
                self.mistakes.append(f'{where}: unknown key "{key}" (valid values: [{" ".join(_SECTIONS)}])')
        return {section: self._references(where, section, parts.get(section)) for section in _SECTIONS}

    def _references(self, where: str, section: str, value: Any) -> list[str]:
        one = section.removesuffix("s")
        if value is not None and not isinstance(value, list):
            self.mistakes.append(f"{where}::{section}: expected a list, got {value!r}")
            return []
        names = [str(name) for name in value or []]
        if not names and section != "processors":
            self.mistakes.append(f"{where}: must have at least one {one}")
        for name in dict.fromkeys(names):
            if name not in self.found[section] and name not in self.broken[section]:
                self.mistakes.append(f'{where}: references {one} "{name}" which is not configured')
            if names.count(name) > 1:
                self.mistakes.append(f'{where}: references {one} "{name}" multiple times')
        return [name for name in dict.fromkeys(names) if name in self.found[section]]

    def _same_receivers(self, uses: Mapping[str, Mapping[str, list[str]]]) -> None:
        """Here every receiver feeds every pipeline of its signals."""
        every = sorted({name for use in uses.values() for name in use["receivers"]})
        for name, use in uses.items():
            lacks = [one for one in every if one not in use["receivers"]]
            if lacks and use["receivers"]:
                self.mistakes.append(
                    f"service::pipelines::{name}: takes from {' '.join(sorted(use['receivers']))} but not from "
                    f"{' '.join(lacks)}: every receiver of the collector inside paramedic feeds every pipeline, "
                    "so name all of them in each"
                )

    def _counted_once(self, uses: Mapping[str, Mapping[str, list[str]]]) -> None:
        first: dict[str, str] = {}  # the pipeline of each signal that exports to paramedic
        for name, use in uses.items():
            if any(isinstance(self.found["exporters"][one], HandOff) for one in use["exporters"]):
                signal = type_of(name)
                if signal in first:
                    self.mistakes.append(
                        f"service::pipelines::{name}: exports to paramedic, as {first[signal]} does: {signal} would be "
                        "counted twice, so leave that exporter out of one of them"
                    )
                first.setdefault(signal, name)

    def _pipeline(self, name: str, use: Mapping[str, list[str]]) -> Pipeline:
        signal = Signal(type_of(name))
        exporters = [self.found["exporters"][one] for one in use["exporters"]]
        windows = any(isinstance(one, HandOff) for one in exporters)
        for one in exporters:
            if isinstance(one, OtlpExporter) and one.urls and not one.target and signal not in one.urls:
                needs = f"either endpoint or {signal}_endpoint must be specified"
                self.mistakes.append(f"service::pipelines::{name}: exporters::{one.name}: {needs}")
        steps = {one: self.found["processors"][one] for one in use["processors"]}
        return Pipeline(
            name,
            signal,
            tuple(
                step.build()
                for one, step in steps.items()
                if isinstance(step, Step) and self._fits(name, one, step, signal, windows) and step.build
            ),
            tuple(one for one in exporters if not isinstance(one, HandOff)),  # type: ignore[misc]
            windows,
        )

    def _fits(self, name: str, processor: str, step: Step, signal: Signal, windows: bool) -> bool:
        where = f"service::pipelines::{name}"
        if signal not in step.signals:
            self.mistakes.append(
                f'{where}: failed to create "{processor}" processor, in pipeline "{name}": '
                "telemetry type is not supported, or is not what its include and exclude ask about"
            )
            return False
        if windows and not step.counts_all:
            self.mistakes.append(
                f'{where}: processor "{processor}" would hide what is counted: give it a pipeline of its own, '
                "without the exporter to paramedic"
            )
            return False
        return True


def used_receivers(pipelines: Mapping[Any, Any], receivers: Mapping[str, Part]) -> tuple[Receiver, ...]:
    """Those that a pipeline names, in the order of the file."""
    parts = [unwrapped(one) for one in pipelines.values()]
    names = {str(name) for one in parts if isinstance(one, dict) for name in one.get("receivers") or []}
    return tuple(one for name, one in receivers.items() if name in names and isinstance(one, Receiver))
