"""How sure a measured share is, and percentiles of few values. Pure."""

import math
from collections.abc import Sequence

Z_95 = 1.959963984540054  # standard normal quantile of 0.975


def wilson(good: int, total: int) -> tuple[float, float] | None:
    """The 95 % interval of a share; None without a single try.

    Args:
        good: How often it went well.
        total: How often it was tried.

    Raises:
        ValueError: More good than tried, or a negative count.

    Source:
        Wilson, Probable inference, the law of succession, and statistical inference (JASA 22, 1927).
        Unlike the textbook interval it stays inside 0 to 1 and is honest at 100 % of few.
    """
    if not 0 <= good <= total:
        raise ValueError(f"good must be between 0 and total, got {good!r} of {total!r}")
    if total == 0:
        return None
    share, z2 = good / total, Z_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    low = 0.0 if good == 0 else max(0.0, middle - half)
    return (low, 1.0 if good == total else min(1.0, middle + half))


def percentile(values: Sequence[float], q: float) -> float | None:
    """The smallest value that at least the share `q` of all values does not exceed; None without values.

    Nearest rank, so it is a value that really occurred, and the 95th of three is the largest.
    """
    if not 0 < q <= 1:
        raise ValueError(f"q must be above 0 and at most 1, got {q!r}")
    if not values:
        return None
    return sorted(values)[math.ceil(q * len(values)) - 1]
