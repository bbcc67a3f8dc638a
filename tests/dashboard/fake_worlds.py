"""Worlds for the fake API: what a platform would say on a quiet night, in an incident, when data stop, under attack.

Moments lie a little before now, numbers of verdict, action and chart belong together, and every world has
what a page could wrongly show: an old resolved incident, a rejected action, a refused call.
"""

import math
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

HOSTILE = (
    '<script>alert(1)</script><img src="http://192.0.2.1/x.png" onerror="alert(2)"> '
    "![pic](http://192.0.2.1/y.png) [click](http://192.0.2.1/) **bold** :material/home: `code` $x^2$ www.example.com"
)
DETAIL_ONLY = ("suspects", "alert_list", "actions", "timeline", "evidence", "traces", "similar")


def moment(unix_s: float | None) -> str | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat()


@dataclass
class World:
    """Everything the API can be asked for; `incidents` are details, newest first."""

    incidents: list[Json] = field(default_factory=list)
    users: Json = field(default_factory=dict)
    noise: Json = field(default_factory=lambda: {"raw_alerts": 0, "alerts": 0, "incidents": 0, "notifications": 0})
    success_line: list[tuple[float, float | None]] = field(default_factory=list)
    data_lag_s: float | None = 2.0  # None: no data yet
    stopped: bool = False
    version: int = 41

    def data_at(self) -> str | None:
        return None if self.data_lag_s is None else moment(time.time() - self.data_lag_s)

    def version_answer(self) -> Json:
        return {"version": self.version, "data_at": self.data_at()}

    def overview(self) -> Json:
        unresolved = [summary(one) for one in self.incidents if one["state"] != "resolved"]
        return {
            **self.version_answer(),
            "now": moment(time.time()),
            "stopped": self.stopped,
            "users": self.users,
            "needs_you": [one for one in unresolved if one["needs_you"]],
            "in_hand": [one for one in unresolved if not one["needs_you"]],
            "resolved": [summary(one) for one in self.incidents if one["state"] == "resolved"],
            "in_force": [action for action in self.actions() if action["in_force"]],
            "noise": self.noise,
            "success_line": {"name": "success", "points": self.success_line},
        }

    def actions(self) -> list[Json]:
        return [action for one in self.incidents for action in one["actions"]]

    def incident(self, id_: str) -> Json | None:
        return next((one for one in self.incidents if one["id"] == id_), None)


def summary(detail: Json) -> Json:
    return {name: value for name, value in detail.items() if name not in DETAIL_ONLY}


def quiet() -> World:
    return World(
        incidents=[old_incident()],
        users=users(0.9987, "Answers are normal: 99.87 % of 412 requests in the last 30 s were good."),
        noise={"raw_alerts": 31, "alerts": 4, "incidents": 1, "notifications": 2},
        success_line=wave(900, lambda age: 0.998),
    )


def empty() -> World:
    nobody = {"success": None, "p95_s": None, "calls_per_s": None, "sentence": "No requests yet."}
    return World(users=nobody, data_lag_s=None)


def treated() -> World:
    """aurora fails, paramedic has failed over and verified it; nobody has acknowledged yet."""
    incident = outage()
    return World(
        incidents=[incident, *old_incidents()],
        users=users(0.9954, "Answers are normal again since the failover, served by borealis."),
        noise={"raw_alerts": 96, "alerts": 11, "incidents": 1, "notifications": 2},
        success_line=wave(900, lambda age: 0.62 if 238 > age > 227 else 0.995),
    )


def waiting() -> World:
    """A zone is slow, paramedic is fairly sure, and asks before it leaves the zone; plus one in hand."""
    incident = outage(
        id="INC-13", action_state="proposed", title="support-bot in eu-1b answers slowly", severity=2,
        target="support-bot in eu-1b", fault_class="zone_outage", probability=0.78,
        cause="support-bot in eu-1b takes 6.8 s at the 95th percentile (usual 1.2 s)", done="",
        you="Review the failover of front-door away from support-bot in eu-1b.", verification="",
    )  # fmt: skip
    mine = {**outage(), "state": "acknowledged", "owner": "maya", "needs_you": False}
    mine |= {"acknowledged_at": moment(time.time() - 40)}
    return World(
        incidents=[incident, mine, *old_incidents()],
        users=users(0.931, "6.9 % of answers come late or not at all, all from eu-1b."),
        noise={"raw_alerts": 54, "alerts": 9, "incidents": 2, "notifications": 3},
        success_line=wave(900, lambda age: 0.93 if age < 200 else 0.995),
    )


