"""What `paramedic run` does in a program once that imports something of interest: `init`, then `instrument`.

PARAMEDIC_INSTRUMENT names what shall be recorded ("openai,httpx"), or "none"; without it all that is known.
"""

import logging
import os
from collections.abc import Mapping

from paramedic.instrument import KNOWN, instrument
from paramedic.start import init

log = logging.getLogger("paramedic")

_done = False


def begin() -> None:
    """Begin to record in this process; once."""
    global _done
    if _done:
        return
    _done = True
    init()
    names = chosen(os.environ)
    if names:
        instrument(*names)


def chosen(env: Mapping[str, str]) -> tuple[str, ...]:
    """What PARAMEDIC_INSTRUMENT names; a name that is not known is a line in the log."""
    told = env.get("PARAMEDIC_INSTRUMENT", "").strip().lower()
    if not told:
        return tuple(KNOWN)
    names = [name.strip() for name in told.split(",") if name.strip()]
    for name in names:
        if name not in (*KNOWN, "none"):
            log.warning("PARAMEDIC_INSTRUMENT must name some of %s or none, got %r", ", ".join(KNOWN), name)
    return tuple(name for name in names if name in KNOWN)
