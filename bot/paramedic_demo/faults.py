"""What can be broken in a simulator, and what may be said about each way: the vocabulary of ``POST /_fault``.

    {"kind": "rate_limit", "share": 0.9, "retry_after_s": 2} --parse--> FaultSpec, or every mistake at once

Scenarios are checked against the same table, so a fault that a file may name is one that a simulator can do.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

Number = int | float


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that a kind of fault takes."""

    default: Number | None  # None: the simulator chooses
    least: Number
    most: Number
    whole: bool = False

    def mistake(self, value: object) -> str | None:
        """What is wrong with a value; None when it will do."""
        wanted = (int,) if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted) or not self.least <= value <= self.most:
            a_number = "a whole number" if self.whole else "a number"
            return f"must be {a_number} from {self.least} to {self.most}, got {value!r}"
        return None


SHARE = Parameter(1.0, 0.0, 1.0)
STATUS = Parameter(None, 500, 599, whole=True)
REFUSED = Parameter(401, 401, 403, whole=True)
RETRY_AFTER_S = Parameter(2.0, 0.0, 3600.0)
FACTOR = Parameter(None, 1.0, 1000.0)
DELAY_S = Parameter(None, 0.0, 600.0)

Kinds = Mapping[str, Mapping[str, Parameter]]

BROKEN: Kinds = {
    "errors": {"status": STATUS},  # 500 and 503 in turn unless a status is given
    "hang": {},  # accepts the call and sends nothing until the client leaves
    "outage": {"status": STATUS},  # half of the calls like "errors", half like "hang"
}
GROWS: Kinds = {"leak": {"full_after_s": Parameter(0.0, 0.0, 1e6)}}  # memory, until the process dies of it
STORM: Kinds = {"retries": {"factor": Parameter(8.0, 1.0, 50.0), "failing": Parameter(0.75, 0.0, 1.0)}}

PROVIDER_KINDS: Kinds = {
    **BROKEN,
    "rate_limit": {"retry_after_s": RETRY_AFTER_S, "limit_per_s": Parameter(0.0, 0.0, 1e6)},
    "auth": {"status": REFUSED},  # to a key that was right a minute ago
    "slow": {"factor": Parameter(5.0, 1.0, 1000.0), "delay_s": Parameter(0.0, 0.0, 600.0)},
    "cut": {},  # the stream ends in mid-sentence, without a finish reason and without [DONE]
    "garbage": {},  # 200, and a body that is not what it says it is
    "empty": {},  # 200, finish_reason "stop", and not a word
    "verbose": {"factor": Parameter(8.0, 1.0, 100.0), "answer": Parameter(0.0, 0.0, 1.0)},  # so many times the tokens
}
ORDERS_KINDS: Kinds = {
    **BROKEN,
    "slow": {"factor": FACTOR, "delay_s": DELAY_S},  # 3 s more when neither is given
    "auth": {"status": REFUSED},
    **STORM,  # of its part: it fails; the bots do the rest
    **GROWS,
    "saturate": {"load": Parameter(1.4, 0.1, 100.0)},  # its pool serves so many times less than what comes in
    "cache_flush": {"factor": Parameter(1.5, 1.0, 5.0)},  # a look-up takes so many times as long
}
BOT_KINDS: Kinds = {
    **BROKEN,
    "slow": {"factor": FACTOR, "delay_s": DELAY_S},
    **GROWS,
    "loop": {"factor": Parameter(5.0, 1.0, 50.0)},  # what its tool said is lost, so the model asks again
    "nlu": {"share": Parameter(0.6, 0.0, 1.0)},  # of the messages; they reach the classifier garbled
    **STORM,  # of its part: failed look-ups are repeated at once, without a budget
}
LINK_KINDS: Kinds = {
    "delay": {"delay_s": Parameter(0.4, 0.0, 60.0)},  # every request is held so long on its way
    "loss": {"share": Parameter(0.3, 0.0, 1.0)},  # of the packets; they are sent again, some connections break
}
# What is done to a process, or beside all of them, and asked of no simulator.
KILL: Kinds = {"kill": {}}  # kill -9; the process starts again when the fault ends
PAUSE: Kinds = {"pause": {}}  # it stands still for a moment
DEPLOY: Kinds = {
    "deploy": {
        "failing": Parameter(0.3, 0.0, 1.0),
        "factor": Parameter(1.0, 0.1, 1000.0),
        "delay_s": Parameter(0.0, 0.0, 60.0),
        "roll_s": Parameter(10.0, 0.0, 600.0),
    }
}
SURGE: Kinds = {"surge": {"factor": Parameter(6.0, 1.0, 100.0)}}  # users; so many times as many
BATCH: Kinds = {"batch": {"rate_per_s": Parameter(4.0, 0.0, 1000.0)}}  # a job of ours calls it, too
ODD = ("pause", "batch", "cache_flush")  # kinds that are no fault
WHOLE = ("kill", "pause", "deploy", "surge", "batch", "leak", "saturate")  # that strike no single calls
SLACK_KINDS: Kinds = {"errors": {"status": STATUS}, "hang": {}}
SLOW_S = 3.0  # of a backend that is slow, when nobody says how slow


