"""The policy file: read, checked, defaults filled in. All mistakes are named at once, one sentence each."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from paramedic.contract.command import LONGEST_LEASE_S, ActionKind
from paramedic_detector.diagnosis.taxonomy import KINDS, unknown_keys

_MODES: Final = ("off", "shadow", "approve", "auto")
_DEFAULTS: Final[dict[str, Any]] = {"mode": "approve", "ttl_s": 30.0, "probe_share": 0.2}
_GATES: Final[dict[str, Any]] = {"act": 0.9, "ask": 0.7}
_RULE: Final = ("name", "fault_class", "kind", "target", "treatments", *_DEFAULTS)
_KINDS: Final = tuple(kind.value for kind in ActionKind if kind is not ActionKind.CLEAR)


def read_policy(path: Path | None) -> dict[str, Any]:
    """The policy with gates, defaults and rules.

    Raises:
        ValueError: The file cannot be read or has mistakes; the message has one line for each.
    """
    where = str(path) if path else "policy.yaml"
    try:
        text = path.read_text() if path else (files("paramedic_detector") / "data" / "policy.yaml").read_text()
        raw = yaml.safe_load(text)
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    mistakes = _mistakes(raw)
    if mistakes:
        raise ValueError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
    gates, defaults = {**_GATES, **raw.get("gates", {})}, {**_DEFAULTS, **raw.get("defaults", {})}
    defaults["mode"] = _mode(defaults["mode"])
    rules = [{**rule, "mode": _mode(rule.get("mode", defaults["mode"]))} for rule in raw["rules"]]
    return {"gates": gates, "defaults": defaults, "rules": rules}


def _mode(value: Any) -> Any:
    """YAML reads a bare `off` as False."""
    return "off" if value is False else value


def _mistakes(raw: Any) -> list[str]:
    if not isinstance(raw, dict) or not isinstance(raw.get("rules"), list):
        return ["rules must be a list of rules"]
    found = unknown_keys("", raw, ("version", "gates", "defaults", "rules"))
    gates, defaults = raw.get("gates", {}), raw.get("defaults", {})
    for name, part, known in (("gates", gates, tuple(_GATES)), ("defaults", defaults, tuple(_DEFAULTS))):
        if not isinstance(part, dict):
            return [*found, f"{name} must be a mapping, got {part!r}"]
        found += unknown_keys(f"{name}.", part, known)
    found += [_range(f"gates.{name}", gates[name], 0, 1) for name in _GATES if name in gates]
    if not any(found) and {**_GATES, **gates}["ask"] > {**_GATES, **gates}["act"]:
        found.append("gates.ask must not be above gates.act")
    found += _numbers("defaults", defaults)
    for place, rule in enumerate(raw["rules"]):
        found += _rule_mistakes(f"rules[{place}]", rule)
    names = [rule["name"] for rule in raw["rules"] if isinstance(rule, dict) and "name" in rule]
    found += [f"rules: two are called {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]
    return [mistake for mistake in found if mistake]


def _rule_mistakes(where: str, rule: Any) -> list[str]:
    if not isinstance(rule, dict):
        return [f"{where} must be a mapping, got {rule!r}"]
    where = f"{where} ({rule['name']})" if "name" in rule else where
    found = unknown_keys(f"{where}.", rule, _RULE)
    found += [f"{where}.{name} is missing" for name in ("name", "fault_class") if not isinstance(rule.get(name), str)]
    if rule.get("fault_class") == "unknown":
        found.append(f"{where}.fault_class must not be 'unknown': what is not known is never treated")
    if rule.get("kind", "") not in ("", *KINDS):
        found.append(f"{where}.kind must be one of {', '.join(KINDS)}, got {rule['kind']!r}")
    found += _numbers(where, rule)
    treatments = rule.get("treatments", [])
    if not isinstance(treatments, list):
        return [*found, f"{where}.treatments must be a list, got {treatments!r}"]
    for place, treatment in enumerate(treatments):
        found += _treatment_mistakes(f"{where}.treatments[{place}]", treatment)
    if not treatments and _mode(rule.get("mode")) not in ("off",):
        found.append(f"{where} has no treatments; give some, or set mode: off")
    return found


def _treatment_mistakes(where: str, treatment: Any) -> list[str]:
    if not isinstance(treatment, dict):
        return [f"{where} must be like {{kind: failover}}, got {treatment!r}"]
    found = unknown_keys(f"{where}.", treatment, ("kind", "parameters"))
    if treatment.get("kind") not in _KINDS:
        found.append(f"{where}.kind must be one of {', '.join(_KINDS)}, got {treatment.get('kind')!r}")
    if not isinstance(treatment.get("parameters", {}), dict):
        found.append(f"{where}.parameters must be a mapping, got {treatment['parameters']!r}")
    return found


def _numbers(where: str, raw: dict[str, Any]) -> list[str]:
    found = []
    if "mode" in raw and _mode(raw["mode"]) not in _MODES:
        found.append(f"{where}.mode must be one of {', '.join(_MODES)}, got {raw['mode']!r}")
    limits = {"ttl_s": (1, LONGEST_LEASE_S), "probe_share": (0, 1)}
    for name, (low, high) in limits.items():
        if name in raw:
            found.append(_range(f"{where}.{name}", raw[name], low, high))
    return found


def _range(where: str, value: Any, low: float, high: float) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return ""
    return f"{where} must be between {low:g} and {high:g}, got {value!r}"
