"""How a bot finds its platform: the environment, else the file that the first ``paramedic up`` wrote, else none."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paramedic.contract.keys import secret_of, service_secret


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a bot's platform is, and the secret that the two share."""

    url: str  # of the API, no trailing slash
    secret: str  # of the service; see `keys`
    other_secret: str = ""  # the one before or after it, while the platform's key is being changed


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    return Path(env.get("PARAMEDIC_DATA_DIR") or Path.home() / ".local" / "state" / "paramedic")


def credentials_file(env: Mapping[str, str] = os.environ) -> Path:
    return data_dir(env) / "credentials"


def find_platform(service: str, env: Mapping[str, str] = os.environ) -> Platform | None:
    """The platform of this service's bots; None when there is none, and guards then work alone.

    PARAMEDIC_TOKEN may hold two tokens with a comma between them, while the platform's key is being changed.

    Raises:
        ValueError: PARAMEDIC_TOKEN is not this service's token, or the credentials file cannot be read.
    """
    url, token = env.get("PARAMEDIC_URL"), env.get("PARAMEDIC_TOKEN")
    if url and token:
        secret, _, other = (part.strip() for part in token.partition(","))
        return Platform(url.rstrip("/"), secret_of(secret, service), secret_of(other, service) if other else "")
    path = credentials_file(env)
    if not path.exists():
        return None
    try:
        raw = json.loads(path.read_text())
        return Platform((url or raw["url"]).rstrip("/"), service_secret(raw["master"], service))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it and start `paramedic up` again") from None


def write_credentials(path: Path, *, url: str, master: str) -> None:
    """Write the file that bots on this machine read; only this user may read it (mode 0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, "master": master}, file)
    part.replace(path)
