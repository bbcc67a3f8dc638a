"""How a simulated service calls another: its guard, the way there and back, and what the callee does with it.

begin --breaker, bulkhead--> refused
             '--------------> attempt --network--> callee --> end, cut off at the deadline --> retry, other zone
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.simulate.circuits import Budget, Circuit
from paramedic_detector.simulate.effects import parameter
from paramedic_detector.simulate.graph import Call, Provider, Service, Store

if TYPE_CHECKING:
    from paramedic_detector.simulate.walk import Answers, Callers, Walk

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Small = NDArray[np.int16]
REFUSED_S: Final = 0.002  # until a connection is refused
RETRY_BASE_S: Final = 0.1
RETRANSMIT_S: Final = (0.2, 1.0)  # TCP sends again after these
RETRIED: Final = ("timeout", "ConnectError", "ReadError", "408", "425", "429", "500", "502", "503", "504", "529")


class Attempt:
    """What became of calls on their way: everything a client span tells."""

    def __init__(self, begin: Floats) -> None:
        count = len(begin)
        self.end = begin.copy()
        self.error, self.useless = np.zeros(count, np.int16), np.zeros(count, np.int16)
        self.gap, self.first = np.full(count, np.nan), np.full(count, np.nan)
        self.tokens_in, self.tokens_out = np.zeros(count, np.int32), np.zeros(count, np.int32)
        self.cost = np.zeros(count)

    def put(self, which: NDArray[np.generic], other: "Attempt") -> None:
        for name, value in vars(other).items():
            getattr(self, name)[which] = value


class Guards:
    """All guards of all processes."""

    def __init__(self, walk: "Walk") -> None:
        self._walk, self._graph, self._spans, self._rng = walk, walk.graph, walk.spans, walk.rng
        self.circuits: dict[tuple[str, str, int, int], Circuit] = defaultdict(Circuit)  # service, guard, zone, member
        self.budgets: dict[tuple[str, str], Budget] = defaultdict(Budget)  # service, peer

    @property
    def calm(self) -> bool:
        return not any(circuit.tense for circuit in self.circuits.values())

    def make(self, service: Service, call: Call, callers: "Callers", version: Small) -> "Answers":
        """Make calls through one guard, with retries, or one zone after the other."""
        from paramedic_detector.simulate.walk import Answers

        storm = list(self._walk.effects.of(call.peer, "retries"))
        attempts = int(parameter(storm[0], "factor")) if storm else 1 + call.retries
        member = self._members(call, callers)
        answers, asked, at = Answers.at(callers.at), np.arange(len(callers)), callers.at.copy()
        for number in range(max(attempts, 2 if call.routed else 1)):
            if number:
                asked, at = self._again(service, call, answers, asked, bool(storm))
                if call.routed:
                    member = self._other(call, member)
            if not len(asked):
                break
            now = callers.pick(asked)
            now.at = at
            found = self._attempt(service, call, now, version[asked], member[asked], storms=bool(storm))
            answers.end[asked], answers.error[asked] = found.end, found.error
            answers.useless[asked] = found.useless
        return answers

    def _again(
        self, service: Service, call: Call, answers: "Answers", asked: NDArray[np.int64], storm: bool
    ) -> tuple[NDArray[np.int64], Floats]:
        """Which of the calls are tried again, and when."""
        failed = asked[(answers.error[asked] != 0)]
        if call.routed:
            return failed, answers.end[failed]
        words = {self._spans.words[name] for name in RETRIED}
        failed = failed[np.isin(answers.error[failed], list(words))]
        if not storm:
            allowed = self.budgets[service.name, call.peer].allows(len(failed))
            failed = failed[:allowed]
        return failed, answers.end[failed] + self._rng.uniform(0, RETRY_BASE_S, len(failed))

    def _members(self, call: Call, callers: "Callers") -> Small:
        """Which zone of the callee each call goes to."""
        part = self._graph.by_name[call.peer]
        zones = part.zones if isinstance(part, Service) else ("",)
        numbers = np.array([self._walk.zone_number(zone) for zone in zones], np.int16)
        drawn = numbers[self._rng.integers(0, len(numbers), len(callers))]
        if call.routed or len(numbers) == 1:
            return np.asarray(drawn)
        return np.where(np.isin(callers.zone, numbers), callers.zone, drawn).astype(np.int16)

    def _other(self, call: Call, member: Small) -> Small:
        part = self._graph.by_name[call.peer]
        assert isinstance(part, Service)
        numbers = np.array([self._walk.zone_number(zone) for zone in part.zones], np.int16)
        place = np.searchsorted(numbers, member)
        return np.asarray(numbers[(place + 1) % len(numbers)])

    def _attempt(
        self, service: Service, call: Call, callers: "Callers", version: Small, member: Small, *, storms: bool
    ) -> Attempt:
        """One attempt of each call: refused, or made; writes their client spans."""
        refused = self._refused(service, call, callers, member) if not storms else np.zeros(len(callers), np.int16)
        found = Attempt(callers.at)
        made = np.flatnonzero(refused == 0)
        if len(made):
            found.put(made, self._reach(service, call, callers.pick(made), member[made]))
        late = (found.end - callers.at > call.deadline_s) & (refused == 0)
        found.end[late] = callers.at[late] + call.deadline_s
        found.error[late], found.useless[late] = self._spans.words["timeout"], 0
        found.first[late & (found.first > call.deadline_s)] = np.nan
        for name in ("tokens_in", "tokens_out", "cost"):
            getattr(found, name)[late] = 0
        self._tell(service, call, callers, version, member, found, refused)
        self._feed(service, call, callers, member, found, refused)
        found.error[refused > 0] = self._spans.words["refused"]
        return found

    # Who refuses

    def _circuits(
        self, service: Service, call: Call, callers: "Callers", member: Small
    ) -> list[tuple[Circuit, NDArray[np.int64]]]:
        """The guards that these calls go through, each with its calls in the order in which they begin."""
        order = np.argsort(callers.at, kind="stable")
        keys = callers.zone[order].astype(np.int64) * 64 + (member[order] if call.routed else 0)
        return [
            (self.circuits[service.name, call.guard, int(key) // 64, int(key) % 64], order[keys == key])
            for key in np.unique(keys)
        ]

    def _refused(self, service: Service, call: Call, callers: "Callers", member: Small) -> Small:
        refused = np.zeros(len(callers), np.int16)
        if not call.breaker and not call.most_in_flight:
            return refused
        for circuit, places in self._circuits(service, call, callers, member):
            at = callers.at[places]
            if call.breaker and not circuit.calm:
                refused[places[~circuit.admit(at)]] = self._spans.words["breaker"]
            if call.most_in_flight:
                refused[places[circuit.full(at, call.most_in_flight)]] = self._spans.words["bulkhead"]
        return refused

    def _feed(
        self, service: Service, call: Call, callers: "Callers", member: Small, found: Attempt, refused: Small
    ) -> None:
        worked = (found.error == 0) & (found.useless == 0)
        if call.retries:
            made = refused == 0
            self.budgets[service.name, call.peer].feed(int((worked & made).sum()), int((~worked & made).sum()))
        if not call.breaker and not call.most_in_flight:
            return
        for circuit, places in self._circuits(service, call, callers, member):
            mine = places[refused[places] == 0]
            circuit.feed(
                callers.at[mine],
                found.end[mine],
                worked[mine],
                breaker=call.breaker,
                bulkhead=bool(call.most_in_flight),
            )

    def _tell(
        self,
        service: Service,
        call: Call,
        callers: "Callers",
        version: Small,
        member: Small,
        found: Attempt,
        refused: Small,
    ) -> None:
        part = self._graph.by_name[call.peer]
        model = part.model if isinstance(part, Provider) else ""
        duration = found.end - callers.at
        own = np.where(np.isnan(found.gap), duration, np.minimum(found.gap, duration))
        unnamed = self._walk.zone_number("")
        self._spans.add(
            len(callers), begin=callers.at, end=found.end, own=own, gap=np.minimum(found.gap, duration),
            first=found.first, cost=found.cost, trace=callers.trace, tokens_in=found.tokens_in,
            tokens_out=found.tokens_out, base=self._spans.bases[service.name, call.guard, "client", call.peer, model],
            edge=self._spans.edges[service.name, call.peer], zone=callers.zone,
            callee_zone=member if call.routed else unnamed, version=version, error=found.error, refused=refused,
            useless=found.useless,
        )  # fmt: skip

    # The way there and back

    def _reach(self, service: Service, call: Call, callers: "Callers", member: Small) -> Attempt:
        """What the callee makes of calls, and how they come back."""
        walk, part = self._walk, self._graph.by_name[call.peer]
        found, count = Attempt(callers.at), len(callers)
        way = self._graph.network_s * self._rng.lognormal(0.0, 0.5, count)
        broken = self._network(call.peer, callers.at, member, way)
        gone = walk.silent(call.peer, member, callers.at + 0.5 * way)
        if gone.any() or broken.any():
            unreached = gone | broken
            found.error[unreached] = self._spans.words["ConnectError"]
            found.end[unreached] = callers.at[unreached] + np.where(gone[unreached], REFUSED_S, way[unreached])
            reached = np.flatnonzero(~unreached)
            if len(reached):
                found.put(reached, self._answered(call, part, callers.pick(reached), member[reached], way[reached]))
            return found
        return self._answered(call, part, callers, member, way)

    def _network(self, peer: str, at: Floats, member: Small, way: Floats) -> Flags:
        """Make the way longer as the network's faults say; returns which connections break."""
        broken = np.zeros(len(at), bool)
        for one in self._walk.effects.of(peer, "delay"):
            hit = self._walk.effects.struck(one, at, member, self._rng)
            way[hit] += parameter(one, "delay_s") * self._rng.lognormal(0.0, 0.2, len(at))[hit]
        for one in self._walk.effects.of(peer, "loss"):
            hit = self._walk.effects.struck(one, at, member, self._rng)
            share = parameter(one, "share")
            for wait_s in RETRANSMIT_S:
                hit &= self._rng.random(len(at)) < share
                way[hit] += wait_s * self._rng.uniform(1.0, 1.3, len(at))[hit]
            broken |= hit & (self._rng.random(len(at)) < share)
        return broken

    def _answered(
        self, call: Call, part: Service | Provider | Store, callers: "Callers", member: Small, way: Floats
    ) -> Attempt:
        if isinstance(part, Service):
            return self._served(call, part, callers, member, way)
        found = self._modelled(part, callers, way) if isinstance(part, Provider) else self._stored(part, callers, way)
        self._break(part.name, callers, found)
        dies = self._walk.dies_at(part.name, member, callers.at, found.end)
        self._cut_off(found, dies)
        return found

    def _served(self, call: Call, part: Service, callers: "Callers", member: Small, way: Floats) -> Attempt:
        walk = self._walk
        theirs = callers.pick(slice(None))  # type: ignore[arg-type]
        theirs.at, theirs.zone = callers.at + 0.5 * way, member
        answers = walk.serve(part, self._graph.operation[part.name, call.operation], theirs)
        found = Attempt(callers.at)
        found.end, found.error = answers.end + 0.5 * way, answers.error
        found.gap = np.where(np.isfinite(answers.end), way, np.nan)
        self._cut_off(found, walk.dies_at(part.name, member, theirs.at, answers.end))
        return found

    def _cut_off(self, found: Attempt, dies: Floats) -> None:
        """The callee's process died in the middle of calls."""
        hit = np.isfinite(dies)
        found.end[hit], found.error[hit] = dies[hit] + 0.001, self._spans.words["ReadError"]
        found.useless[hit], found.gap[hit], found.first[hit] = 0, np.nan, np.nan
        for name in ("tokens_in", "tokens_out", "cost"):
            getattr(found, name)[hit] = 0

    # What those do that tell nothing about themselves

    def _modelled(self, part: Provider, callers: "Callers", way: Floats) -> Attempt:
        """A model streams its answer."""
        count, rng = len(callers), self._rng
        found = Attempt(callers.at)
        first = np.minimum(part.first_s * rng.lognormal(0.0, part.first_spread, count), 4 * part.first_s)
        tokens_in = part.tokens_in * rng.lognormal(0.0, part.tokens_in_spread, count)
        tokens_out = part.tokens_out * rng.lognormal(0.0, part.tokens_out_spread, count)
        for one in self._walk.effects.of(part.name, "verbose"):
            hit, factor = self._walk.effects.struck(one, callers.at, None, rng), parameter(one, "factor")
            tokens_in[hit] *= factor
            tokens_out[hit] *= 1 + (factor - 1) * parameter(one, "answer")
        token_s = rng.uniform(0.85, 1.15, count) / part.tokens_per_s
        for one in self._walk.effects.of(part.name, "slow"):
            hit, delay_s = self._walk.effects.struck(one, callers.at, None, rng), parameter(one, "delay_s")
            slower = 1.0 if delay_s else parameter(one, "factor")
            first[hit] = first[hit] * slower + delay_s
            token_s[hit] *= slower
        found.tokens_in, found.tokens_out = np.rint(tokens_in).astype(np.int32), np.rint(tokens_out).astype(np.int32)
        found.cost = (found.tokens_in * part.usd_per_million_in + found.tokens_out * part.usd_per_million_out) / 1e6
        found.first = way + first
        found.end = callers.at + way + first + tokens_out * token_s
        self._fail(found, callers.at, rng.random(count) < part.errors, "500", rng.uniform(0.02, 0.2, count))
        return found

    def _stored(self, part: Store, callers: "Callers", way: Floats) -> Attempt:
        count, rng = len(callers), self._rng
        found = Attempt(callers.at)
        own = part.own_s * rng.lognormal(0.0, part.spread, count)
        for one in self._walk.effects.of(part.name, "slow"):
            hit, delay_s = self._walk.effects.struck(one, callers.at, None, rng), parameter(one, "delay_s")
            own = np.where(hit, own + delay_s if delay_s else own * parameter(one, "factor"), own)
        for one in self._walk.effects.of(part.name, "cache_flush"):
            own[self._walk.effects.during(one, callers.at)] *= parameter(one, "factor")
        found.end = callers.at + way + own
        odd = rng.random(count) < part.useless_share
        for one in self._walk.effects.of(part.name, "nlu"):
            odd |= self._walk.effects.struck(one, callers.at, None, rng) & (rng.random(count) < parameter(one, "share"))
        if odd.any():
            found.useless[odd] = self._spans.words[part.useless or "low_confidence"]
        self._fail(found, callers.at, rng.random(count) < part.errors, "500", own)
        return found

    def _fail(self, found: Attempt, at: Floats, hit: Flags, error: str, after_s: Floats) -> None:
        if not hit.any():
            return
        found.end[hit], found.error[hit] = at[hit] + after_s[hit], self._spans.words[error]
        found.useless[hit], found.first[hit] = 0, np.nan
        for name in ("tokens_in", "tokens_out", "cost"):
            getattr(found, name)[hit] = 0

    def _break(self, name: str, callers: "Callers", found: Attempt) -> None:
        """The faults of a provider or store."""
        effects, rng, at = self._walk.effects, self._rng, callers.at
        soon = rng.uniform(0.02, 0.2, len(at))
        for one in effects.of(name, "rate_limit"):
            hit = effects.struck(one, at, None, rng)
            passing = parameter(one, "limit_per_s") * max(1e-3, self._walk.end - self._walk.begin)
            hit &= rng.random(len(at)) >= min(1.0, passing / max(1, len(at)))
            self._fail(found, at, hit, "429", 0.3 * soon)
        for one in effects.of(name, "errors", "hang", "outage", "auth", "retries"):
            hit = effects.struck(one, at, None, rng)
            hanging, failing = self._walk.split(one.kind, hit)
            if one.kind == "retries":
                failing = hit & (rng.random(len(at)) < parameter(one, "failing"))
            self._fail(found, at, failing, "500", soon)
            found.error[failing] = self._walk.statuses(one, int(failing.sum()))
            self._fail(found, at, hanging, "", np.full(len(at), np.inf))
        for one in effects.of(name, "empty", "cut", "garbage"):
            hit = effects.struck(one, at, None, rng) & (found.error == 0)
            self._spoil(one.kind, hit, at, found)

    def _spoil(self, kind: str, hit: Flags, at: Floats, found: Attempt) -> None:
        """Tokens flow, to no use."""
        share = {"empty": 0.0, "cut": 0.5}.get(kind, 0.02)
        stream = np.nan_to_num(found.end - at - found.first)
        found.end[hit] -= ((1 - share) * stream)[hit]
        if kind == "empty":
            found.first[hit] = np.nan
        if kind == "garbage":
            found.error[hit] = self._spans.words["APIError"]
        else:
            found.useless[hit] = self._spans.words[kind]
        for name in ("tokens_out",):
            getattr(found, name)[hit] = np.rint(share * getattr(found, name)[hit]).astype(np.int32)
