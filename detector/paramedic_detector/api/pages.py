"""Pages of a list, newest first: a cursor is the number of the last item, in a form that nobody does sums with."""

import base64
import binascii
from typing import Annotated

from fastapi import HTTPException, Query
from pydantic import BaseModel

from paramedic_detector.api.schemas import ActionOut, IncidentSummary

Limit = Annotated[int, Query(ge=1, le=200, description="items a page")]
Cursor = Annotated[str | None, Query(max_length=40, description="`next` of the page before")]


class IncidentPage(BaseModel):
    items: list[IncidentSummary]
    next: str | None


class ActionPage(BaseModel):
    items: list[ActionOut]
    next: str | None


def cursor_of(number: int) -> str:
    return base64.urlsafe_b64encode(f"n{number}".encode()).decode().rstrip("=")


def number_at(cursor: str | None) -> int | None:
    """The number that a cursor stands for; a page holds what is below it."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if text[:1] == "n" and text[1:].isascii() and text[1:].isdigit():
            return min(int(text[1:]), 2**31)
    except (ValueError, binascii.Error, UnicodeDecodeError):
        pass
    raise HTTPException(422, f"cursor: {cursor!r} is not the `next` of a page")


def number_in(text: str, prefix: str) -> int:
    """12 of "INC-12" or "12"."""
    digits = text.upper().removeprefix(prefix)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise HTTPException(404, f"{text[:40]!r} is not the id of one: they look like {prefix}12")
    return int(digits)
