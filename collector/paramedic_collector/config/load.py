"""What `otel-config.yaml` asks of the embedded collector.

    text --read_yaml, resolve--> document --check--> CollectorConfig, or every mistake at once

The grammar and, where it has them, the words are the OpenTelemetry Collector's, since the same file runs
on both. What the embedded collector lacks is refused by name: running it without a part that the file
asks for would be worse than not running. `batch` is accepted and does nothing here: windows are handed over in
process twice a second, whatever the size of what came. `memory_limiter` bounds what waits for the fold
and for its parents; above that, senders are told to come again.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from paramedic_collector.config.model import CollectorConfig, DebugExporter, Exporter, Pipeline
from paramedic_collector.config.parts import COMPONENTS, ELSEWHERE, SECTIONS, read_component
from paramedic_collector.config.text import read_yaml, resolve
from paramedic_collector.otlp import Signal

_ID: Final = re.compile(r"(?P<type>[a-zA-Z][0-9a-zA-Z_]{0,62})(?:/(?P<name>[^\s\x00-\x1f]{1,1024}))?")
_DEFAULT_MIB: Final = 512


class ConfigError(ValueError):
    """A configuration that cannot run; the message holds one line a mistake, `mistakes` the lines."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in mistakes))
        self.mistakes = mistakes


def load(path: str | os.PathLike[str], env: Mapping[str, str]) -> CollectorConfig:
    """Read and check a file.

    Raises:
        ConfigError: With every mistake in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(str(path), [f"cannot read the file: {reason}"]) from None
    return parse(text, env, name=str(path))


def parse(text: str, env: Mapping[str, str], name: str = "otel-config.yaml") -> CollectorConfig:
    """Check a configuration text; `name` is what mistakes call it."""
    mistakes: list[str] = []
    try:
        document = resolve(read_yaml(text), env, mistakes)
    except ValueError as error:
        raise ConfigError(name, [str(error)]) from None
    if not isinstance(document, dict):
        raise ConfigError(name, ["the file is empty: it needs receivers, exporters and service"])
    checked = _Check(document, mistakes)
    config = checked.config(env)
    if mistakes or config is None:
        raise ConfigError(name, mistakes)
    return config


class _Check:
    """Reads one document; what is wrong goes into `mistakes`, and reading goes on."""

    def __init__(self, document: dict[Any, Any], mistakes: list[str]) -> None:
        self._mistakes = mistakes
        for key in document:
            if key not in SECTIONS and key != "service":
                mistakes.append(f'unknown section "{key}" (valid values: [{" ".join((*SECTIONS, "service"))}])')
        self._parts = {section: self._section(section, document.get(section)) for section in SECTIONS}
        self._service = self._mapping("service", document.get("service"))

    def config(self, env: Mapping[str, str]) -> CollectorConfig | None:
        """The configuration; worth nothing when there were mistakes."""
        for section, what in (("receivers", "receiver"), ("exporters", "exporter")):
            if not self._parts[section]:
                self._mistakes.append(f"no {what} configuration specified in config")
        uses = self._pipelines()
        if self._mistakes:
            return None
        return self._built(uses, env)

    def _section(self, section: str, value: Any) -> dict[str, Any]:
        """The components of a section by id, each with what was read of it."""
        found: dict[str, Any] = {}
        for name, settings in self._mapping(section, value).items():
            match = _ID.fullmatch(str(name))
            if match is None:
                self._mistakes.append(f'{section}: "{name}" is no valid id: it must be type or type/name')
            elif match["type"] not in COMPONENTS[section]:
                self._mistakes.append(self._unknown(section, str(name), match["type"]))
            else:
                found[str(name)] = read_component(section, str(name), match["type"], settings, self._mistakes)
        return found

    def _unknown(self, section: str, name: str, kind: str) -> str:
        valid = " ".join(sorted(COMPONENTS[section])) or "none"
        return (
            f'{section}: unknown type: "{kind}" for id: "{name}" (valid values: [{valid}]); the collector inside '
            f"paramedic does not have it: {ELSEWHERE}"
        )

    def _mapping(self, where: str, value: Any) -> dict[Any, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._mistakes.append(f"{where}: expected a map, got {value!r}")
            return {}
        return value

    def _pipelines(self) -> dict[str, dict[str, list[str]]]:
        for key in self._service:
            if key not in ("pipelines", "extensions", "telemetry"):
                self._mistakes.append(f'service: unknown key "{key}" (valid values: [extensions pipelines telemetry])')
        for extension in self._service.get("extensions") or []:
            self._mistakes.append(f'service::extensions: references extension "{extension}" which is not configured')
        pipelines = self._mapping("service::pipelines", self._service.get("pipelines"))
        if not pipelines:
            self._mistakes.append("service must have at least one pipeline")
        return {str(name): self._pipeline(str(name), parts) for name, parts in pipelines.items()}

    def _pipeline(self, name: str, value: Any) -> dict[str, list[str]]:
        where, match = f"service::pipelines::{name}", _ID.fullmatch(name)
        if match is None or match["type"] not in list(Signal):
            self._mistakes.append(f'{where}: unknown signal "{name}" (valid values: [traces metrics logs])')
            return {}
        parts = self._mapping(where, value)
        for key in parts:
            if key not in ("receivers", "processors", "exporters"):
                self._mistakes.append(f'{where}: unknown key "{key}" (valid values: [receivers processors exporters])')
        sections = ("receivers", "processors", "exporters")
        return {section: self._references(where, section, parts.get(section)) for section in sections}

    def _references(self, where: str, section: str, value: Any) -> list[str]:
        one = section.removesuffix("s")
        if value is not None and not isinstance(value, list):
            self._mistakes.append(f"{where}::{section}: expected a list, got {value!r}")
            return []
        names = [str(name) for name in value or []]
        if not names and section != "processors":
            self._mistakes.append(f"{where}: must have at least one {one}")
        for name in dict.fromkeys(names):
            if name not in self._parts[section]:
                self._mistakes.append(f'{where}: references {one} "{name}" which is not configured')
            if names.count(name) > 1:
                self._mistakes.append(f'{where}: references {one} "{name}" multiple times')
        return names

    def _built(self, uses: dict[str, dict[str, list[str]]], env: Mapping[str, str]) -> CollectorConfig:
        used = dict.fromkeys(name for parts in uses.values() for name in parts["receivers"])
        limits = [self._parts["processors"][name] for parts in uses.values() for name in parts["processors"]]
        return CollectorConfig(
            receivers=tuple(self._parts["receivers"][name] for name in used),
            pipelines=tuple(_pipeline(name, parts["exporters"]) for name, parts in uses.items()),
            memory_bytes=min((one for one in limits if one), default=_DEFAULT_MIB << 20),
            keep_content=env.get("PARAMEDIC_RECORD_CONTENT", "").lower() in ("1", "true", "yes"),
        )


def _pipeline(name: str, exporters: list[str]) -> Pipeline:
    """The way of one signal; `otlp_grpc` is one with `otlp`."""
    kinds = {one: one.partition("/")[0].removesuffix("_grpc") for one in exporters}
    return Pipeline(
        name,
        Signal(name.partition("/")[0]),
        exporters=tuple[Exporter, ...](DebugExporter(one) for one, kind in kinds.items() if kind == "debug"),
        windows="otlp" in kinds.values(),
    )
