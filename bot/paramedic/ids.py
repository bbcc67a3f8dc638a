"""Ids of people and tenants as they may leave the process: equal ones stay equal, and nobody can read them back.

    tenant "acme" --HMAC-SHA256 under the salt--> "4be1c0..." (16 hex digits)

The salt: PARAMEDIC_ID_SALT, else the secret that this service shares with its platform, else a random one, under which
ids are equal within one process only.
"""

import hashlib
import hmac
import os
import secrets
from functools import lru_cache

SALT = "PARAMEDIC_ID_SALT"


class Salt:
    """What ids are mixed with; `use` it before the first id, as `paramedic.init` does."""

    def __init__(self) -> None:
        self._given = b""
        self._random = secrets.token_bytes(32)

    def use(self, secret: str) -> None:
        """Take the secret of this service, unless the environment names a salt."""
        self._given = secret.encode()
        safe_id.cache_clear()

    def __call__(self) -> bytes:
        return os.environ.get(SALT, "").encode() or self._given or self._random


salt = Salt()


@lru_cache(maxsize=4096)
def safe_id(raw: str) -> str:
    """An id that may be sent instead of `raw`; empty for an empty one."""
    return hmac.new(salt(), raw.encode(), hashlib.sha256).hexdigest()[:16] if raw else ""
