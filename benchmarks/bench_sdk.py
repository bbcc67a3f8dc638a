"""What a guard costs, and what other libraries cost beside it: CPU time.

    make bench-sdk                          all groups; about three minutes
    make bench-sdk ARGS="--group ours"      one group: ours, policies, logfire, traceloop, litellm
    make bench-sdk ARGS="--rounds 9"        quicker

Each group is a process of its own, so that what one library patches does not slow another down. Ours runs where we
are developed; the others in `.venv-peers`, each beside our guard and an OpenTelemetry span in the same rounds. Spans
go to a processor that drops them: the cost on the caller's thread, without the encoding.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sdk_measure import Case, row, rows, run

FOLDER: Final = Path(__file__).resolve().parent
PEERS: Final = FOLDER.parent / ".venv-peers/bin/python"
OUT: Final = Path("build/bench/sdk.json")
GROUPS: Final = ("ours", "policies", "logfire", "traceloop", "litellm")
IMPORTS: Final = (
    "paramedic",
    "pybreaker",
    "purgatory",
    "pyresilience",
    "interlock",
    "stamina",
    "logfire",
    "traceloop.sdk",
    "litellm",
)
QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TRACELOOP_TELEMETRY": "false",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "PYTHONWARNINGS": "ignore",
}


def cases_of(group: str) -> list[Case]:
    """The cases of one group; imports what it needs."""
    import sdk_cases

    of = sdk_cases.tracer()
    if group == "ours":
        return [*sdk_cases.references(of), *sdk_cases.ours(of)]
    others: list[Case] = importlib.import_module(f"sdk_bench_{group}").cases()
    return [*sdk_cases.references(of), *sdk_cases.guards(of), *others]


def measured_here(group: str, rounds: int, calls: int) -> list[dict[str, Any]]:
    """Measure one group in this process."""
    cases = cases_of(group)
    found = rows(cases, run(cases, rounds, calls), ours_again=group != "ours")
    known = {"bare await", "bare call", "asyncio.timeout", "OpenTelemetry span, 5 attributes"}
    return found if group == "ours" else [each for each in found if each["case"] not in known]


def measured(group: str, rounds: int, calls: int) -> list[dict[str, Any]]:
    """Measure one group in a process of its own."""
    python = sys.executable if group == "ours" else str(PEERS)
    command = [python, str(FOLDER / "bench_sdk.py"), "--here", group, "--rounds", str(rounds), "--calls", str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the group {group} did not finish:\n{done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def import_seconds(module: str) -> float:
    """CPU seconds of an import in a fresh interpreter of `.venv-peers`; the best of three."""
    script = f"import time; began = time.process_time(); import {module}; print(time.process_time() - began)"
    env = {**os.environ, **QUIET}
    outputs = (subprocess.check_output([str(PEERS), "-c", script], env=env, text=True) for _ in range(3))
    return min(float(output.splitlines()[-1]) for output in outputs)


def shown(found: list[dict[str, Any]]) -> str:
    return "\n".join(f"{each['case']:52} {each['metric']:34} {each['value']:10.2f} {each['unit']}" for each in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--group", action="append", choices=GROUPS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--calls", type=int, default=1000, help="of the cheapest cases, in a round")
    parser.add_argument("--here", choices=GROUPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.here:
        sys.stdout.write(json.dumps(measured_here(chosen.here, chosen.rounds, chosen.calls)) + "\n")
        return
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    sys.stdout.write(f"{machine}\n")
    found: list[dict[str, Any]] = []
    for group in chosen.group or GROUPS:
        fresh = measured(group, chosen.rounds, chosen.calls)
        sys.stdout.write(f"{shown(fresh)}\n")
        sys.stdout.flush()
        found += fresh
    if not chosen.group:
        imports = [
            row(f"import {module}", "cpu", import_seconds(module), "s", module != "paramedic") for module in IMPORTS
        ]
        sys.stdout.write(f"{shown(imports)}\n")
        found += imports
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps({"machine": machine, "rows": found}, indent=1))
        sys.stdout.write(f"written to {OUT}\n")


if __name__ == "__main__":
    main()
