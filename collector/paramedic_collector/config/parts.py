"""The components of `otel-config.yaml` that the embedded collector has, by section and type; old names and new ones.

Parts: text of a section --read--> Receiver, Step, Exporter, HandOff, Health or Bearer
"""

from dataclasses import dataclass, field
from typing import Any, Final

from paramedic_collector.config import exporters, extensions, processors, receivers
from paramedic_collector.config.actions import attributes
from paramedic_collector.config.conditions import filter_
from paramedic_collector.config.extensions import Bearer, Health
from paramedic_collector.config.model import Exporter, Receiver
from paramedic_collector.config.processors import Step
from paramedic_collector.config.sampling import tail_sampling
from paramedic_collector.config.settings import Settings
from paramedic_collector.process.tail_sampling import KeepTraces

HAND_OFF: Final = "paramedic"  # the name that makes an otlp exporter the in-process hand-off
TYPES: Final = {  # type: the one that reads it
    "receivers": {"otlp": "otlp"},
    "processors": {
        one: one for one in ("attributes", "batch", "filter", "memory_limiter", "redaction", "tail_sampling")
    },
    "exporters": {
        "otlp_grpc": "otlp_grpc", "otlp": "otlp_grpc", "otlp_http": "otlp_http", "otlphttp": "otlp_http",
        "file": "file", "debug": "debug",
    },
    "connectors": {},
    "extensions": {"health_check": "health_check", "bearertokenauth": "bearer_token"},
}  # fmt: skip
_PROCESSORS: Final = {
    "attributes": attributes,
    "batch": processors.batch,
    "filter": filter_,
    "memory_limiter": processors.memory_limiter,
    "redaction": processors.redaction,
}


@dataclass(frozen=True, slots=True)
class HandOff:
    """The exporter that is paramedic itself."""


Part = Receiver | Step | Exporter | HandOff | Health | Bearer


@dataclass(slots=True)
class Parts:
    """Reads components; what is wrong goes into `mistakes`."""

    mistakes: list[str]
    keep: KeepTraces
    bearers: dict[str, Bearer] = field(default_factory=dict)  # those that the service turns on

    def read(self, section: str, name: str, kind: str, values: Any) -> Part:
        """One component by its id, its type and its settings."""
        settings, reader = Settings(f"{section}::{name}", values, self.mistakes), TYPES[section][kind]
        match section:
            case "receivers":
                return receivers.otlp(name, settings, self.bearers)
            case "processors":
                return self._processor(name, reader, settings)
            case "extensions":
                health = reader == "health_check"
                return extensions.health_check(settings) if health else extensions.bearer_token(settings)
            case _:
                return self._exporter(name, reader, settings)

    def _processor(self, name: str, reader: str, settings: Settings) -> Step:
        if reader == "tail_sampling":
            return tail_sampling(name, settings, self.keep)
        return _PROCESSORS[reader](name, settings)

    def _exporter(self, name: str, reader: str, settings: Settings) -> Exporter | HandOff:
        match reader:
            case "file":
                return exporters.file(name, settings)
            case "debug":
                return exporters.debug(name, settings)
            case "otlp_http":
                return exporters.otlp_http(name, settings, self.bearers)
        if name.partition("/")[2] != HAND_OFF:
            return exporters.otlp_grpc(name, settings, self.bearers)
        exporters.hand_off(settings, self.bearers)
        return HandOff()
