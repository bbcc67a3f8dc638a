"""What a deploy may bring: a version that fails, or is slow, or is fine. The flags with which a process is started.

``--version 1.1 --failing 0.3`` is version 1.1, in which three of ten requests fail.
"""

import argparse
import random
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_VERSION = "1.0"
JITTER = 0.3  # sigma of the lognormal around a delay


@dataclass(frozen=True, slots=True)
class Bug:
    """What is wrong with a version."""

    failing: float = 0.0  # share of the requests
    factor: float = 1.0  # how many times its own work
    delay_s: float = 0.0  # more for each request

    def fails(self, rng: random.Random) -> bool:
        return self.failing > 0 and rng.random() < self.failing

    def late_s(self, own_s: float, rng: random.Random) -> float:
        """How much longer a request takes that is work of `own_s` seconds."""
        late_s = self.delay_s * rng.lognormvariate(0.0, JITTER) if self.delay_s else 0.0
        return late_s + (self.factor - 1.0) * own_s


FINE = Bug()


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", default=FIRST_VERSION, help="as its telemetry tells it")
    parser.add_argument("--failing", type=float, default=0.0, help="share of the requests that fail")
    parser.add_argument("--factor", type=float, default=1.0, help="how many times its own work a request takes")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each request takes longer")


def bug_of(options: argparse.Namespace) -> Bug:
    return Bug(options.failing, options.factor, options.delay)


def flags_of(version: str, parameters: Mapping[str, float]) -> tuple[str, ...]:
    """The flags of a version, from the parameters of a fault of kind "deploy"."""
    pairs = {"--version": version, "--failing": parameters.get("failing"), "--factor": parameters.get("factor")}
    pairs["--delay"] = parameters.get("delay_s")
    return tuple(word for flag, value in pairs.items() if value is not None for word in (flag, str(value)))
