"""Which web pages may send, by the `cors` settings of a receiver, with the Collector's meaning of them."""

import re
from typing import Final

from paramedic_collector.config.model import Cors

# A page may send these without being allowed to; the names are compared in lower case.
_ALWAYS: Final = {"accept", "accept-language", "content-language", "content-type", "x-requested-with"}
_LONGEST_ORIGIN: Final = 300  # a host name has 253 characters at most
_METHODS: Final = ("GET", "POST", "HEAD")
Headers = tuple[tuple[str, str], ...]


class CorsPolicy:
    """Tells a browser which pages may read the answers.

    Args:
        cors: "*" in an origin stands for any characters, alone for every page; None: no page at all.
    """

    def __init__(self, cors: Cors | None) -> None:
        self._origins = [_pattern(origin) for origin in cors.allowed_origins] if cors else []
        self._everybody = cors is not None and "*" in cors.allowed_origins
        self._headers = {name.lower() for name in cors.allowed_headers} | _ALWAYS if cors else set()
        self._max_age_s = cors.max_age_s if cors else 0

    def answer(self, origin: str) -> Headers:
        """What an answer to this page says besides; nothing when the page may not read it."""
        if not origin or not self._origins:
            return ()
        if len(origin) > _LONGEST_ORIGIN or not any(one.fullmatch(origin) for one in self._origins):
            return (("vary", "Origin"),)
        if self._everybody:
            return (("access-control-allow-origin", "*"), ("vary", "Origin"))
        allow = (("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"))
        return (*allow, ("vary", "Origin"))

    def preflight(self, origin: str, method: str, headers: str) -> Headers:
        """What a browser is told that asks whether a page may send; without `allow-origin` it may not."""
        asked = {name.strip().lower() for name in headers.split(",") if name.strip()}
        found = self.answer(origin)
        if not any(name == "access-control-allow-origin" for name, _ in found):
            return found
        if method not in _METHODS or not (asked <= self._headers or "*" in self._headers):
            return (("vary", "Origin"),)
        told = [*found, ("access-control-allow-methods", method)]
        if asked:
            told.append(("access-control-allow-headers", ", ".join(sorted(asked))))
        if self._max_age_s:
            told.append(("access-control-max-age", str(self._max_age_s)))
        return tuple(told)


def _pattern(origin: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in origin.lower().split("*")), re.IGNORECASE)