class FaultError(ValueError):
    """A fault that no simulator can do; `mistakes` names each thing, its value and what would do."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault of one simulator."""

    kind: str
    share: float = 1.0  # of the calls that it hurts, 0 to 1
    parameters: Mapping[str, Number | None] = field(default_factory=dict)  # complete: defaults are filled in

    def number(self, name: str) -> float:
        """A parameter; 0 where the simulator chooses."""
        return float(self.parameters.get(name) or 0.0)


def parse(raw: object, kinds: Kinds) -> FaultSpec:
    """A fault as it came over the wire; `severity`, or `share` where no parameter is called so, says how many calls.

    Raises:
        FaultError: It names a kind or a parameter that is not in `kinds`, or a value out of range.
    """
    if not isinstance(raw, Mapping):
        raise FaultError([f'a fault is a JSON object such as {{"kind": "errors"}}, got {raw!r}'])
    kind, rest = raw.get("kind"), {key: value for key, value in raw.items() if key != "kind"}
    own = kinds.get(kind, {}) if isinstance(kind, str) else {}
    named = "severity" if "share" in own or "severity" in rest else "share"
    share = rest.pop(named, 1.0)
    wrong_share = SHARE.mistake(share)
    if found := ([f"{named} {wrong_share}"] if wrong_share else []) + mistakes_of(kind, rest, kinds):
        raise FaultError(found)
    known = kinds[str(kind)]
    parameters = {name: rest.get(name, parameter.default) for name, parameter in known.items()}
    return FaultSpec(str(kind), float(share), parameters)


def complete(kind: str, parameters: Mapping[str, Number], kinds: Kinds) -> dict[str, Number]:
    """The parameters of a fault with what was left out."""
    return {name: known.default for name, known in kinds[kind].items() if known.default is not None} | dict(parameters)


def mistakes_of(kind: object, parameters: Mapping[str, object], kinds: Kinds) -> list[str]:
    """Every mistake in a fault, each as one sentence; empty when there is none."""
    if not isinstance(kind, str) or kind not in kinds:
        return [f"kind must be {one_of(kinds)}, got {kind!r}{did_you_mean(kind, kinds)}"]
    known, found = kinds[kind], []
    for name, value in parameters.items():
        if name not in known:
            found.append(
                f"{name} is not a parameter of {kind!r}; it takes {one_of(known) or 'none'}{did_you_mean(name, known)}"
            )
        elif mistake := known[name].mistake(value):
            found.append(f"{name} {mistake}")
    return found


def one_of(names: Collection[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(given: object, names: Collection[str]) -> str:
    close = get_close_matches(str(given), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
