"""Loads what threads of ours would import later, before there are any.

A process that forks while one of its threads imports leaves the child with that module's lock held for ever: a
worker of a server that forks would never hear of a command, or never send its telemetry.
"""

import netrc  # noqa: F401  the HTTP exporter looks for credentials there
import shlex  # noqa: F401  and reads them with this

"localhost".encode("idna")  # every look-up of a name needs this codec
