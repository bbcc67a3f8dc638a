"""One key for all attempts of a logical call, so that the callee can tell a repetition from a second order."""

import uuid
from collections.abc import Callable
from typing import Any

KEY_HEADER = "Idempotency-Key"

Option = Callable[..., str] | bool | None


def key_maker(whose: str, option: Option) -> Callable[..., str] | None:
    """What makes the key of a call from its arguments; None when its calls have none.

    Raises:
        TypeError: The option is neither a function nor True, False or None.
    """
    if option is True:
        return _random_key
    if option is None or option is False:
        return None
    if not callable(option):
        raise TypeError(f"idempotency_key of {whose} takes a function of the call's arguments or True, got {option!r}")
    return option


def _random_key(*_: Any, **__: Any) -> str:
    return str(uuid.uuid4())
