"""Any interleaving of commands, renewals, replays, clears, snapshots, forks and time, against a simple oracle.

The oracle keeps one row an id: the highest version that counted, and until when it holds. After every step the
guard must be asked for exactly what the rows ask for.
"""

import logging
import random
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paramedic import Guard
from paramedic.commands.ledger import Ledger
from paramedic.contract.command import SKEW_S, ActionKind, Command, Lease, SignedCommand, Target
from paramedic.guards.registry import Registry
from paramedic.policy.breaker import State
from paramedic.testing import Clock

log = logging.getLogger("paramedic")
KEY, NOW = b"the platform's", 1_700_000_000.0
IDS = ("one", "two", "three")
OWNERS = ("paramedic", "operator:anna")
CLOSING = frozenset({ActionKind.TRIP_BREAKER, ActionKind.DISABLE_TOOL, ActionKind.DEGRADE})
ASKED = {
    ActionKind.TRIP_BREAKER: {},
    ActionKind.DISABLE_TOOL: {},
    ActionKind.DEGRADE: {"level": 1},
    ActionKind.LIMIT_CONCURRENCY: {"limit": 3},
    ActionKind.CAP_TOKENS: {"max_tokens": 100},
}


@dataclass
class Row:
    """What the oracle knows of one id."""

    version: int = -1
    holds: Command | None = None
    ends_at: float = 0.0


@dataclass
class Oracle:
    """What must be in force."""

    rows: dict[str, Row] = field(default_factory=dict)
    forced: bool = False

    def row(self, command_id: str) -> Row:
        return self.rows.setdefault(command_id, Row())

    def hear(self, command: Command, now: float, wall: float) -> None:
        fresh = command.issued_at - SKEW_S <= wall <= command.expires_at + SKEW_S
        row, about = self.row(command.id), self.row(str(command.parameters.get("command_id", command.id)))
        if not fresh or command.version <= row.version:
            return
        if about.holds is not None and now < about.ends_at and about.holds.owner != command.owner:
            return
        row.version = command.version
        about.version = max(about.version, command.version)
        about.holds = None
        if command.kind is not ActionKind.CLEAR and not self.forced:
            row.holds, row.ends_at = command, now + min(command.lease.ttl_s, command.expires_at + SKEW_S - wall)

    def keep_only(self, ids: set[str]) -> None:
        for command_id, row in self.rows.items():
            if command_id not in ids:
                row.holds = None

    def in_force(self, now: float) -> list[Command]:
        return [row.holds for row in self.rows.values() if row.holds is not None and now < row.ends_at]


