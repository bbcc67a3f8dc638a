"""What the tests with the real OpenTelemetry Collector share: where it is, and configuration files made of changes."""

import copy
import os
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BINARY = ROOT / "build/otelcol/otelcol"
CONFIG = ROOT / "otel-config.yaml"

# A machine without Go may leave it out; continuous integration builds it, and fails where it is missing.
needs_otelcol = pytest.mark.skipif(
    not BINARY.exists() and not os.environ.get("CI"), reason="the OpenTelemetry Collector is not built: make otelcol"
)


def changed(change, base=None):
    """`otel-config.yaml` with `change` merged into it; null takes a key away."""
    whole = copy.deepcopy(yaml.safe_load(CONFIG.read_text()) if base is None else base)
    for key, value in (change or {}).items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, dict) and isinstance(whole.get(key), dict):
            whole[key] = changed(value, whole[key])
        else:
            whole[key] = value
    return whole