def stale() -> World:
    world = treated()
    world.data_lag_s = 190.0
    return world


def hostile() -> World:
    """Every text comes from somebody who wishes us ill."""
    incident = outage()
    poison(incident)
    incident["id"], incident["actions"][0]["incident"] = "INC-66", "INC-66"
    second = outage(id="INC-67", action_state="proposed", title=HOSTILE, cause=HOSTILE, done="", verification="")
    second["actions"][0] |= {"target": HOSTILE, "service": HOSTILE, "reason": HOSTILE}
    world = World(
        incidents=[incident, second, {**old_incident(), "title": HOSTILE, "owner": HOSTILE}],
        users=users(0.9, HOSTILE),
        noise={"raw_alerts": 3, "alerts": 2, "incidents": 2, "notifications": 1},
        success_line=wave(900, lambda age: 0.9),
    )
    world.stopped = True
    return world


def many() -> World:
    world = treated()
    old = range(400, 520)
    world.incidents += [old_incident(id=f"INC-{n}", age_s=7200.0 + 60 * n, title=f"aurora fails ({n})") for n in old]
    return world


def poison(value: Any) -> None:
    """Put hostile text into every free text below, in place."""
    texts = {
        *("title", "cause", "done", "you", "text", "explanation", "series", "reason", "result", "name", "kind", "unit"),
        *("note", "error", "service", "target", "ended_by", "owner", "instance", "signal", "rule", "refused_by"),
    }
    enums = {"detect", "group", "diagnose", "act", "verify", "recover", "notify", "person"}
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in texts and isinstance(inner, str) and inner not in enums:
                value[name] = HOSTILE
            elif name in ("evidence", "callers_hurt") and isinstance(inner, list):
                value[name] = [HOSTILE for _ in inner]
            else:
                poison(inner)
        if "attributes" in value:
            value["attributes"] = dict.fromkeys(value["attributes"], HOSTILE)
    elif isinstance(value, list):
        for inner in value:
            poison(inner)


def users(success: float, sentence: str) -> Json:
    return {"success": success, "p95_s": 2.31, "calls_per_s": 13.7, "sentence": sentence}


def wave(length_s: int, level: Any, step_s: float = 3.0) -> list[tuple[float, float | None]]:
    """Success over the last `length_s` seconds with a little noise and one hole."""
    dice, now = random.Random(7), time.time()
    points: list[tuple[float, float | None]] = []
    for n in range(int(length_s / step_s)):
        age = length_s - n * step_s
        noisy = min(1.0, level(age) + dice.uniform(-0.003, 0.003))
        points.append((now - age, None if 700 < age < 712 else noisy))
    return points


def outage(*, id: str = "INC-12", age_s: float = 240.0, action_state: str = "verified", **changed: Any) -> Json:
    """aurora answers 503 or hangs; times are seconds after onset: seen 4, acted 5, verified 17."""
    onset = time.time() - age_s
    acted = action_state == "verified"
    incident = {
        "id": id,
        "version": 6,
        "state": "open",
        "severity": 1,
        "title": "aurora fails: provider outage",
        "fault_class": "provider_outage",
        "probability": 0.97,
        "target": "aurora",
        "cause": "aurora answers 503 to 48 % of calls and lets the rest hang",
        "done": "Failed over support-bot from aurora to borealis; 10 % of calls still probe aurora." if acted else "",
        "verification": "verified" if acted else "",
        "you": "Acknowledge. No approval is waiting; paramedic goes back to aurora by itself when probes succeed.",
        "needs_you": True,
        "onset_at": moment(onset),
        "opened_at": moment(onset + 4),
        "acknowledged_at": None,
        "acted_at": moment(onset + 5) if acted else None,
        "verified_at": moment(onset + 17) if acted else None,
        "mitigated_at": None,
        "resolved_at": None,
        "owner": "",
        "alerts": 11,
        "impact": {"calls": 1840, "bad_calls": 212, "callers_hurt": ["support-bot", "front-door"]},
        "suspects": suspects(),
        "alert_list": alerts(onset),
        "actions": [action(id, onset, action_state)],
        "timeline": timeline(onset, acted),
        "evidence": evidence(onset, acted),
        "traces": traces(),
        "similar": [
            {"id": "INC-7", "title": "aurora fails: provider outage", "opened_at": moment(onset - 12 * 86400),
             "match": 0.93, "ended_by": "failover, back after 47 min"},
            {"id": "INC-3", "title": "aurora limits the rate", "opened_at": moment(onset - 31 * 86400),
             "match": 0.71, "ended_by": "concurrency 60 → 40"},
        ],
    }  # fmt: skip
    for one in incident["actions"]:  # type: ignore[attr-defined]
        one["target"], one["service"] = changed.get("target", "aurora"), _caller(changed)
    return {**incident, **changed}


