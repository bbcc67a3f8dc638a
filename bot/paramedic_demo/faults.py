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
RETRY_AFTER_S = Parameter(2.0, 0.0, 3600.0)

Kinds = Mapping[str, Mapping[str, Parameter]]

PROVIDER_KINDS: Kinds = {
    "errors": {"status": STATUS},  # 500 and 503 in turn unless a status is given
    "hang": {},  # accepts the call and sends nothing until the client leaves
    "outage": {"status": STATUS},  # half of the calls like "errors", half like "hang"
    "rate_limit": {"retry_after_s": RETRY_AFTER_S, "limit_per_s": Parameter(0.0, 0.0, 1e6)},
    "auth": {},  # 401 to a key that was right a minute ago
    "slow": {"factor": Parameter(5.0, 1.0, 1000.0)},  # first token and all others, this many times slower
    "cut": {},  # the stream ends in mid-sentence, without a finish reason and without [DONE]
    "garbage": {},  # 200, and a body that is not what it says it is
    "empty": {},  # 200, finish_reason "stop", and not a word
}
ORDERS_KINDS: Kinds = {
    "errors": {"status": STATUS},
    "slow": {"delay_s": Parameter(3.0, 0.0, 600.0)},
    "hang": {},
}
SLACK_KINDS: Kinds = {"errors": {"status": STATUS}, "hang": {}}


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


def parse(raw: object, kinds: Kinds) -> FaultSpec:
    """A fault as it came over the wire.

    Raises:
        FaultError: It names a kind or a parameter that is not in `kinds`, or a value out of range.
    """
    if not isinstance(raw, Mapping):
        raise FaultError([f'a fault is a JSON object such as {{"kind": "errors"}}, got {raw!r}'])
    kind, rest = raw.get("kind"), {key: value for key, value in raw.items() if key != "kind"}
    share = rest.pop("share", 1.0)
    wrong_share = SHARE.mistake(share)
    if found := ([f"share {wrong_share}"] if wrong_share else []) + mistakes_of(kind, rest, kinds):
        raise FaultError(found)
    known = kinds[str(kind)]
    parameters = {name: rest.get(name, parameter.default) for name, parameter in known.items()}
    return FaultSpec(str(kind), float(share), parameters)


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
