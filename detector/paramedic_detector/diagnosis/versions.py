"""Whether a version of a service that has only just come is the one that hurts."""

from collections import defaultdict
from typing import Final

import numpy as np

from paramedic_detector.diagnosis import compare
from paramedic_detector.diagnosis.compare import counted
from paramedic_detector.diagnosis.reading import Numbers, Reading
from paramedic_detector.series.slots import BUCKETS, DURATION, SELF_TIME, Cell

LATER_S: Final = 15.0  # after the first version that is known, from which another one is new
FADES_S: Final = 900.0  # a version this much older than the fault is hardly new
AFTER_S: Final = 20.0  # a version that came this much after the fault began did not cause it
LEAST: Final = 3.0  # calls


def version_measures(rows: Numbers, reading: Reading) -> dict[str, float]:
    """How new the newest version was when the fault began, 0 to 1, and how much worse it is than the one before.

    Args:
        rows: What one service served.
    """
    versions, first = _versions(rows, reading)
    if len(first) < 2:
        return {"version_new": 0.0, "version_guilt": 0.0}
    newest = max(first, key=lambda name: (first[name], name))
    came, before = first[newest], min(first.values())
    if came < before + LATER_S or came > reading.onset + AFTER_S:
        return {"version_new": 0.0, "version_guilt": 0.0}
    new = np.array(versions[newest], np.int64)
    old = np.array([row for name, of in versions.items() if name != newest for row in of], np.int64)
    age_s = max(0.0, reading.onset - came)
    return {"version_new": float(np.exp(-age_s / FADES_S)), "version_guilt": _guilt(new, old, reading)}


def newest_version(rows: Numbers, reading: Reading) -> str:
    """The version that was seen last for the first time."""
    _, first = _versions(rows, reading)
    return max(first, key=lambda name: (first[name], name), default="")


def _versions(rows: Numbers, reading: Reading) -> tuple[dict[str, list[int]], dict[str, float]]:
    """The rows of each version, and when it was seen first."""
    versions: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        versions[reading.key(int(row)).part("version")].append(int(row))
    first = {
        name: float(np.nanmin(reading.long.first_seen[of]))
        for name, of in versions.items()
        if name and _seen(reading, of)
    }
    return versions, first


def _seen(reading: Reading, rows: list[int]) -> bool:
    return not np.isnan(reading.long.first_seen[rows]).all()


def _guilt(new: Numbers, old: Numbers, reading: Reading) -> float:
    """How much more often the new version fails or is slow than the old one, now or before; 0 to 1."""
    bad = (Cell.ERRORS, Cell.USELESS)
    calls = counted(reading.during, new, Cell.COUNT)
    if calls < LEAST:
        return 0.0
    ran = counted(reading.during, old, Cell.COUNT)
    beside = reading.during if ran >= LEAST else reading.usual
    failing = compare.share(reading.during, new, bad, (Cell.COUNT,)) - compare.share(beside, old, bad, (Cell.COUNT,))
    return float(max(0.0, failing, _slower(new, old, reading)))


def _slower(new: Numbers, old: Numbers, reading: Reading) -> float:
    """Share of the new version's calls that are slower than nearly all of the old one's."""
    low = SELF_TIME * BUCKETS
    told = (
        reading.usual.buckets[old, low : low + BUCKETS].any() and reading.during.buckets[new, low : low + BUCKETS].any()
    )
    channel = SELF_TIME if told else DURATION
    now = compare.histograms(reading.during, [new], channel)[0]
    usual = compare.histograms(reading.usual, [old], channel)[0]
    if now.sum() < LEAST or usual.sum() < LEAST:
        return 0.0
    limit = int(np.searchsorted(np.cumsum(usual), 0.95 * usual.sum() - 1e-9)) + compare.SLOW_BUCKETS
    return max(0.0, float(now[limit + 1 :].sum() / now.sum()) - 0.05)