def _caller(changed: Json) -> str:
    return "front-door" if "support-bot" in str(changed.get("target", "")) else "support-bot"


def old_incident(*, id: str = "INC-9", age_s: float = 5400.0, title: str = "borealis limits the rate") -> Json:
    incident = outage(id=id, age_s=age_s, title=title, severity=3, target="borealis")
    onset = time.time() - age_s
    incident |= {"state": "resolved", "needs_you": False, "owner": "jun", "fault_class": "provider_rate_limited"}
    incident |= {"acknowledged_at": moment(onset + 60), "mitigated_at": moment(onset + 17), "you": ""}
    incident |= {"resolved_at": moment(onset + 620)}
    for one in incident["actions"]:
        one |= {"in_force": False, "rolled_back_at": moment(onset + 600), "lease_ends_at": None}
    return incident


def old_incidents() -> list[Json]:
    return [
        old_incident(),
        old_incident(id="INC-8", age_s=26000, title="support-bot in eu-1a vanished"),
        old_incident(id="INC-7", age_s=12 * 86400, title="aurora fails: provider outage"),
    ]


def suspects() -> list[Json]:
    return [
        {"name": "aurora", "kind": "provider", "probability": 0.97, "evidence": [
            "48 % of 84 calls answered 503, the rest hang (usual 0.1 %)",
            "Changed first, 1 s before support-bot",
            "Both zones are hurt alike, so it is not a zone of ours"]},
        {"name": "support-bot", "kind": "service", "probability": 0.02, "evidence": [
            "Fails only in calls to aurora; its own time is as usual"]},
        {"name": "orders", "kind": "dependency", "probability": 0.01, "evidence": ["Healthy: 0 of 61 calls failed"]},
    ]  # fmt: skip


def alerts(onset: float) -> list[Json]:
    rows = (
        ("edge support-bot→aurora", "errors", 9.1, "48 % of 84 calls failed (usual 0.1 %), mostly 503"),
        ("edge support-bot→aurora", "hang", 7.4, "31 calls do not end, the oldest for 6.2 s"),
        ("op front-door POST /chat", "slow", 4.2, "p95 is 7.9 s (usual 2.2 s)"),
    )
    return [
        {"series": series, "signal": signal, "onset_at": moment(onset), "last_at": moment(onset + 40),
         "score": score, "explanation": text}
        for series, signal, score, text in rows
    ]  # fmt: skip


def action(incident: str, onset: float, state: str) -> Json:
    sent = state != "proposed"
    return {
        "id": f"ACT-{incident.removeprefix('INC-')}",
        "incident": incident,
        "version": 3,
        "kind": "failover",
        "service": "support-bot",
        "target": "aurora",
        "state": state,
        "rule": "leave-failing-provider",
        "automatic": sent,
        "by": "policy",
        "reason": "a provider that fails is left for its fallback",
        "result": "Treated calls succeed, probes of aurora still fail: the failover works." if sent else "",
        "before": 0.524 if sent else None,
        "after": 0.996 if sent else None,
        "probing": 0.41 if sent else None,
        "created_at": moment(onset + 4.6),
        "sent_at": moment(onset + 4.8) if sent else None,
        "applied_at": moment(onset + 5) if sent else None,
        "ended_at": None,
        "rolled_back_at": None,
        "lease_ends_at": moment(time.time() + 24) if sent else None,
        "in_force": sent,
        "probe_share": 0.1,
        "acks": [{"instance": "support-bot-eu-1a-1", "state": "applied", "reason": "", "at": moment(onset + 5)},
                 {"instance": "support-bot-eu-1b-1", "state": "rejected", "reason": "no fallback",
                  "at": moment(onset + 5)}] if sent else [],
    }  # fmt: skip


def timeline(onset: float, acted: bool) -> list[Json]:
    events = [
        (3.4, "detect", "48 % of calls of support-bot to aurora fail (usual 0.1 %)"),
        (4.0, "group", "11 alerts grouped into this incident"),
        (4.4, "diagnose", "aurora, provider outage: 97 % likely"),
    ]
    if acted:
        events += [
            (4.8, "act", "Failover of support-bot away from aurora sent to 2 instances, lease 30 s"),
            (5.0, "act", "Applied by support-bot-eu-1a-1"),
            (5.6, "notify", "One message to Slack"),
            (17.0, "verify", "Verified: 52.4 % → 99.6 % good answers; probes of aurora still fail"),
        ]
    return [{"at": moment(onset + at), "kind": kind, "text": text} for at, kind, text in events]


