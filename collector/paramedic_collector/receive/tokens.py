"""Bearer tokens, the same over HTTP and gRPC: `authorization: Bearer TOKEN`."""

import hmac

_PREFIX = "bearer "


class Tokens:
    """Compares in constant time, so that the time of a refusal tells nothing about a token.

    Args:
        tokens: Those that are good; none: everybody may send.
    """

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = [token.encode() for token in tokens]

    def why_not(self, authorization: str) -> str:
        """Why this header does not let its sender in; "" when it does."""
        if not self._tokens:
            return ""
        if not authorization:
            return "this collector takes telemetry with a token only: send the header 'authorization: Bearer TOKEN'"
        if authorization[: len(_PREFIX)].lower() != _PREFIX:
            return "the authorization header is not of the form 'Bearer TOKEN'"
        shown = authorization[len(_PREFIX) :].strip().encode("utf-8", "replace")
        good = [hmac.compare_digest(shown, token) for token in self._tokens]  # all of them, however early one fits
        return "" if any(good) else "the token in the authorization header is not one that this collector knows"
