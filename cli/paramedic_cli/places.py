"""Addresses of a demo's platform: the usual ones where they are free, so that links stay the same, else free ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paramedic_cli.ports import free_port, host_and_port, is_free

USUAL = {
    "PARAMEDIC_API": "localhost:8600",
    "PARAMEDIC_DASHBOARD": "localhost:8501",
    "PARAMEDIC_OTLP_GRPC": "localhost:4317",
    "PARAMEDIC_OTLP_HTTP": "localhost:4318",
}
NAMES = {
    "PARAMEDIC_API": "the API",
    "PARAMEDIC_DASHBOARD": "the dashboard",
    "PARAMEDIC_OTLP_GRPC": "OTLP over gRPC",
    "PARAMEDIC_OTLP_HTTP": "OTLP over HTTP",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Environment of the platform, and what a person should know about it."""

    env: Mapping[str, str]
    notes: tuple[str, ...]  # one sentence for each address that is not the usual one


def choose(free: Callable[[str], bool] = is_free, other_port: Callable[[], int] = free_port) -> Places:
    """Where a platform of our own can listen now."""
    env, notes = {}, []
    for variable, usual in USUAL.items():
        address = usual
        if not free(usual):
            address = f"localhost:{other_port()}"
            notes.append(f"{usual} is in use, so {NAMES[variable]} is at {address} this time")
        env[variable] = address
    env["PARAMEDIC_PUBLIC_URL"] = f"http://localhost:{host_and_port(env['PARAMEDIC_DASHBOARD'])[1]}"
    return Places(env, tuple(notes))
