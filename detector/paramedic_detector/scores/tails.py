"""How unlikely it is to see so many bad calls in healthy traffic: an exact test for few calls.

After r bad calls of m, the chance of k or more bad ones in the next n is the upper tail of a beta-binomial: it knows
that 5 of 5 after 100 good calls says much, and 1 of 2 after 10 says nothing. No normal approximation, no variance
of zero after a history without a failure.

Source: the predictive distribution of a binomial with a uniform prior (Gelman et al., Bayesian Data Analysis, 2.4).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

MOST_CALLS: Final = 200  # more calls in a window are scaled down to this: calls of one second are not independent
MOST_HISTORY: Final = 500  # likewise: how well the usual ratio can ever be believed to be known

Array = NDArray[np.float64]


def surprise(k: Array, n: Array, r: Array, m: Array) -> Array:
    """-log10 of the chance of at least k bad calls of n, after r bad ones of m.

    Args:
        k: (cells,) bad calls seen.
        n: (cells,) calls seen, at least k.
        r: (cells,) bad calls in the history, may be fractions (histories fade).
        m: (cells,) calls in the history, at least r.

    Returns:
        (cells,) 0 where nothing is surprising; 0 too where n is 0.
    """
    shrink = np.minimum(1.0, MOST_CALLS / np.maximum(n, 1))
    k, n = np.floor(k * shrink), np.floor(n * shrink)
    fade = np.minimum(1.0, MOST_HISTORY / np.maximum(m, 1))
    a, b = r * fade + 1.0, (m - r) * fade + 1.0
    k, n = np.minimum(k, n)[:, None], n[:, None]
    a, b = a[:, None], b[:, None]
    steps = np.arange(MOST_CALLS + 1, dtype=np.float64)[None, : int(n.max(initial=0)) + 1]
    chosen = np.minimum(steps, n)
    log_p = (
        gammaln(n + 1) - gammaln(chosen + 1) - gammaln(n - chosen + 1)
        + gammaln(chosen + a) + gammaln(n - chosen + b) - gammaln(n + a + b)
        + gammaln(a + b) - gammaln(a) - gammaln(b)
    )  # fmt: skip
    log_p = np.where((steps >= k) & (steps <= n), log_p, -np.inf)
    peak = log_p.max(axis=1, initial=-700.0)
    tail = peak + np.log(np.exp(log_p - peak[:, None]).sum(axis=1) + 1e-300)
    return np.where(n[:, 0] > 0, np.maximum(0.0, -tail / np.log(10)), 0.0)
