"""How a bot itself is broken while it runs: ``POST /_fault``, in every arm, and the bug of its version.

request --> failing, hanging, slow?      message --> garbled?      agent --> forgetful?      look-up --> insistent?
"""

import random

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from paramedic_demo.bugs import FINE, Bug
from paramedic_demo.faults import BOT_KINDS, FaultSpec
from paramedic_demo.faults_server import FaultSwitch, Silence, stays
from paramedic_demo.leaking import Leak
from paramedic_demo.orders import slow_s

OWN_S = 0.006  # of a turn: what the bot does itself
BREAKS = ("errors", "hang", "outage")


class Troubles:
    """What is wrong with this bot now; nothing, unless somebody breaks it.

    Args:
        rng: Draws who is struck.
        bug: Of this version.
    """

    def __init__(self, rng: random.Random, bug: Bug = FINE) -> None:
        self._leak = Leak()
        self.switch, self._rng, self._bug = FaultSwitch(BOT_KINDS, rng, self._leak.follow), rng, bug
        self.turns = self.failed = 0

    async def meet(self, request: Request) -> Response | None:
        """What a turn meets before it begins: an answer that is none, or some time, or nothing."""
        self.turns += 1
        self._leak.press()
        fault = self._meets(*BREAKS, "slow")
        if self._bug.fails(self._rng) or (fault is not None and fault.kind in BREAKS):
            self.failed += 1
            return self._broken(request, fault)
        late_s = self._bug.late_s(OWN_S, self._rng) + (slow_s(fault, OWN_S) if fault is not None else 0.0)
        if late_s > 0 and not await stays(request, late_s):
            return Silence(request)
        return None

    def heard(self, message: str) -> str:
        """A message as it reaches the classifier: garbled for some, as by a wrong encoding."""
        fault = self._meets("nlu")
        garbles = fault is not None and self._rng.random() < fault.number("share")
        return garbled(message) if garbles else message

    def rounds(self) -> int:
        """How often an agent asks for its tool until it keeps what that said."""
        fault = self._meets("loop")
        return round(fault.number("factor")) if fault is not None else 1

    def tries(self) -> int:
        """How often a look-up is made at most, one right after the other."""
        fault = self._meets("retries")
        return round(fault.number("factor")) if fault is not None else 1

    def _meets(self, *kinds: str) -> FaultSpec | None:
        return self.switch.strikes() if self.switch.now.kind in kinds else None

    def _broken(self, request: Request, fault: FaultSpec | None) -> Response:
        kind = fault.kind if fault is not None else "errors"
        if kind == "outage":
            kind = self._rng.choice(("errors", "hang"))
        if fault is None or kind == "errors":
            return JSONResponse({"detail": "the bot failed"}, self.switch.pick_status(fault) if fault else 500)
        return Silence(request)


def garbled(message: str) -> str:
    """A message in which no word is left."""
    return "".join(chr(ord(letter) ^ 0x80) if letter.isalnum() else letter for letter in message)