def evidence(onset: float, acted: bool) -> Json:
    """Series of the verdict: users recover with the action, aurora itself does not."""
    begin, now, dice = onset - 120, time.time(), random.Random(3)
    seconds = [begin + n for n in range(0, int(now - begin), max(1, int((now - begin) / 380)))]

    def wobble(value: float, by: float) -> float:
        return max(0.0, value + dice.uniform(-by, by))

    def hurt(at: float) -> bool:
        return onset <= at and not (acted and at > onset + 6)

    good = [(at, min(1.0, wobble(0.524 if hurt(at) else 0.995, 0.005))) for at in seconds]
    ill = [(at, wobble(0.59, 0.03) if at >= onset else wobble(0.001, 0.001)) for at in seconds]
    bad = [(at, None if 0 < at - onset - 60 < 6 else value) for at, value in ill]
    slow = [(at, wobble(7.9 if hurt(at) else 2.2, 0.25)) for at in seconds]
    aurora = [(at, wobble(1.2 if acted and at > onset + 6 else 12.4, 0.5 + math.sin(at / 9) * 0.3)) for at in seconds]
    borealis = [(at, wobble(11.1 if acted and at > onset + 6 else 0.2, 0.2)) for at in seconds]
    return {
        "panels": [
            {"title": "Good answers to users", "unit": "ratio", "lines": [{"name": "front-door", "points": good}]},
            {"title": "Errors of aurora", "unit": "ratio", "lines": [{"name": "aurora", "points": bad}]},
            {"title": "Slowest 5 % take over", "unit": "s", "lines": [{"name": "front-door", "points": slow}]},
            {"title": "Calls", "unit": "1/s", "lines": [{"name": "aurora", "points": aurora},
                                                          {"name": "borealis", "points": borealis}]},
        ],
        "fault_from": moment(onset),
        "fault_to": None,
        "marks": [{"at": moment(onset + 5), "text": "failover"}] if acted else [],
    }  # fmt: skip


def traces() -> list[Json]:
    def span(id_: str, parent: str, service: str, name: str, start: float, took: float, **more: Any) -> Json:
        return {"span_id": id_, "parent_id": parent, "service": service, "name": name, "kind": "CLIENT",
                "start_ms": start, "duration_ms": took, "status": "ok", **more}  # fmt: skip

    llm = {"gen_ai.request.model": "aurora-large", "gen_ai.provider.name": "aurora", "paramedic.fallback.level": "0"}
    light = {
        "gen_ai.request.model": "borealis-small", "gen_ai.provider.name": "borealis", "paramedic.fallback.level": "1",
        "gen_ai.usage.input_tokens": "412", "gen_ai.usage.output_tokens": "96", "paramedic.cost": "0.0004",
        "gen_ai.response.time_to_first_chunk": "0.31",
    }  # fmt: skip
    hang = [
        span("a", "", "front-door", "POST /chat", 0, 9120, kind="SERVER"),
        span("b", "a", "front-door", "bot", 4, 9110),
        span("c", "b", "support-bot", "POST /chat", 9, 9098, kind="SERVER"),
        span("d", "c", "support-bot", "orders", 22, 38),
        span("e", "c", "support-bot", "llm.primary", 66, 8000, status="error", error="timeout", attributes=llm),
        span("f", "c", "support-bot", "llm.light", 8070, 1020, attributes=light),
    ]
    refused = [
        span("a", "", "front-door", "POST /chat", 0, 1240, kind="SERVER"),
        span("c", "a", "support-bot", "POST /chat", 6, 1228, kind="SERVER"),
        span("e", "c", "support-bot", "llm.primary", 61, 0.1, refused_by="command", attributes=llm),
        span("f", "c", "support-bot", "llm.light", 62, 1150, attributes=light),
    ]
    before, after = "slowest call that failed, before the failover", "the same path after the failover"
    return [
        {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "note": before, "spans": hang},
        {"trace_id": "00f067aa0ba902b7a3ce929d0e0e4736", "note": after, "spans": refused},
    ]


WORLDS = {one.__name__: one for one in (quiet, empty, treated, waiting, stale, hostile, many)}
