"""Every model that was trained here, which one is in use, and the way back.

models/  ledger.json  0f3a….skops  0f3a….json      "" in the ledger is the model that comes with paramedic
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from paramedic_detector.diagnosis.model import Model, version_of

LEDGER: Final = "ledger.json"


@dataclass(slots=True)
class Ledger:
    """What was in use, oldest first; the last is in use now."""

    used: list[str] = field(default_factory=lambda: [""])
    made: list[str] = field(default_factory=list)  # every version that was ever kept, oldest first


class Shelf:
    """The models of one platform.

    Args:
        folder: Made when the first model is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def ledger(self) -> Ledger:
        """Raises ValueError when the file is damaged."""
        path = self.folder / LEDGER
        if not path.exists():
            return Ledger()
        try:
            raw = json.loads(path.read_text())
            return Ledger([str(one) for one in raw["used"]] or [""], [str(one) for one in raw["made"]])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete it to go back to the shipped model") from None

    def current(self) -> Path | None:
        """The file of the model in use; None for the one that comes with paramedic."""
        version = self.ledger.used[-1]
        return self.path_of(version) if version else None

    def path_of(self, version: str) -> Path:
        return self.folder / f"{version}.skops"

    def keep(self, model: Model, about: Mapping[str, Any]) -> str:
        """Put a model on the shelf without using it; its version."""
        data = model.to_bytes()
        version, ledger = version_of(data), self.ledger
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.path_of(version), data)
        _write(self.folder / f"{version}.json", json.dumps(dict(about), indent=2, default=str).encode())
        if version not in ledger.made:
            ledger.made.append(version)
            self._save(ledger)
        return version

    def promote(self, version: str) -> None:
        """Use this model from the detector's next start on.

        Raises:
            ValueError: There is no such version.
        """
        ledger = self.ledger
        if version and version not in ledger.made:
            known = ", ".join(ledger.made) or "none yet"
            raise ValueError(f"there is no model {version!r}; kept are {known}")
        if ledger.used[-1] != version:
            ledger.used.append(version)
            self._save(ledger)

    def revert(self) -> str:
        """Go back to the model that was in use before; its version, "" for the shipped one.

        Raises:
            ValueError: There was none before.
        """
        ledger = self.ledger
        if len(ledger.used) < 2:
            raise ValueError("the model that comes with paramedic is in use, and none was before it")
        ledger.used.pop()
        self._save(ledger)
        return ledger.used[-1]

    def _save(self, ledger: Ledger) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / LEDGER, json.dumps(asdict(ledger), indent=2).encode())


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(data)
    part.replace(path)
