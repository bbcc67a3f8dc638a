"""The plain sentences of a diagnosis: what is wrong, and why this suspect."""

from collections.abc import Sequence
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.features import Facts
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

_WORDS: Final = {
    "timeout": "time-outs",
    "429": "429 (rate limit)",
    "401": "401 (key refused)",
    "403": "403 (key refused)",
}
_MOST: Final = 6  # sentences a suspect


def summary_of(target: Target, kind: str, facts: Facts) -> str:
    """One sentence: who does what to how many calls."""
    calls, found = facts.calls, []
    if calls.failed:
        found.append(f"answers {_mostly(calls.errors)} to {_percent(calls.failed, calls.count)} of calls")
    if facts.features["hang"]:
        found.append("lets calls hang")
    if facts.features["slow"]:
        found.append(f"is slow for {100 * facts.features['slow']:.0f} % of calls")
    if facts.features["useless"]:
        found.append(f"gives {_mostly(calls.useless)} answers to {_percent(sum(calls.useless.values()), calls.count)}")
    if facts.features["silent"]:
        found.append("has gone silent")
    if facts.features["connection"] >= 0.5:
        found[:1] = [f"cannot be reached: {_percent(calls.failed, calls.count)} of calls fail to connect"]
    if not found:
        found = ["is left alone by its callers' breakers" if facts.features["refused"] else "is abnormal"]
    return f"{target} {_joined(found)}"


def evidence_of(
    target: Target, kind: str, facts: Facts, alerts: Sequence[Alert], topology: Topology
) -> tuple[str, ...]:
    """Why this suspect, the most telling sentence first."""
    mine = sorted((a for a in alerts if _mine(a, target)), key=lambda a: (a.signal is Signal.MISSING, -a.score))
    said = [alert.explanation for alert in mine if alert.signal is not Signal.SURGE]
    first = [said[0]] if said else []
    rest = [sentence for sentence in said[1:3] if sentence not in first]
    return tuple([*first, *_members(target, kind, facts, topology), *_order(target, facts, alerts), *rest][:_MOST])


def _members(target: Target, kind: str, facts: Facts, topology: Topology) -> list[str]:
    callers = topology.callers(target)
    found = []
    if kind == "zone":
        well = [zone for zone in topology.healthy_members(target.peer) if zone != target.zone]
        if well:
            found.append(f"only {target.zone} is hurt; {target.peer} in {_joined(well)} is well")
        if facts.features["silent"]:
            found.append(f"the spans of {target.peer} in {target.zone} have stopped")
    zones = {key.part("zone") for key in topology.op_keys if key.part("peer") == target.peer and key.part("zone")}
    hurt = {edge.caller for edge in topology.towards(target) if edge.unwell or edge.error_ratio}
    if kind != "zone" and len(zones) > 1 and callers:
        found.append(f"{_joined(callers)} calls it from {len(zones)} zones, so it is not one zone of the caller")
    if len(hurt) > 1:
        found.append(f"all of {_joined(sorted(hurt))} see it")
    if facts.features["refused"]:
        found.append(f"the breaker of {_joined(callers) or 'its caller'} opened by itself")
    return found


def _order(target: Target, facts: Facts, alerts: Sequence[Alert]) -> list[str]:
    """Who was hurt after it."""
    later = {
        blamed(alert).peer: alert.onset
        for alert in sorted(alerts, key=lambda alert: -alert.onset)
        if alert.signal not in (Signal.SURGE, Signal.MISSING) and blamed(alert).peer != target.peer
    }
    if facts.started is None or not later:
        return []
    peer, onset = min(later.items(), key=lambda pair: pair[1])
    gap_s = onset - facts.started
    return [f"started first, {gap_s:.0f} s before {peer}"] if gap_s >= 1 else []


def _mine(alert: Alert, target: Target) -> bool:
    about = blamed(alert)
    return about.peer == target.peer and (not target.zone or about.zone == target.zone)


def _mostly(counts: dict[str, int]) -> str:
    top = max(counts, key=lambda kind: counts[kind])
    word = _WORDS.get(top, top)
    return word if len(counts) == 1 else f"mostly {word}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f} %"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
