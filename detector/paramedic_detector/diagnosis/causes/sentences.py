"""Why a suspect: sentences for people, the most telling first."""

from collections.abc import Sequence
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.causes.fusion import Part
from paramedic_detector.diagnosis.causes.index import Index
from paramedic_detector.diagnosis.causes.members import Member
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.values import Alert, Signal

MOST: Final = 6
TOLD: Final = 0.2  # nats from which a module's sentence is worth reading


def kind_of(peer: str, topology: Topology) -> str:
    """What a peer is: a model provider, a service that tells about itself, or a dependency that does not."""
    if peer in topology.providers:
        return "provider"
    if not topology.callers(Target(peer=peer)) and not topology.callees(peer):
        return "service"
    return "service" if peer in topology.services and topology.callees(peer) else "dependency"


def evidence_of(
    member: Member, index: Index, parts: Sequence[Part], alerts: Sequence[Alert], topology: Topology
) -> tuple[str, ...]:
    """What speaks against one suspect."""
    mine = sorted((alert for alert in alerts if _about(alert, member)), key=_first)
    said = list(dict.fromkeys(alert.explanation for alert in mine if alert.signal is not Signal.SURGE))
    found = [*said[:1], *_order(member, alerts), *_seen(member, index, parts), *_places(member, topology), *said[1:3]]
    return tuple(list(dict.fromkeys(found))[:MOST])


def _seen(member: Member, index: Index, parts: Sequence[Part]) -> list[str]:
    """The modules' sentences, the loudest first."""
    number = index.number(member.target.peer)
    if number < 0:
        return []
    loud = sorted((part for part in parts if part.gain[number] > TOLD), key=lambda part: -part.gain[number])
    return [sentence for part in loud if (sentence := part.evidence.say(number))]


def _order(member: Member, alerts: Sequence[Alert]) -> list[str]:
    """Who was hurt after it."""
    began: dict[str, float] = {}
    for alert in alerts:
        if alert.signal not in (Signal.SURGE, Signal.MISSING, Signal.DROP):
            peer = blamed(alert).peer
            began[peer] = min(began.get(peer, alert.onset), alert.onset)
    mine = began.pop(member.target.peer, None)
    if mine is None or not began:
        return []
    peer, onset = min(began.items(), key=lambda pair: pair[1])
    return [f"changed first, {onset - mine:.0f} s before {peer}"] if onset - mine >= 1 else []


def _places(member: Member, topology: Topology) -> list[str]:
    """What its zones and its callers say."""
    target, found = member.target, []
    callers = topology.callers(target)
    if member.kind == "zone":
        well = [zone for zone in topology.healthy_members(target.peer) if zone != target.zone]
        if well:
            found.append(f"only {target.zone} is hurt; {target.peer} in {_joined(well)} is well")
    zones = {key.part("zone") for key in topology.op_keys if key.part("peer") == target.peer and key.part("zone")}
    hurt = {edge.caller for edge in topology.towards(target) if edge.unwell or edge.error_ratio}
    if member.kind != "zone" and len(zones) > 1 and callers and hurt:
        found.append(f"{_joined(callers)} calls it from {len(zones)} zones, so it is not one zone of the caller")
    if len(hurt) > 1:
        found.append(f"all of {_joined(sorted(hurt))} see it")
    return found


def _about(alert: Alert, member: Member) -> bool:
    about = blamed(alert)
    return about.peer == member.target.peer and (not member.target.zone or about.zone == member.target.zone)


def _first(alert: Alert) -> tuple[bool, float]:
    return alert.signal is Signal.MISSING, -alert.score


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
