"""Runs a module as ``python -m`` does, and ends with its parent: no orphan is left when a demo is killed.

    parent holds the writing end of a pipe --> our standard input --> end of file? The parent is gone: so are we.

The pipe works where a death signal of the kernel does not: when the thread that started us ends, and on macOS.
``python -m paramedic_demo.fleet_ward paramedic_demo.orders --port 9201``.
"""

import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    """Waits for the end of standard input, then ends this process and those that it started."""
    while os.read(0, 1024):
        pass
    if os.getpgrp() == os.getpid():  # else the group is not ours, and holds others
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("fleet_ward: name the module to run, as in: fleet_ward paramedic_demo.orders --port 9201")
    threading.Thread(target=end_with_parent, name="ward", daemon=True).start()
    module = sys.argv[1]
    del sys.argv[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
