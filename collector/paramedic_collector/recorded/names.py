"""Operations out of span names that carry ids: each id would be a series of its own.

GET /users/42/orders?page=2 -> GET /users/<n>/orders
"""

import re
from typing import Final

_MASKS: Final = (
    (re.compile(r"(?<=/)([^?\s]*)\?\S*"), r"\1"),  # the query of a path
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"(?<![0-9a-zA-Z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{16,}(?![0-9a-zA-Z])"), "<id>"),
    (re.compile(r"(?<=/)[0-9]+(?=[/\s?#]|$)"), "<n>"),  # a part of a path
)


def operation_of(name: str) -> str:
    """The name without what stands for one thing alone: ids, numbers in a path, queries."""
    for pattern, mask in _MASKS:
        name = pattern.sub(mask, name)
    return name
