"""Where compiled code is kept for the next process: a folder for each version of the sources in this one.

numba itself would not notice that a function which another one calls, or a table that it reads, has changed; nor
that code is wanted with checks of bounds (`NUMBA_BOUNDSCHECK=1`) which was kept without.
"""

import hashlib
import os
import sys
from importlib.metadata import version
from pathlib import Path


def folder() -> Path:
    """`NUMBA_CACHE_DIR`, or a folder of our own in the user's cache; it need not exist yet."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home) / "paramedic" / f"compiled-{_version()}"


def stamp() -> Path:
    """The last file to be written there: numba's own files do not say what is still missing."""
    return folder() / f"whole-{_version()}-{sys.implementation.cache_tag}-numba-{version('numba')}"


def _version() -> str:
    """Stands for the sources of this folder and how they are compiled."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    how = os.environ.get("NUMBA_BOUNDSCHECK", "").encode()
    return hashlib.sha256(b"".join([how, *(path.read_bytes() for path in sources)])).hexdigest()[:16]
