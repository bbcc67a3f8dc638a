"""Settings of a platform: flags > environment > paramedic.yaml > defaults, read once, at start.

    flags --api :0 | PARAMEDIC_API | api: in paramedic.yaml | localhost:8600  -->  Settings (frozen)

A setting has one name: `public_url` in the file, PARAMEDIC_PUBLIC_URL in the environment, --public-url as a
flag. What is wrong is wrong at start or not at all: all mistakes are told together, one sentence each.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from paramedic.contract.credentials import data_dir

FILE = "paramedic.yaml"
PREFIX = "PARAMEDIC_"
# Read by other parts of paramedic; no setting of the platform, and no misspelling of one.
OTHERS = frozenset(
    PREFIX + name
    for name in (
        *("URL", "TOKEN", "SERVICE", "ZONE", "VERSION", "DISABLED", "RECORD_CONTENT"),
        *("CONFIG", "OTLP", "API_URL", "OPERATOR_TOKEN", "OPERATOR_NAME"),
    )
)


class SettingsError(ValueError):
    """One sentence per mistake, in `mistakes`; all of them at once."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with the values that make `paramedic up` work as it is."""

    data_dir: Path
    api: Address = Address("localhost", 8600)
    dashboard: Address = Address("localhost", 8501)
    public_url: str = "http://localhost:8501"  # of the dashboard, as people reach it; stands in every notification
    slack_webhook_url: str = ""  # a secret: whoever has it can post
    store: str = ""  # SQLAlchemy URL; empty for SQLite in `data_dir`
    otlp_grpc: Address = Address("localhost", 4317)
    otlp_http: Address = Address("localhost", 4318)
    policy: Path | None = None  # None for the one in the package
    slo: Path | None = None  # folder of OpenSLO files; without one every service that users reach gets an objective

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite:///{self.data_dir / 'paramedic.db'}"

    def __repr__(self) -> str:
        """Without the secrets, so that a log line cannot leak them."""
        return f"Settings(data_dir={str(self.data_dir)!r}, api={str(self.api)!r}, public_url={self.public_url!r})"


NAMES = tuple(field.name for field in fields(Settings))


def load(flags: Mapping[str, object], env: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings of this start.

    Args:
        flags: By setting name; None for a flag that was not given.
        env: The environment.
        file: The configuration file; None for PARAMEDIC_CONFIG, else paramedic.yaml here when there is one.

    Raises:
        SettingsError: Something is unknown or out of range; every mistake is named.
    """
    mistakes: list[str] = []
    layers = [_from_file(file, env, mistakes), _from_env(env, mistakes), _from_flags(flags, mistakes)]
    merged = {name: said for layer in layers for name, said in layer.items()}
    merged.setdefault("data_dir", (str(data_dir(env)), "the default data_dir"))
    values = {}
    for name, (raw, where) in merged.items():
        try:
            values[name] = READERS[name](raw)
        except ValueError as error:
            mistakes.append(f"{where} {error}")
    if mistakes:
        raise SettingsError(mistakes)
    return Settings(**values)


_Layer = dict[str, tuple[str, str]]


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"must be HOST:PORT with a port from 0 to 65535, got {text!r}")
    return Address(host.strip("[]") or "localhost", int(port))


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = f"{parts.scheme or 'no scheme'}://{parts.hostname or ''}"  # the path may be a secret
        raise ValueError(f"must be a web address that starts with http:// or https://, got {shown!r}")
    return text.rstrip("/")


def _webhook(text: str) -> str:
    return _web_address(text) if text else ""


def _store(text: str) -> str:
    try:
        backend = make_url(text).get_backend_name() if text else "sqlite"
    except ArgumentError:
        backend = "something that is not a URL"
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"must be a sqlite:/// or postgresql:// URL, got {backend}")
    return text


def _existing_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(f"names a file that does not exist: {text!r}")
    return path


def _existing_folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ValueError(f"names a folder that does not exist: {text!r}")
    return path


def _folder(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError(f"must be a folder, and {text!r} is a file")
    return path


READERS: dict[str, Callable[[str], Any]] = {
    "data_dir": _folder,
    "api": _address,
    "dashboard": _address,
    "public_url": _web_address,
    "slack_webhook_url": _webhook,
    "store": _store,
    "otlp_grpc": _address,
    "otlp_http": _address,
    "policy": _existing_file,
    "slo": _existing_folder,
}


def _from_flags(flags: Mapping[str, object], mistakes: list[str]) -> _Layer:
    layer: _Layer = {}
    for name, value in flags.items():
        where = "--" + name.replace("_", "-")
        if name not in NAMES:
            mistakes.append(_unknown(where, name, "--", NAMES))
        elif value is not None:
            layer[name] = (str(value), where)
    return layer


def _from_env(env: Mapping[str, str], mistakes: list[str]) -> _Layer:
    """A variable that only resembles a setting is a mistake; one of somebody else's is not ours to judge."""
    layer: _Layer = {}
    ours = {PREFIX + name.upper(): name for name in NAMES}
    for key, value in env.items():
        if key in ours:
            if value:
                layer[ours[key]] = (value, key)
        elif key.startswith(PREFIX) and key not in OTHERS:
            near = difflib.get_close_matches(key, ours, n=1, cutoff=0.87)
            if near:
                mistakes.append(f"{key} is not a setting; did you mean {near[0]}?")
    return layer


def _from_file(file: Path | None, env: Mapping[str, str], mistakes: list[str]) -> _Layer:
    named = file or (Path(env["PARAMEDIC_CONFIG"]) if env.get("PARAMEDIC_CONFIG") else None)
    path = named or Path(FILE)
    if not path.is_file():
        if named is not None:
            mistakes.append(f"the configuration file {str(named)!r} does not exist")
        return {}
    try:
        raw = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mistakes.append(f"{path} cannot be read: {' '.join(str(error).split())}")
        return {}
    if not isinstance(raw, dict):
        mistakes.append(f"{path} must be a mapping of settings, got {type(raw).__name__}")
        return {}
    mistakes += [_unknown(f"{path}: {key}", str(key), "", NAMES) for key in raw if key not in NAMES]
    return {k: (str(v), f"{path}: {k}") for k, v in raw.items() if k in NAMES and v is not None}


def _unknown(where: str, name: str, prefix: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {prefix}{near[0]}?" if near else f"known are: {', '.join(known)}"
    return f"{where} is not a setting; {hint}"
