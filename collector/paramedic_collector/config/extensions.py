"""Extensions: `health_check`, and bearer tokens that receivers ask for and exporters show."""

from dataclasses import dataclass, field
from pathlib import Path

from paramedic_collector.config.settings import Settings
from paramedic_collector.receive.addresses import Endpoint


@dataclass(frozen=True, slots=True)
class Health:
    """Where `health_check` answers."""

    endpoint: Endpoint | None
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Tokens, the first of which an exporter shows."""

    tokens: tuple[str, ...] = field(repr=False)
    scheme: str = "Bearer"
    header: str = "Authorization"


def health_check(settings: Settings) -> Health:
    missing = ("tls", "auth", "cors", "response_body", "check_collector_pipeline", "http", "grpc", "component_health")
    settings.only("endpoint", "path", missing=missing)
    path = settings.text("path", "/")
    if not path.startswith("/"):
        settings.wrong("path", f"must begin with /, got {path!r}")
    return Health(settings.endpoint("localhost:13133"), path)


def bearer_token(settings: Settings) -> Bearer:
    settings.only(
        "token", "tokens", "filename", "scheme", "header", ignored=("retry_on_failure", "wait_for_token_file")
    )
    token, tokens, file = settings.text("token"), settings.texts("tokens"), settings.text("filename")
    if not (token or tokens or file):
        settings.wrong("", "no bearer token provided")
    if token and tokens:
        settings.wrong("", "either tokens or token should be provided, not both")
    found = _from_file(settings, file) if file else tuple(one for one in (token, *tokens) if one)
    return Bearer(found, settings.text("scheme", "Bearer"), settings.text("header", "Authorization"))


def _from_file(settings: Settings, file: str) -> tuple[str, ...]:
    """One token a line."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        settings.wrong("filename", f"cannot read the tokens in {file}: {error}")
        return ()
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        settings.wrong("filename", f"there is no token in {file}")
    return tokens
