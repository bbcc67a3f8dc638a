"""What a text from the platform says of itself before its signature is proved: for the log and for answers."""

import json
from typing import Any

MOST_LISTED = 2000  # commands in one snapshot


def listed(data: str) -> list[str]:
    """The signed texts in a snapshot.

    Raises:
        ValueError: It is no list, or one that no platform sends.
    """
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, list):
        raise ValueError(f"a list is expected, got {type(found).__name__}")
    if len(found) > MOST_LISTED:
        raise ValueError(f"at most {MOST_LISTED} commands are expected, got {len(found)}")
    return [json.dumps(signed) for signed in found]


def id_of(data: str) -> str:
    return str(_inside(data).get("id", "unknown"))[:80]


def version_of(data: str) -> int:
    version = _inside(data).get("version", 0)
    return version if isinstance(version, int) and not isinstance(version, bool) and 0 <= version <= 2**53 else 0


def _inside(data: str) -> dict[str, Any]:
    try:
        inside = json.loads(json.loads(data)["command"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return inside if isinstance(inside, dict) else {}
