"""What the ledger has to say: lines for the log, and words on commands, kept until no lock is held. Pure."""

from collections import OrderedDict
from collections.abc import Callable

from paramedic.contract.command import Ack, Command

REMEMBERED = 256  # lines, so that none is said again and again
MINUTE_S = 60.0
LINES_A_MINUTE = 20  # about commands that are rejected

Word = tuple[Ack, Command | None]  # the command is None when it was not proved to be the platform's


class News:
    """The ledger that owns it holds the lock.

    Args:
        clock: Seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: OrderedDict[str, None] = OrderedDict()
        self._since, self._count = float("-inf"), 0
        self.forget()

    def forget(self) -> None:
        """What is not said yet will not be: in a forked child, whose parent says it."""
        self._lines: list[str] = []
        self._words: list[Word] = []

    def line(self, line: str) -> None:
        self._lines.append(line)

    def word(self, ack: Ack, command: Command | None) -> None:
        self._words.append((ack, command))

    def line_once(self, key: str, line: str) -> bool:
        """A line, unless it was said lately or too many others were; whether it is said."""
        is_new = key not in self._said and self._may_speak()
        if is_new:
            self.line(line)
        self._said[key] = None
        while len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        return is_new

    def taken(self) -> tuple[list[str], list[Word]]:
        """All that is to be said now."""
        lines, words = self._lines, self._words
        self.forget()
        return lines, words

    def _may_speak(self) -> bool:
        """So that nobody who talks nonsense to a bot can fill its log."""
        now = self._clock()
        if now - self._since >= MINUTE_S:
            self._since, self._count = now, 0
        self._count += 1
        return self._count <= LINES_A_MINUTE
