"""Who comes beside the users of a run: a crowd, or a job of our own. Each is a process for as long as its fault lasts.

surge --> so many times as many users, who are not counted      batch --> calls of a backend at a steady rate
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from paramedic_cli.processes import ChildProcess, warded
from paramedic_demo.faults import BATCH, SURGE, complete
from paramedic_demo.scenario import Fault

KINDS = ("surge", "batch")
OTHERS = 1000  # from the seed of a run's users to that of a crowd's


class Strangers:
    """Starts and stops them.

    Args:
        front_url: Where users write.
        backend_url: What a job calls.
        rate_per_s: Of the users of the run.
        seed: Of the run.
        env: The environment of the processes.
        folder: Where they write.
        kept: Told how to end each process, for when the run ends early.
    """

    def __init__(
        self,
        front_url: str,
        backend_url: str,
        *,
        rate_per_s: float,
        seed: int,
        env: Mapping[str, str],
        folder: Path,
        kept: Callable[[Callable[[], object]], object],
    ) -> None:
        self._front_url, self._backend_url, self._rate_per_s, self._seed = front_url, backend_url, rate_per_s, seed
        self._env, self._folder, self._kept = env, folder, kept
        self._here: dict[str, ChildProcess] = {}

    def come(self, fault: Fault) -> None:
        """Start those that a fault of one of KINDS brings."""
        number = len(self._here) + 1
        module, flags = self._crowd(fault, number) if fault.kind == "surge" else self._job(fault)
        child = ChildProcess(warded(module, flags), self._env, self._folder / f"{fault.kind}-{number}.log")
        self._kept(child.kill)
        self._here[fault.name] = child

    def leave(self, fault: Fault) -> None:
        """They send nothing more; what they wait for still comes."""
        self._here[fault.name].ask_to_stop()

    def _crowd(self, fault: Fault, number: int) -> tuple[str, list[str]]:
        factor = complete("surge", fault.parameters, SURGE)["factor"]
        flags = {
            "--url": f"{self._front_url}/chat",
            "--rate": max(0.01, self._rate_per_s * (factor - 1)),
            "--seed": self._seed + OTHERS * number,
            "--out": self._folder / f"surge-{number}.jsonl",
        }
        return "paramedic_demo.load", [str(word) for pair in flags.items() for word in pair]

    def _job(self, fault: Fault) -> tuple[str, list[str]]:
        rate = complete("batch", fault.parameters, BATCH)["rate_per_s"]
        return "paramedic_demo.batch_job", ["--url", self._backend_url, "--rate", str(rate)]
