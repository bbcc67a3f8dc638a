"""A process that forks while a call is in flight: can the child call?"""

import asyncio
import os
import signal
import threading
import warnings

from sdk_backends import ANSWER
from sdk_libraries import Cell, Library, not_offered, said

ANSWERED, REFUSED = 0, 3


async def forked(library: Library) -> Cell:
    parent, entered, release = os.getpid(), threading.Event(), threading.Event()

    def blocking() -> str:
        if os.getpid() == parent:
            entered.set()
            release.wait(10)
        return ANSWER

    async def awaited() -> str:
        if os.getpid() == parent:
            entered.set()
            await asyncio.to_thread(release.wait, 10)
        return ANSWER

    if (ask := library.forkable(blocking, awaited)) is None:
        return not_offered()
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    entered.wait(10)
    status = await asyncio.to_thread(_in_child, ask)
    release.set()
    thread.join(10)
    return said(status == ANSWERED, _WHAT.get(status, f"the child ended with {status}"))


_WHAT = {
    ANSWERED: "the child's call is made",
    REFUSED: "the child is refused: it counts the parent's calls as its own",
    -signal.SIGALRM: "the child hangs: it waits for its parent's thread",
}


def _in_child(ask: object) -> int:
    """Fork, ask in the child, and tell how it ended."""
    assert callable(ask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is being tried
        pid = os.fork()
    if pid == 0:
        signal.alarm(3)
        try:
            os._exit(ANSWERED if ask() == ANSWER else REFUSED)
        except BaseException:
            os._exit(REFUSED)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
