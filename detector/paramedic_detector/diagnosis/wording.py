"""The plain sentences of a diagnosis: what is wrong, and why this suspect."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.compare import MOST_SHIFT
from paramedic_detector.diagnosis.features import Facts
from paramedic_detector.diagnosis.measures import Rows
from paramedic_detector.diagnosis.reading import Reading
from paramedic_detector.diagnosis.versions import newest_version

if TYPE_CHECKING:
    from paramedic_detector.diagnosis.diagnoser import Look

_WORDS: Final = {
    "timeout": "time-outs",
    "429": "429 (rate limit)",
    "401": "401 (key refused)",
    "403": "403 (key refused)",
}
TOLD: Final = 0.4  # a feature from here is worth a sentence
_OF_FEATURES: Final = {
    "new_version": "does worse since its newest version",
    "cost": "spends far more than usual",
    "loop": "calls its tools over and over",
    "retries": "is called over and over",
    "leak": "takes ever more memory",
    "bulkhead": "has no room for more calls",
}


def summary_of(look: "Look") -> str:
    """One sentence: who does what to how many calls."""
    calls, told, found = look.facts.calls, look.facts.features, []
    if calls.failed:
        found.append(f"answers {_mostly(calls.errors)} to {_percent(calls.failed, calls.count)} of calls")
    if told["hang"]:
        found.append("lets calls hang")
    if told["slow"]:
        where = " on the way" if told["gap"] > told["own_time"] else ""
        found.append(f"is slow{where} for {100 * told['slow']:.0f} % of calls")
    if told["useless"]:
        found.append(f"gives {_mostly(calls.useless)} answers to {_percent(sum(calls.useless.values()), calls.count)}")
    if told["silent"]:
        found.append("has gone silent")
    if told["connection"] >= 0.5:
        found[:1] = [f"cannot be reached: {_percent(calls.failed, calls.count)} of calls fail to connect"]
    found += [words for feature, words in _OF_FEATURES.items() if told[feature] >= TOLD]
    if not found:
        found = ["is left alone by its callers' breakers" if told["refused"] else "is abnormal"]
    return f"{look.target} {_joined(found[:3])}"


def evidence_of(look: "Look") -> list[str]:
    """What its own features say, beside what the ranking says."""
    told, measures, found = look.facts.features, look.facts.measures, []
    if told["silent"]:
        found.append(f"the spans of {look.target} have stopped")
    if told["new_version"] >= TOLD:
        found.append(f"{look.detail or 'its newest version'} came just before, and it does worse than the one before")
    if told["retries"] >= TOLD:
        found.append(f"{_times(measures['per_call_shift'])} as many calls to it as usual for each call of its callers")
    if told["loop"] >= TOLD:
        found.append(f"{_times(measures['loop_shift'])} as many tool calls a turn as usual")
    if told["cost"] >= TOLD and max(measures["tokens_shift"], measures["cost_shift"]) > 0:
        shift = max(measures["tokens_shift"], measures["cost_shift"])
        found.append(f"each call takes {_times(shift)} the usual tokens or money")
    if told["surge"] >= TOLD and measures["users_shift"] > 0:
        found.append(f"users send {_times(measures['users_shift'])} the usual traffic")
    if told["leak"] >= TOLD:
        found.append("its memory or handles have grown steadily")
    if told["full"] >= TOLD:
        found.append("a pool of it is near its limit")
    if told["refused"]:
        found.append("the breaker of its caller opened by itself")
    return found


def detail_of(target: Target, facts: Facts, reading: Reading) -> str:
    """What is narrower than the target: its newest version when that is what hurts, else nothing."""
    if facts.features["new_version"] >= TOLD:
        rows = Rows.of(target, reading)
        return f"version {newest_version(rows.served if len(rows.served) else rows.own, reading)}"
    return ""


def _times(shift: float) -> str:
    return f"{2 ** (shift * MOST_SHIFT):.1f} times"


def _mostly(counts: dict[str, int]) -> str:
    top = max(counts, key=lambda kind: counts[kind])
    word = _WORDS.get(top, top)
    return word if len(counts) == 1 else f"mostly {word}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f} %"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
