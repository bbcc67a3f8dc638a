"""Who goes first when there is too little room: the least critical.

    critical > high > medium > low     (a call of which nobody said anything counts as critical for the bulkhead)

    bulkhead:  low may fill half of it, medium three quarters, high nine tenths, critical all
    shed_load: a share of the traffic goes, from the bottom up, by the mix of classes that the guard has seen

Source: the idea of criticality classes is that of Beyer et al., Site Reliability Engineering (2016), chapter 21.
"""

CLASSES = ("critical", "high", "medium", "low")
ROOM = {"critical": 1.0, "high": 0.9, "medium": 0.75, "low": 0.5}
REMEMBERED = 200  # calls; then all that was seen counts half


def class_of(criticality: str) -> str:
    """Empty for what is none of the four: such a call counts as if nobody had said anything."""
    return criticality if criticality in ROOM else ""


def check_criticality(whose: str, criticality: str) -> str:
    """The same, when it is one of the four or empty.

    Raises:
        ValueError: It is something else.
    """
    if criticality and criticality not in ROOM:
        raise ValueError(f"criticality of {whose} must be one of {', '.join(CLASSES)}, got {criticality!r}")
    return criticality


def room_for(criticality: str, limit: int) -> int:
    """Calls in flight, of all classes together, up to which one more of this class is let in."""
    return max(1, int(ROOM.get(criticality, 1.0) * limit))


class Mix:
    """The classes of the calls that one guard saw lately."""

    __slots__ = ("_seen", "_total")

    def __init__(self) -> None:
        self._seen = dict.fromkeys(CLASSES, 0.0)
        self._total = 0.0

    def add(self, criticality: str) -> None:
        """See one call of a class; not one of which nobody said anything."""
        self._seen[criticality] += 1
        self._total += 1
        if self._total >= REMEMBERED:
            self._seen = {name: many / 2 for name, many in self._seen.items()}
            self._total /= 2

    def share_of(self, criticality: str, share: float) -> float:
        """Which share of a class to turn away so that `share` of the traffic goes, the least critical first.

        Args:
            criticality: The class; empty when nobody said, which then bears the same share as the whole.
            share: From 0 to 1.
        """
        if not criticality or not self._total:
            return share
        to_go = share * self._total
        for name in reversed(CLASSES):
            seen = self._seen[name]
            if name == criticality:
                return min(1.0, to_go / seen) if seen else float(to_go > 0)
            to_go = max(0.0, to_go - seen)
        return share
