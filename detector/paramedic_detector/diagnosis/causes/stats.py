"""Robust figures of many histograms at once, and the test of two shares.

Histograms are (..., BUCKETS) counts in buckets of a factor 2^(1/8); times are in seconds. What has no values gives NaN.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SCALE
from paramedic_detector.series.slots import BUCKETS, upper_edge_s

Floats = NDArray[np.float64]
UPPER_S: Final[Floats] = upper_edge_s(np.arange(BUCKETS))
MIDDLE_S: Final[Floats] = UPPER_S * 2.0 ** (-0.5 / 2**SCALE)
SIGMAS_OF_IQR: Final = 1.349
Z_MOST: Final = 30.0


def quantiles_s(histograms: Floats, q: float) -> Floats:
    """(...,) the value below which a share `q` lies, interpolated within its bucket."""
    sums = np.cumsum(histograms, axis=-1)
    total = sums[..., -1:]
    place = np.minimum((sums < q * total - 1e-9).sum(axis=-1), BUCKETS - 1)
    inside = np.take_along_axis(histograms, place[..., None], -1)[..., 0]
    below = np.take_along_axis(sums, place[..., None], -1)[..., 0] - inside
    part = (q * total[..., 0] - below) / np.maximum(inside, 1e-12)
    found = UPPER_S[place] * 2.0 ** ((np.clip(part, 0, 1) - 1) / 2**SCALE)
    return np.where(total[..., 0] > 0, found, np.nan)


def means_over_s(histograms: Floats, limit_s: Floats) -> Floats:
    """(...,) mean over all values of what each exceeds its limit by."""
    over = np.maximum(MIDDLE_S - limit_s[..., None], 0)
    total = histograms.sum(axis=-1)
    return np.where(total > 0, (histograms * over).sum(axis=-1) / np.maximum(total, 1e-12), np.nan)


def chance_above(window: Floats, reference: Floats) -> Floats:
    """(...,) the chance that a value of the window is larger than one of the reference; ties count half."""
    n, m = window.sum(axis=-1), reference.sum(axis=-1)
    below = np.cumsum(reference, axis=-1) - 0.5 * reference
    return np.where((n > 0) & (m > 0), (window * below).sum(axis=-1) / np.maximum(n * m, 1e-12), 0.5)


def usual_of(reference: Floats, floor_s: float) -> tuple[Floats, Floats, Floats]:
    """Median, spread (a robust standard deviation with floors) and the limit of what is usual, each (...,)."""
    median = quantiles_s(reference, 0.5)
    iqr = quantiles_s(reference, 0.75) - quantiles_s(reference, 0.25)
    spread = iqr / SIGMAS_OF_IQR + 0.05 * median + floor_s
    return median, spread, np.maximum(quantiles_s(reference, 0.95), median + 3 * spread)


def share_evidence(x: Floats, n: Floats, y: Floats, m: Floats) -> Floats:
    """How far a share x/n lies from a share y/m: the two-sample z, at most Z_MOST, times the difference.

    0 where one side has no values. The product asks for both: that it is no chance, and that it is much.
    """
    p1, p0 = (x + 0.5) / (n + 1), (y + 0.5) / (m + 1)
    p = np.clip((x + y + 1) / (n + m + 2), 1e-9, 1 - 1e-9)
    z = np.abs(p1 - p0) / np.sqrt(p * (1 - p) * (1 / (n + 1) + 1 / (m + 1)))
    return np.where((n > 0) & (m > 0), np.minimum(z, Z_MOST) * np.abs(p1 - p0), 0.0)
