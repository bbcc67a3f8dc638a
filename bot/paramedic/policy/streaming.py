"""What a stream has given so far, and what that means: too late, cut, empty, or well.

    begin --held back--> first useful chunk --given at once--> end
      |                        |                                |
      +- first_token_s         +- idle_s from chunk to chunk    +- cut, unless `ends` saw its end
      +----------------------------------- deadline_s ---------------------------------+

Until the first useful chunk nothing has been given to the caller, so another source can still take over unseen.
Time comes in with each question; the time for which the caller holds a chunk is not the source's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

INF = float("inf")

Says = Callable[[Any], bool]  # something about one chunk
Fault = Callable[[str, Exception], None]  # what happens when such a rule fails


class Late(Enum):
    """Which limit of time a stream has passed."""

    FIRST_TOKEN = "gave no useful chunk within"
    IDLE = "gave nothing for"
    DEADLINE = "did not end within"


FIRST_TOKEN, IDLE, DEADLINE = Late


def not_empty(chunk: Any) -> bool:
    """The usual rule for a useful chunk: neither None nor without length."""
    try:
        return chunk is not None and len(chunk) != 0
    except TypeError:
        return True


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What is asked of a stream.

    Attributes:
        first_token_s: Most seconds until its first useful chunk; None for no limit.
        idle_s: Most seconds from one chunk to the next after that; None for no limit.
        useful: Whether a chunk helps the caller; those before the first useful one are held back.
        ends: Whether a chunk says that the stream is complete; None when its end is not announced.

    Raises:
        ValueError: A number is out of range; the message names it and shows it.
    """

    first_token_s: float | None = None
    idle_s: float | None = None
    useful: Says = not_empty
    ends: Says | None = None

    def __post_init__(self) -> None:
        for name in ("first_token_s", "idle_s"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:  # this way round it refuses NaN too
                raise ValueError(f"{name} must be above 0 seconds, or None for no limit, got {seconds!r}")
        for name, says in (("useful", self.useful), ("ends", self.ends)):
            if says is not None and not callable(says):
                raise TypeError(f"{name} takes a function of one chunk, got {says!r}")


NO_RULES = StreamRules()


def ignore_fault(rule: str, error: Exception) -> None:
    """When nobody wants to know."""


class Progress:
    """Follows one attempt at a stream.

    Args:
        rules: What is asked of it.
        now: Seconds of the clock that all other times are of.
        deadline_s: Most seconds for the whole stream; None for no limit.

    Attributes:
        given: Chunks that the caller was given.
        held_back: Chunks before the first useful one, and that one; None once they are given.
        kept: All chunks, when they are kept.
        asked_at: When the source was last asked for a chunk.
        idle_s: Most seconds from one chunk to the next.
        held_s: For how long the caller held chunks, which is not the source's time.
        until: When the next chunk is not asked for any more.
        late: The limit that it has passed.
        complete: Whether its end was announced, when it must be.
        fault: Told of a rule that fails, and how; the chunk is taken as good.
    """

    # Defaults of the class cost nothing when a stream begins.
    held_s = 0.0
    given = 0
    idle_s = _first_until = INF
    kept: list[Any] | None = None
    late: Late | None = None
    watched = False  # whether `hear` must hear of each chunk
    complete = True
    fault: Fault = staticmethod(ignore_fault)
    _deadline_s: float | None = None

    def __init__(self, rules: StreamRules, now: float, deadline_s: float | None = None) -> None:
        self._rules, self.asked_at = rules, now
        self.held_back: list[Any] | None = []
        self.until = INF
        if deadline_s is not None:
            self._deadline_s, self.until = deadline_s, now + deadline_s
        if rules.idle_s is not None:
            self.idle_s = rules.idle_s
        if rules.first_token_s is not None:
            self._first_until = now + rules.first_token_s
        if rules.ends is not None:
            self.complete, self.watched = False, True

    def keep(self) -> None:
        """Keep all chunks from now on, for somebody who checks the whole answer."""
        self.kept, self.watched = [], True

    # Of chunks

    def opens(self, chunk: Any) -> bool:
        """Hear of a chunk while nothing useful has come; whether it is the first that is useful."""
        assert self.held_back is not None
        self.held_back.append(chunk)
        if self.watched:
            self.hear(chunk)
        try:
            return bool(self._rules.useful(chunk))
        except Exception as error:
            self.fault("useful", error)
            return True

    def hear(self, chunk: Any) -> None:
        """Hear of a chunk; needed while `watched` only."""
        if self.kept is not None:
            self.kept.append(chunk)
        if not self.complete and self._rules.ends is not None and self._ends(self._rules.ends, chunk):
            self.complete, self.watched = True, self.kept is not None

    def _ends(self, ends: Says, chunk: Any) -> bool:
        try:
            return bool(ends(chunk))
        except Exception as error:
            self.fault("ends", error)
            return True

    def release(self) -> list[Any]:
        """What was held back, for the caller."""
        chunks, self.held_back = self.held_back or [], None
        return chunks

    def count(self, given: int, held_s: float) -> None:
        """Take over what the shell has counted by itself, which costs it less."""
        self.given, self.held_s = given, held_s

    @property
    def opened(self) -> bool:
        """Whether the caller was given, or is about to be given, something useful."""
        return self.held_back is None

    # Of time

    def limit(self) -> tuple[float, Late]:
        """When it will be late if no chunk comes, and with what."""
        if self.held_back is not None:
            end, late = self._first_until, FIRST_TOKEN
        else:
            end, late = self.asked_at + self.idle_s, IDLE
        return (self.until, DEADLINE) if self.until <= end else (end, late)

    def lateness(self, now: float) -> Late | None:
        """The limit that has passed, when a chunk is still being waited for."""
        end, late = self.limit()
        return late if now >= end else None

    def limit_of(self, late: Late) -> float:
        """Its seconds."""
        given = {FIRST_TOKEN: self._rules.first_token_s, IDLE: self._rules.idle_s, DEADLINE: self._deadline_s}[late]
        return INF if given is None else given
