"""What the last calls said: a share of failures and of slow calls, over a number of calls or a length of time.

    last 20 calls:  | . . x . . s . x . . |  the newest pushes out the oldest; forgotten after five quiet minutes
    last 30 seconds:| slice | slice | ... |  ten slices; a slice goes when it is older than the window

Values that count; the moment comes in with each question.
"""

FORGET_S = 300.0  # a count window says nothing about a dependency that nobody has called for so long
SLICES = 10

GOOD, FAILURE, SLOW = 0, 1, 2  # bits of one verdict


class CountWindow:
    """The last `size` verdicts.

    Attributes:
        count: Verdicts in the window.
        failed: How many of them were failures.
        slow: How many were slow, failed or not.
    """

    __slots__ = ("_next", "_ring", "count", "failed", "slow")

    forgets_s = FORGET_S

    def __init__(self, size: int) -> None:
        self._ring = bytearray(size)
        self.clear()

    def clear(self) -> None:
        self._next = self.count = self.failed = self.slow = 0

    def add(self, failed: bool, slow: bool, now: float) -> None:
        ring, at = self._ring, self._next
        if self.count == len(ring):
            self.failed -= ring[at] & FAILURE
            self.slow -= ring[at] >> 1
        else:
            self.count += 1
        ring[at] = failed | slow << 1
        self.failed += failed
        self.slow += slow
        self._next = (at + 1) % len(ring)

    @property
    def unmoved_by_good(self) -> bool:
        """Whether one more good verdict would change nothing."""
        return not self.failed and not self.slow and self.count == len(self._ring)


class TimeWindow:
    """The verdicts of the last `seconds`, in ten slices; the attributes are those of `CountWindow`."""

    __slots__ = ("_slices", "_width_s", "count", "failed", "slow")

    forgets_s = float("inf")  # its slices go by themselves
    unmoved_by_good = False

    def __init__(self, seconds: float) -> None:
        self._width_s = seconds / SLICES
        self.clear()

    def clear(self) -> None:
        self._slices: dict[int, list[int]] = {}  # number of the slice: verdicts, failures, slow ones
        self.count = self.failed = self.slow = 0

    def add(self, failed: bool, slow: bool, now: float) -> None:
        number = int(now // self._width_s)
        if number not in self._slices:
            self._begin(number)
        for place, many in enumerate((1, failed, slow)):
            self._slices[number][place] += many
        self.count += 1
        self.failed += failed
        self.slow += slow

    def _begin(self, number: int) -> None:
        self._slices = {n: sums for n, sums in self._slices.items() if number - n < SLICES}
        self._slices[number] = [0, 0, 0]
        self.count, self.failed, self.slow = (sum(each) for each in zip(*self._slices.values(), strict=True))


Window = CountWindow | TimeWindow