class Commands(RuleBasedStateMachine):
    @initialize(skew=st.sampled_from([-SKEW_S, -3.0, 0.0, 3.0, SKEW_S]))
    def begin(self, skew: float) -> None:
        self.clock, self.skew, self.wall = Clock(), skew, NOW  # `wall` is the platform's
        self.registry, self.oracle = Registry(), Oracle()
        self.guards = [self.a_guard()]
        keys = (b"another", KEY)
        self.ledger = Ledger("bot", "me", keys, self.registry, clock=self.clock, wall=lambda: self.wall + self.skew)
        self.versions = dict.fromkeys(IDS, 0)
        self.texts: list[tuple[Command, str]] = []

    def a_guard(self) -> Guard:
        guard = Guard("llm", peer="aurora", clock=self.clock, draw=random.Random(0).random, fallbacks=[print])
        self.registry.add(guard)
        return guard

    def hear(self, command: Command, text: str) -> None:
        self.ledger.receive(text)
        self.oracle.hear(command, self.clock.now, self.wall + self.skew)

    @rule(
        command_id=st.sampled_from(IDS),
        kind=st.sampled_from(list(ASKED)),
        owner=st.sampled_from(OWNERS),
        ttl_s=st.sampled_from([5.0, 20.0, 60.0]),
        arrives=st.booleans(),
    )
    def command(self, command_id: str, kind: ActionKind, owner: str, ttl_s: float, arrives: bool) -> None:
        """The platform issues a command, or renews or changes one; perhaps somebody holds it back."""
        self.versions[command_id] += 1
        self.seal(command_id, kind, owner, ttl_s, ASKED[kind], arrives)

    @rule(command_id=st.sampled_from(IDS), owner=st.sampled_from(OWNERS), arrives=st.booleans())
    def clear(self, command_id: str, owner: str, arrives: bool) -> None:
        parameters = {"command_id": command_id}
        self.seal(f"{command_id}-clear", ActionKind.CLEAR, owner, 30.0, parameters, arrives, self.versions[command_id])

    def seal(
        self,
        command_id: str,
        kind: ActionKind,
        owner: str,
        ttl_s: float,
        parameters: dict[str, object],
        arrives: bool,
        version: int | None = None,
    ) -> None:
        version = self.versions[command_id] if version is None else version
        plain = Command(
            id=command_id,
            version=version,
            service="bot",
            kind=kind,
            target=Target(peer="aurora"),
            lease=Lease("L", ttl_s, 0.5),
            issued_at=self.wall,
            parameters=parameters,  # type: ignore[arg-type]
            owner=owner,
        )
        sealed = SignedCommand.seal(plain, KEY)
        known = (replace(plain, expires_at=self.wall + ttl_s), sealed.to_json())
        self.texts.append(known)
        if arrives:
            self.hear(*known)

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Something from before comes again, or for the first time."""
        self.hear(*data.draw(st.sampled_from(self.texts)))

    @rule(data=st.data())
    def snapshot(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.texts), max_size=4)) if self.texts else []
        self.ledger.snapshot("[" + ",".join(text for _, text in chosen) + "]")
        for command, _ in chosen:
            self.oracle.hear(command, self.clock.now, self.wall + self.skew)
        self.oracle.keep_only({command.id for command, _ in chosen})

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        command, _ = data.draw(st.sampled_from(self.texts))
        self.ledger.receive(SignedCommand.seal(replace(command, version=command.version + 50), b"forged").to_json())

    @rule(seconds=st.sampled_from([0.5, 4.0, 5.0, 19.5, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall += seconds

    @rule()
    def sweep(self) -> None:
        self.ledger.sweep()

    @rule()
    def fork(self) -> None:
        self.registry.after_fork()
        self.ledger.after_fork("child")

    @precondition(lambda self: not self.oracle.forced)
    @rule()
    def another_guard(self) -> None:
        if len(self.guards) < 3:
            self.guards.append(self.a_guard())
            self.ledger.greet(self.guards[-1:])

    @rule()
    def the_operator_takes_and_gives_back(self) -> None:
        self.oracle.forced = not self.oracle.forced
        for guard in self.guards:
            guard.force("closed" if self.oracle.forced else None)

    @invariant()
    def what_is_in_force_is_what_must_be(self) -> None:
        now = self.clock.now
        wanted = self.oracle.in_force(now)
        kinds = {command.kind for command in wanted}
        closed = bool(kinds & CLOSING) and not self.oracle.forced
        for guard in self.guards:
            assert (guard.state is State.OPEN_BY_COMMAND) == closed
            effects = guard._gate.effects_at(now)
            assert (effects is None) == (not wanted)
            if effects is not None:
                ends = [row.ends_at for row in self.oracle.rows.values() if row.holds in wanted and now < row.ends_at]
                assert effects.until == min(ends)
                assert effects.limit == (3 if ActionKind.LIMIT_CONCURRENCY in kinds else None)
                assert effects.max_tokens == (100 if ActionKind.CAP_TOKENS in kinds else None)


Commands.TestCase.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


class TestCommands(Commands.TestCase):
    def runTest(self) -> None:
        before = log.level
        log.setLevel(logging.CRITICAL)  # thousands of lines say what happened to commands
        try:
            super().runTest()
        finally:
            log.setLevel(before)
