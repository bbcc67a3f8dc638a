"""The settings of one component, read one by one; what is wrong is noted with the place where it stands.

Reading goes on after a mistake, with the default, so that every mistake of a file is told at once.
"""

import re
from collections.abc import Collection
from re import Pattern
from typing import Any, Final

from paramedic_collector.config.text import Expanded, unwrapped
from paramedic_collector.process.patterns import compiled
from paramedic_collector.receive.addresses import Endpoint, parse_endpoint

ELSEWHERE: Final = "run this file with the OpenTelemetry Collector in front of `paramedic up`"
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION: Final = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)", re.ASCII)
_MOST: Final = 1 << 63


def seconds_of(text: str) -> float | None:
    """Of a Go duration ("1m30s", "200ms"); None when it is none."""
    if not _DURATION.fullmatch(text):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total


class Settings:
    """A map of settings.

    Args:
        where: Its place in the file: "receivers::otlp::protocols".
        mistakes: Takes what is wrong.
    """

    def __init__(self, where: str, values: Any, mistakes: list[str]) -> None:
        self.where, self.mistakes = where, mistakes
        values = values.value if isinstance(values, Expanded) else values
        if values is not None and not isinstance(values, dict):
            self.wrong("", f"expected a map, got {values!r}")
        self.values: dict[Any, Any] = values if isinstance(values, dict) else {}

    def wrong(self, key: str, message: str) -> None:
        self.mistakes.append(f"{self.where}::{key}: {message}" if key else f"{self.where}: {message}")

    def only(self, *keys: str, ignored: Collection[str] = (), missing: Collection[str] = ()) -> None:
        """Refuse other keys: a misspelt one would be ignored in silence.

        Args:
            ignored: Those that the embedded collector has no need to act on.
            missing: Those that only the OpenTelemetry Collector can act on.
        """
        for key in self.values:
            if key in missing:
                self.wrong("", f'the collector inside paramedic does not have the setting "{key}": {ELSEWHERE}')
            elif key not in keys and key not in ignored:
                self.wrong("", f'unknown key "{key}" (valid values: [{" ".join((*keys, *ignored))}])')

    def has(self, key: str) -> bool:
        """Whether the key is there at all, be it with null."""
        return key in self.values

    def get(self, key: str) -> Any:
        """The plain value; None when there is none."""
        return unwrapped(self.values.get(key))

    def inner(self, key: str) -> "Settings":
        return Settings(f"{self.where}::{key}", self.values.get(key), self.mistakes)

    def maps(self, key: str) -> list["Settings"]:
        """A list of maps."""
        return [
            Settings(f"{self.where}::{key}::{place}", one, self.mistakes)
            for place, one in enumerate(self._list(key, "maps"))
        ]

    def text(self, key: str, default: str = "") -> str:
        value = self.values.get(key)
        return default if value is None else self._as_text(key, value)

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._list(key, "texts")
        return tuple(self._as_text(f"{key}::{place}", one) for place, one in enumerate(found))

    def patterns(self, key: str) -> tuple[Pattern[str], ...]:
        """A list of regular expressions."""
        found = [self._compiled(f"{key}::{place}", text) for place, text in enumerate(self.texts(key))]
        return tuple(one for one in found if one is not None)

    def pattern(self, key: str) -> Pattern[str] | None:
        return self._compiled(key, self.text(key)) if self.get(key) is not None else None

    def choice(self, key: str, valid: Collection[str], default: str) -> str:
        text = self.text(key, default)
        if text not in valid:
            self.wrong(key, f"must be {', '.join(valid)}, got {text!r}")
            return default
        return text

    def truth(self, key: str, default: bool = False) -> bool:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.wrong(key, f"must be true or false, got {value!r}")
        return value if isinstance(value, bool) else default

    def whole(self, key: str, default: int = 0, *, least: int = 0) -> int:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _MOST:
            self.wrong(key, f"must be a whole number of at least {least}, got {value!r}")
            return default
        return value

    def number(self, key: str, default: float) -> float:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            self.wrong(key, f"must be a number, got {value!r}")
            return default
        return float(value)

    def seconds(self, key: str, default: float) -> float:
        """A duration; the Collector would take a bare number for nanoseconds, which nobody means."""
        value = self.values.get(key)
        if value is None:
            return default
        value = value.text if isinstance(value, Expanded) else value
        found = seconds_of(str(value))
        if found is None:
            self.wrong(key, f"must be a duration like 200ms or 1s, got {value!r}")
            return default
        return found

    def endpoint(self, default: str) -> Endpoint | None:
        setting = f"{self.where.replace('::', '.')}.endpoint in otel-config.yaml"
        try:
            return parse_endpoint(self.text("endpoint", default), setting)
        except ValueError as error:
            self.wrong("endpoint", str(error))
            return None

    def _list(self, key: str, of: str) -> list[Any]:
        value = self.values.get(key)
        value = value.value if isinstance(value, Expanded) else value
        if value is not None and not isinstance(value, list):
            self.wrong(key, f"expected a list of {of}, got {value!r}")
        return value if isinstance(value, list) else []

    def _as_text(self, key: str, value: Any) -> str:
        if isinstance(value, Expanded):
            return value.text
        if not isinstance(value, str):
            self.wrong(key, f"must be a text, got {value!r}: put it in quotes")
            return ""
        return value

    def _compiled(self, key: str, text: str) -> Pattern[str] | None:
        try:
            return compiled(text)
        except ValueError as error:
            self.wrong(key, str(error))
            return None
