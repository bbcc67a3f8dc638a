"""Flags, environment and file become settings, and what is wrong becomes sentences."""

from collections.abc import Mapping
from pathlib import Path

from paramedic_cli.errors import UserError
from paramedic_cli.ports import Wanted
from paramedic_detector.settings import Settings, SettingsError, load


def settings_of(flags: Mapping[str, object], env: Mapping[str, str], file: Path | None) -> Settings:
    """The settings of this start.

    Raises:
        UserError: One sentence for each thing that is unknown or out of range.
    """
    try:
        return load(flags, env, file)
    except SettingsError as error:
        raise UserError(*error.mistakes, code=2) from None


def environment_of(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """The environment with the settings on top, for what reads its own: otel-config.yaml, and children."""
    return {
        **env,
        "PARAMEDIC_DATA_DIR": str(settings.data_dir),
        "PARAMEDIC_OTLP_GRPC": str(settings.otlp_grpc),
        "PARAMEDIC_OTLP_HTTP": str(settings.otlp_http),
    }


def wanted_addresses(settings: Settings, *, with_dashboard: bool) -> list[Wanted]:
    """Where the platform will listen."""
    wanted = [
        Wanted("OTLP over gRPC", str(settings.otlp_grpc), "--otlp-grpc", "PARAMEDIC_OTLP_GRPC"),
        Wanted("OTLP over HTTP", str(settings.otlp_http), "--otlp-http", "PARAMEDIC_OTLP_HTTP"),
        Wanted("the API", str(settings.api), "--api", "PARAMEDIC_API"),
    ]
    if with_dashboard:
        wanted.append(Wanted("the dashboard", str(settings.dashboard), "--dashboard", "PARAMEDIC_DASHBOARD"))
    return wanted
