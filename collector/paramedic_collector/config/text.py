"""The text of a Collector configuration file: YAML with references to the environment and to files.

    endpoint: ${env:PARAMEDIC_OTLP_GRPC:-localhost:4317}  --resolve--> "localhost:4317"

Grammar of the OpenTelemetry Collector: ``${env:VAR}``, ``${env:VAR:-default}``, ``${VAR}``, ``${file:path}``, and
``$$`` for a dollar sign. A value that is one reference and nothing else gets the type that YAML sees in it, and is
still the text it was where a text is wanted (a token 0123 keeps its 0); an unset variable without a default
becomes null, with a warning.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

log = logging.getLogger(__name__)

_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:(?P<scheme>[a-z]+):)?(?P<name>[^}]*?)(?::-(?P<default>[^}]*))?\}")
_VARIABLE: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A number, a truth value or null that a reference gave, and the text it was."""

    value: Any
    text: str


def unwrapped(value: Any) -> Any:
    """The value itself, also inside of maps and lists."""
    if isinstance(value, Expanded):
        return value.value
    if isinstance(value, dict):
        return {unwrapped(key): unwrapped(one) for key, one in value.items()}
    return [unwrapped(one) for one in value] if isinstance(value, list) else value


def read_yaml(text: str) -> Any:
    """The document.

    Raises:
        ValueError: It is no YAML; the message names line and column.
    """
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that does not exist is a ValueError
        raise ValueError(f"not YAML: {error}") from None
    except RecursionError:
        raise ValueError("not YAML: it is nested too deeply") from None


def resolve(value: Any, env: Mapping[str, str], mistakes: list[str], where: str = "") -> Any:
    """The document with every reference replaced; what cannot be is added to `mistakes`."""
    if isinstance(value, dict):
        return {
            key: resolve(one, env, mistakes, f"{where}::{key}" if where else str(key)) for key, one in value.items()
        }
    if isinstance(value, list):
        return [resolve(one, env, mistakes, f"{where}::{place}") for place, one in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value
    return _resolve_text(value, env, mistakes, where)


def _resolve_text(text: str, env: Mapping[str, str], mistakes: list[str], where: str) -> Any:
    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        try:
            found = _retrieved(match, env)
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
            return ""
        if found is None:
            log.warning("Configuration references unset environment variable %s (%s)", match["name"], where)
        return found or ""

    whole = _REFERENCE.fullmatch(text)
    result = _REFERENCE.sub(replaced, text)
    if whole is None or whole[0] == "$$" or whole["default"] == result == "":
        return result
    return _typed(result)


def _retrieved(match: re.Match[str], env: Mapping[str, str]) -> str | None:
    scheme, name = match["scheme"] or "env", match["name"]
    if scheme == "file":
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"unable to read the file {name}: {error}") from None
    if scheme != "env":
        raise ValueError(f'scheme "{scheme}" is not supported for uri "{match[0][2:-1]}" (valid values: [env file])')
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f'environment variable "{name}" has invalid name: must match regex ^{_VARIABLE.pattern}$')
    return env.get(name, match["default"])


def _typed(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    if isinstance(value, (str, list, dict)):
        return value if not isinstance(value, str) else text.rstrip("\n") if "\n" in text else value
    return Expanded(value, text.rstrip("\n")) if value is None or isinstance(value, (bool, int, float)) else text
