"""What the SDK and other libraries do on bad days: `docs/sdk-comparison.md`, out of real runs.

    make sdk-comparison                         all libraries, about two minutes
    make sdk-comparison ARGS="paramedic hyx"    these again, the others from the last run

Each library plays the scenarios in a process of its own: ours where we are developed, the others in `.venv-peers`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import sdk_document
from sdk_scenarios import LIBRARIES

FOLDER: Final = Path(__file__).resolve().parent
PEERS: Final = FOLDER.parent / ".venv-peers/bin/python"
KEPT: Final = FOLDER.parent / "build/bench/sdk-comparison.json"
PAGE: Final = FOLDER.parent / "docs/sdk-comparison.md"
QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PYTHONWARNINGS": "ignore",
}


def cells_of(name: str) -> dict[str, Any]:
    """Play all scenarios on one library.

    Raises:
        SystemExit: It has not finished, or not in time.
    """
    python = sys.executable if name == "paramedic" else str(PEERS)
    command = [python, str(FOLDER / "sdk_scenarios.py"), name]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, **QUIET}, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} did not finish:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    unknown = set(sys.argv[1:]) - set(LIBRARIES)
    if unknown:
        raise SystemExit(f"sdk_behaviour knows {', '.join(LIBRARIES)}; not {', '.join(sorted(unknown))}")
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name in LIBRARIES:
        if not sys.argv[1:] or name in sys.argv[1:] or name not in known:
            known[name] = cells_of(name)
            verdicts = [cell["verdict"] for cell in known[name]["cells"].values()]
            counted = ", ".join(f"{verdicts.count(which)} {which}" for which in ("right", "wrong", "not offered"))
            sys.stdout.write(f"{name:16} {known[name]['version']:12} {counted}\n")
            sys.stdout.flush()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(known, indent=1))
    PAGE.write_text(sdk_document.page([known[name] for name in LIBRARIES]))
    sys.stdout.write(f"written to {PAGE.relative_to(FOLDER.parent)}\n")


if __name__ == "__main__":
    main()
