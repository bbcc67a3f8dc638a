"""Puts what a benchmark found between two marks of a page."""

from pathlib import Path


def put(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the lines `begin` and `end`.

    Raises:
        ValueError: The page has no such lines.
    """
    before, begins, rest = page.read_text().partition(f"{begin}\n")
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise ValueError(f"{page} must have a line {begin!r} and a line {end!r} below it")
    page.write_text(f"{before}{begins}\n{text.strip()}\n\n{ends}{after}")
