"""Whom to ask for a stream, and what is raised when one breaks off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from paramedic.guards.attempts import Attempts
    from paramedic.guards.recovering import Step


class StreamCut(Exception):
    """A stream broke off after the caller had been given useful chunks: what it has is not the whole answer.

    The error that cut it is its `__cause__`.

    Attributes:
        name: Of the guard.
        chunks: How many the caller was given.
    """

    def __init__(self, name: str, chunks: int) -> None:
        super().__init__(f"{name!r} was cut after {chunks} chunk{'' if chunks == 1 else 's'}")
        self.name, self.chunks = name, chunks

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.chunks)


class IncompleteStream(ConnectionError):
    """A stream stopped without the chunk that says it is complete."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whom to ask for a stream.

    Attributes:
        fn: An (async) generator function; also an (async) function, whose value is then one chunk.
        guard: Who must let it through, and hears how it went; None for a fallback.
        probe: Whether the guard shall let it through to probe a closed path; None when it is not closed.
        wait_s: Seconds to wait before.
        step: Of a retry or a fallback, what it is part of.
    """

    fn: Callable[..., Any]
    guard: "Attempts | None" = None
    probe: bool | None = None
    wait_s: float = 0.0
    step: "Step | None" = None


class Asks(Protocol):
    """Anything with the fields of a `Turn`."""

    @property
    def fn(self) -> Callable[..., Any]: ...
    @property
    def guard(self) -> "Attempts | None": ...
    @property
    def probe(self) -> bool | None: ...
    @property
    def wait_s(self) -> float: ...
    @property
    def step(self) -> "Step | None": ...
