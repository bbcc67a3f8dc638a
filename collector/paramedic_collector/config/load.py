"""What `otel-config.yaml` asks of the embedded collector.

    text --read_yaml, resolve--> document --_Check--> CollectorConfig, or every mistake at once

The grammar and, where it has them, the words are the OpenTelemetry Collector's, since the same file runs
on both. What the embedded collector lacks is refused by name: running it without a part that the file
asks for would be worse than not running.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paramedic_collector.config.extensions import Bearer, Health
from paramedic_collector.config.model import MEMORY_BYTES, CollectorConfig
from paramedic_collector.config.names import type_of
from paramedic_collector.config.parts import TYPES, Part, Parts
from paramedic_collector.config.pipelines import Pipelines, used_receivers
from paramedic_collector.config.processors import Step
from paramedic_collector.config.settings import ELSEWHERE
from paramedic_collector.config.text import read_yaml, resolve, unwrapped
from paramedic_collector.process.tail_sampling import KeepTraces


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
    if not document or not isinstance(document, dict):
        raise ConfigError(name, ["empty configuration file: it needs receivers, exporters and service"])
    config = _Check(document, mistakes).config(env)
    if mistakes:
        raise ConfigError(name, list(dict.fromkeys(mistakes)))
    return config


class _Check:
    """Reads one document; what is wrong goes into `mistakes`, and reading goes on."""

    def __init__(self, document: dict[Any, Any], mistakes: list[str]) -> None:
        self._document, self._mistakes = document, mistakes
        for key in document:
            if key not in TYPES and key != "service":
                mistakes.append(f'unknown section "{key}" (valid values: [{" ".join((*TYPES, "service"))}])')
        self._service = self._mapping("service", document.get("service"))
        self._parts = Parts(mistakes, KeepTraces())
        self._broken: dict[str, set[str]] = {section: set() for section in TYPES}

    def config(self, env: Mapping[str, str]) -> CollectorConfig:
        """The configuration; worth nothing when there were mistakes."""
        for section, what in (("receivers", "receiver"), ("exporters", "exporter")):
            if not self._document.get(section):
                self._mistakes.append(f"no {what} configuration specified in config")
        extensions = self._turned_on(self._section("extensions"))
        self._parts.bearers |= {name: one for name, one in extensions.items() if isinstance(one, Bearer)}
        found = {section: self._section(section) for section in TYPES if section != "extensions"}
        given = self._mapping("service::pipelines", self._service.get("pipelines"))
        pipelines = Pipelines(found, self._broken, self._mistakes).read(given)
        health = next((one for one in extensions.values() if isinstance(one, Health)), Health(None))
        limit_bytes, spike_bytes = self._memory_limit(given, found["processors"])
        return CollectorConfig(
            receivers=used_receivers(given, found["receivers"]),
            pipelines=pipelines,
            health=health.endpoint,
            health_path=health.path,
            keep_content=env.get("PARAMEDIC_RECORD_CONTENT", "").lower() in ("1", "true", "yes"),
            keep_traces=self._parts.keep,
            memory_bytes=limit_bytes,
            memory_spike_bytes=spike_bytes,
        )

    def _section(self, section: str) -> dict[str, Part]:
        """The components of a section by id, each with what was read of it."""
        found: dict[str, Part] = {}
        for key, settings in self._mapping(section, self._document.get(section)).items():
            name = str(unwrapped(key))
            try:
                kind = type_of(name)
            except ValueError as error:
                self._mistakes.append(f"{section}: {error}")
                self._broken[section].add(name)
                continue
            if kind in TYPES[section]:
                found[name] = self._parts.read(section, name, kind, settings)
            else:
                self._mistakes.append(self._unknown(section, name, kind))
                self._broken[section].add(name)
        return found

    def _unknown(self, section: str, name: str, kind: str) -> str:
        valid = " ".join(sorted(TYPES[section])) or "none"
        return (
            f'{section}: unknown type: "{kind}" for id: "{name}" (valid values: [{valid}]); the collector inside '
            f"paramedic does not have it: {ELSEWHERE}"
        )

    def _mapping(self, where: str, value: Any) -> dict[Any, Any]:
        if unwrapped(value) is None:
            return {}
        if not isinstance(value, dict):
            self._mistakes.append(f"{where}: expected a map, got {unwrapped(value)!r}")
            return {}
        return value

    def _turned_on(self, configured: dict[str, Part]) -> dict[str, Part]:
        """The extensions that the service names; the others do nothing."""
        for key in self._service:
            if key not in ("pipelines", "extensions", "telemetry"):
                self._mistakes.append(f'service: unknown key "{key}" (valid values: [extensions pipelines telemetry])')
        names = unwrapped(self._service.get("extensions")) or []
        if not isinstance(names, list):
            self._mistakes.append(f"service::extensions: expected a list, got {names!r}")
            return {}
        for name in dict.fromkeys(map(str, names)):
            if name not in configured and name not in self._broken["extensions"]:
                self._mistakes.append(f'service::extensions: references extension "{name}" which is not configured')
        return {name: configured[name] for name in map(str, names) if name in configured}

    def _memory_limit(self, pipelines: dict[Any, Any], processors: dict[str, Part]) -> tuple[int, int]:
        """Bytes of the smallest `memory_limiter` that a pipeline names, and of its spike."""
        parts = [unwrapped(one) for one in pipelines.values()]
        names = {str(name) for one in parts if isinstance(one, dict) for name in one.get("processors") or []}
        steps = [one for name, one in processors.items() if name in names and isinstance(one, Step)]
        found = [(one.memory_bytes, one.spike_bytes) for one in steps if one.memory_bytes]
        return min(found, default=(MEMORY_BYTES, 0))
