"""Time that a test moves by hand."""


class Clock:
    """Seconds that pass only when told.

    >>> clock = paramedic.testing.Clock()
    >>> clock.now += 30
    >>> clock()
    1030.0
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
