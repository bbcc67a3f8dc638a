"""The text of a Collector configuration file: YAML with references to the environment.

    endpoint: ${env:PARAMEDIC_OTLP_GRPC:-localhost:4317}  --resolve--> "localhost:4317"

Grammar of the OpenTelemetry Collector: ``${env:VAR}``, ``${env:VAR:-default}``, ``${VAR}``, and ``$$`` for a dollar
sign. A value that is one reference and nothing else gets the type that YAML sees in it; an unset
variable without a default becomes null, with a warning.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

log = logging.getLogger(__name__)

_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:(?P<scheme>[a-z]+):)?(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")


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
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from None


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
        if match["scheme"] not in (None, "env"):
            mistakes.append(f'{where}: scheme "{match["scheme"]}" is not supported (valid values: [env])')
            return ""
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", match["name"]):
            mistakes.append(f'{where}: environment variable "{match["name"]}" has invalid name')
            return ""
        found = env.get(match["name"]) or match["default"]
        if found is None:
            log.warning("Configuration references unset environment variable %s (%s)", match["name"], where)
        return found or ""

    whole = _REFERENCE.fullmatch(text)
    result = _REFERENCE.sub(replaced, text)
    return _typed(result) if whole and whole[0] != "$$" else result


def _typed(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else text
