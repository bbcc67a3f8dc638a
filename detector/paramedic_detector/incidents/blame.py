"""Whom alerts blame: every alert points at somebody, and alerts that share a culprit are one cause.

    alerts --who could explain each--> culprits --a symptom goes to the cause below it--> groups by peer

A failed call points at the callee. A slow call between two of our own services points at both: a sick service slows
what calls it and what it calls, so the culprit is whoever explains most links. A level of a service (memory, a
pool) points at that service, and at nobody when the service is in no call at all: then what began together is
one cause. Calls that nobody asked for are the caller's doing, save when the callee fails: then they are retries.
An alert on a caller is a symptom when something that it calls is abnormal too and began no later. A refused
connection is never a symptom: no sick dependency unplugs the process above it. Nor are more calls a request: they are
what makes the callee slow. Nor is one zone of several, unless
its calls do nothing but wait: which zone the last hung calls end in is chance.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.slots import Cell, error_cell
from paramedic_detector.values import Alert, Signal

OPENING: Final = frozenset(
    {
        Signal.ERRORS, Signal.RATE_LIMITED, Signal.AUTH, Signal.SLOW, Signal.OWN_TIME, Signal.GAP, Signal.FIRST_TOKEN,
        Signal.HANG, Signal.USELESS, Signal.REFUSED, Signal.TOKENS, Signal.COST, Signal.GAUGE, Signal.DRIFT, Signal.SLO,
        Signal.OUTSIDE, Signal.FANOUT,
    }
)  # fmt: skip
TELLING: Final = frozenset({Signal.ERRORS, Signal.RATE_LIMITED, Signal.AUTH, Signal.USELESS})  # how a thing fails
DELAYS: Final = frozenset({Signal.SLOW, Signal.OWN_TIME, Signal.GAP})  # a caller may be the culprit of its callee's
OWN: Final = frozenset({Signal.OWN_TIME, Signal.GAP, Signal.GAUGE, Signal.DRIFT})  # measured without what lies below
LEVELS: Final = frozenset({Signal.GAUGE})  # point at a service and say nothing of its calls
LINGERING: Final = frozenset({Signal.SLO, Signal.OUTSIDE})  # fire on long after what they are about is over
LOOKS_BACK: Final = frozenset({Signal.SLO, Signal.DRIFT})
BESIDE: Final = LEVELS | LINGERING  # keep alive only an incident that consists of nothing else
EARLIER_S: Final = 5.0  # a symptom may look this much older than its cause: long calls end late
TOGETHER_S: Final = 60.0  # what began within this of each other may have one cause
SPACINGS: Final = 4.0  # and within so many times the time between two calls
PATIENT_S: Final = 120.0  # of calls; between two points of a level there may be more
MOST: Final = 12.0  # of a score counts when culprits are weighed: one loud link is not many
AS_CALLER: Final = 0.9  # a link speaks a little less for the caller than for the callee


def blamed(alert: Alert) -> Target:
    """Whom an alert is about: the callee of a call, or the service itself."""
    key = alert.key
    if key.family in ("edge", "callee"):
        return Target(peer=key.part("callee"), zone=key.part("zone"))
    if key.family == "outside":
        return Target(peer=key.part("peer") or key.part("service") or key.part("name"))
    if key.part("kind") == "client" and key.part("peer"):
        return Target(peer=key.part("peer"))
    return Target(peer=key.part("service"), zone=key.part("zone"))


def own_fault(alerts: Iterable[Alert]) -> bool:
    """Whether the calls failed to connect: the callee itself is gone, whatever is wrong below it."""
    broken = failed = 0
    for alert in alerts:
        if alert.signal is Signal.ERRORS:
            failed += sum(alert.error_types.values())
            broken += sum(n for kind, n in alert.error_types.items() if error_cell(kind) is Cell.CONNECTION)
    return failed > 0 and broken >= failed / 2


def suspects(alert: Alert, topology: Topology) -> frozenset[str]:
    """The peers that could be the cause of what this alert shows; the first to blame among them."""
    caller, callee = link(alert)
    if caller and alert.signal in DELAYS and callee in topology.services:
        return frozenset({caller, callee})
    if alert.key.family == "callee" and alert.signal in DELAYS and callee in topology.services:
        return frozenset({callee, *topology.callers(Target(peer=callee))})
    if alert.signal in DELAYS and _calls_somebody(alert):
        return frozenset({caller, *topology.callees(caller)})
    return frozenset({blamed(alert).peer})


def _calls_somebody(alert: Alert) -> bool:
    """Whether it is about calls of a service that do not tell whom it called."""
    return alert.key.family == "op" and alert.key.part("kind") == "client" and not alert.key.part("peer")


def link(alert: Alert) -> tuple[str, str]:
    """Caller and callee of the calls that an alert is about; "" for one that is not told."""
    key = alert.key
    if _calls_somebody(alert):
        return key.part("service"), ""
    if key.family == "edge":
        return key.part("caller"), key.part("callee")
    if key.family == "op" and key.part("kind") == "client" and key.part("peer"):
        return key.part("service"), key.part("peer")
    return "", blamed(alert).peer


def patience_s(alert: Alert, least: float) -> float:
    """How long to wait for news of this series: where calls are rare, so is the sign that it is well again.

    Args:
        least: Seconds that are always waited.
    """
    spacing_s = max(0.0, alert.at - alert.onset) / max(1, alert.calls)
    longest = max(PATIENT_S, SPACINGS * spacing_s) if alert.key.family == "gauge" else PATIENT_S
    return min(max(least, SPACINGS * spacing_s), longest)


def began(alerts: Iterable[Alert]) -> float:
    """When the first of them began, as the sharpest of them tell.

    A level is known by the minute, budgets and drifts look back for hours, and traffic changes all the time: each
    counts only without better.
    """
    known = list(alerts)
    known = [alert for alert in known if alert.signal in OPENING] or known
    sharp = [one for one in known if one.signal not in LOOKS_BACK | LEVELS]
    return min(alert.onset for alert in sharp or [one for one in known if one.signal not in LOOKS_BACK] or known)


def causes(alerts: Sequence[Alert], topology: Topology) -> dict[str, list[Alert]]:
    """Opening alerts by the peer that explains them: its own, and those of its callers that it makes suffer."""
    by_peer = culprits([alert for alert in alerts if alert.signal in OPENING], topology)
    roots = {peer for peer in by_peer if not below(peer, by_peer[peer], by_peer, topology)}
    groups: dict[str, list[Alert]] = {peer: list(by_peer[peer]) for peer in by_peer if peer in roots}
    for peer, own in by_peer.items():
        if peer not in roots:
            groups[_strongest(below(peer, own, by_peer, topology), by_peer, roots)].extend(own)
    return groups


def culprits(alerts: Sequence[Alert], topology: Topology) -> dict[str, list[Alert]]:
    """Alerts by the peer that explains them best, before symptoms are told from causes."""
    found: dict[str, list[Alert]] = defaultdict(list)
    doubtful: list[Alert] = []
    for alert in alerts:
        if alert.signal in LEVELS or alert.signal is Signal.FANOUT:
            continue
        possible = suspects(alert, topology)
        if len(possible) == 1:
            found[next(iter(possible))].append(alert)
        else:
            doubtful.append(alert)
    sure = {peer: list(own) for peer, own in found.items() if any(alert.signal in OWN for alert in own)}
    for part in _by_onset(doubtful):
        certain = {peer for peer, own in sure.items() if began_together(own, part)}
        _share_out(part, certain, found, topology)
    for alert in alerts:
        if alert.signal is Signal.FANOUT:
            caller, callee = link(alert)
            fails = any(one.signal in TELLING for one in found.get(callee, ()))
            found[callee if fails or not caller else caller].append(alert)
    _add_levels([alert for alert in alerts if alert.signal in LEVELS], found, topology)
    return dict(found)


def _by_onset(alerts: Sequence[Alert]) -> list[list[Alert]]:
    """Apart where nothing began for a while: what began at different times has different culprits."""
    parts: list[list[Alert]] = []
    for alert in sorted(alerts, key=lambda alert: alert.onset):
        if parts and alert.onset - parts[-1][-1].onset <= patience_s(alert, TOGETHER_S):
            parts[-1].append(alert)
        else:
            parts.append([alert])
    return parts


def _share_out(alerts: list[Alert], certain: set[str], found: dict[str, list[Alert]], topology: Topology) -> None:
    """Give each slow link to the end that explains more links than the other; the callee in doubt.

    Args:
        certain: Peers that are abnormal by what is measured of them alone.
        found: Alerts by culprit, which grows.
    """
    left = list(alerts)
    while left:
        weights = _weights(left, certain)
        several = [peer for peer, (_, ends) in weights.items() if ends > 1 or peer in certain]
        if not several:
            break
        best = max(several, key=lambda peer: (weights[peer][0] + MOST * (peer in certain), peer))
        taken = [alert for alert in left if best in suspects(alert, topology)]
        found[best] += taken
        left = [alert for alert in left if best not in suspects(alert, topology)]
    callees = {
        link(alert)[0]: blamed(alert).peer for alert in sorted(left, key=lambda one: one.score) if link(alert)[1]
    }
    for alert in left:
        unnamed = _calls_somebody(alert)
        found[callees.get(link(alert)[0], blamed(alert).peer) if unnamed else blamed(alert).peer].append(alert)


def _weights(alerts: Sequence[Alert], certain: set[str]) -> dict[str, tuple[float, int]]:
    """By peer: how much it explains, and over how many links."""
    links: dict[tuple[str, str], float] = defaultdict(float)
    for alert in alerts:
        links[link(alert)] = max(links[link(alert)], min(alert.score, MOST))
    weights: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    callers = {caller for caller, callee in links if callee}
    for (caller, callee), score in links.items():
        if not callee and caller in callers:
            continue  # the same calls, told once more without the callee
        share = 1.0 if caller else 0.5  # seen by all callers together, and so perhaps the same calls again
        if callee:
            weights[callee] = (weights[callee][0] + share * score, weights[callee][1] + bool(caller))
        if caller and callee not in certain:
            weights[caller] = (weights[caller][0] + AS_CALLER * score, weights[caller][1] + 1)
    return weights


def _add_levels(levels: Sequence[Alert], found: dict[str, list[Alert]], topology: Topology) -> None:
    """Levels go to their own service, else to what began together with them, else they are a cause themselves.

    A cause they are only where nobody tells of calls. Where calls are told, users feel what is wrong with those, and
    a level that no call suffers from opens nothing: it stands beside an incident of its service or of a neighbour.
    """
    told = bool(topology.edges())
    by_service: dict[str, list[Alert]] = defaultdict(list)
    for alert in levels:
        by_service[blamed(alert).peer].append(alert)
    for service, own in sorted(by_service.items(), key=lambda pair: (began(pair[1]), pair[0])):
        others = [peer for peer in found if peer != service and began_together(own, found[peer])]
        near = [peer for peer in others if topology.adjacent(service, peer) or not told]
        if service in found or not (near or told):
            found[service] += own
        elif not near:
            continue
        else:
            found[max(near, key=lambda peer: (_total(found[peer]), peer))] += own


def began_together(some: Sequence[Alert], others: Sequence[Alert]) -> bool:
    apart_s = abs(began(some) - began(others))
    return apart_s <= max(patience_s(alert, TOGETHER_S) for alert in (*some, *others))


def below(peer: str, own: Sequence[Alert], by_peer: Mapping[str, Sequence[Alert]], topology: Topology) -> list[str]:
    """Abnormal peers below this one that can explain its alerts."""
    if own_fault(own) or one_member_of_many(peer, own, topology) or any(one.signal is Signal.FANOUT for one in own):
        return []
    since, itself = began(own), shows_itself(own)
    return [
        other
        for other, theirs in by_peer.items()
        if other != peer
        and topology.reaches(peer, other)
        and not topology.reaches(other, peer)
        and began(theirs) <= since + EARLIER_S
        and not all(alert.signal is Signal.DRIFT for alert in theirs)
        and not (itself and not began_together(own, theirs))
    ]


def shows_itself(own: Sequence[Alert]) -> bool:
    """Whether it is clearly abnormal, or nothing else is, in what is measured without what lies below.

    Then it is a symptom only of what began together with it: a span whose children were not recorded, or that waits
    for them without calling, shows their time as its own.
    """
    clear = (alert for alert in own if alert.signal in OWN and not _calls_somebody(alert))
    alone = all(alert.signal in OWN for alert in own)
    return alone or any(alert.signal is Signal.DRIFT or alert.score >= MOST for alert in clear)


def one_member_of_many(peer: str, own: Sequence[Alert], topology: Topology) -> bool:
    zones = {blamed(alert).zone for alert in own} - {""}
    healthy = set(topology.healthy_members(peer)) - zones
    waits = all(alert.signal in (Signal.SLOW, Signal.HANG) for alert in own)
    return len(zones) == 1 and len(healthy) > 0 and not waits and all(alert.key.family != "op" for alert in own)


def _strongest(candidates: Sequence[str], by_peer: Mapping[str, Sequence[Alert]], roots: set[str]) -> str:
    wanted = [peer for peer in candidates if peer in roots] or sorted(roots)
    return max(wanted, key=lambda peer: (_total(by_peer[peer]), peer))


def _total(alerts: Sequence[Alert]) -> float:
    return sum(alert.score for alert in alerts)
