"""`kill -9` of a collector under load, again and again: what it acknowledged is counted once, all of it.

`make kill-test` kills it twenty times, `make test` three times.
"""

import os
import random
import time
from collections import Counter

import pytest

from killed_kit import ONCE, PATIENCE_S, Oracle, Runner, Sender, applied

KILLS = int(os.environ.get("PARAMEDIC_KILLS", "3"))
SEED = int(os.environ.get("PARAMEDIC_KILL_SEED", "0")) or random.randrange(1, 10**6)

pytestmark = [pytest.mark.early, pytest.mark.timeout(60 + 20 * KILLS)]


def until(what, seen):
    ends = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < ends, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def runner(tmp_path):
    runner = Runner(tmp_path)
    yield runner
    runner.close()


def test_what_was_acknowledged_is_counted_exactly_once_however_often_it_is_killed(tmp_path, runner):
    dice, oracle = random.Random(SEED), Oracle()
    senders = [Sender(transport, SEED + at, runner, oracle) for at, transport in enumerate(["http", "grpc"] * 2)]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        more_are_acknowledged(senders, dice.choice([0, 1, 20, 50, 150]))  # 0: while it still replays
        runner.kill()
        runner.start()
    more_are_acknowledged(senders, 50)
    end_of(senders)
    counters = runner.finish()

    found = applied(tmp_path)
    take_unsure(found, senders)
    say = f"seed {SEED}, {acknowledged(senders)} requests, {sum(one.repeated for one in senders)} repeated"
    assert found.op == oracle.op, say
    assert found.edge == oracle.edge, say
    assert found.callee == oracle.callee, say
    assert counters["paramedic_fold_failures"] == 0


def acknowledged(senders):
    return sum(sender.acknowledged for sender in senders)


def more_are_acknowledged(senders, more):
    wanted = acknowledged(senders) + more
    until("requests to be acknowledged", lambda: acknowledged(senders) >= wanted)


def end_of(senders):
    for sender in senders:
        sender.ending.set()
    for sender in senders:
        sender.join(PATIENCE_S)
        assert not sender.is_alive()


def take_unsure(found, senders):
    """Take out what was sent once: each request is in whole, or not at all if it was not acknowledged."""
    for name, (back, front) in (one for sender in senders for one in sender.unsure.items()):
        serves, _ = take_whole(found, "back", (f"{name} serves", f"{name} looks up"), back)
        asks, _ = take_whole(found, "front", (f"{name} asks", f"{name} front"), front)
        for sums in (found.edge["front", "back"], found.callee[("back",)]):  # which all traces share
            sums.subtract({key: asks[key] for key in ("count", "ns", "errors")})
            if asks["count"] and serves["count"]:
                sums.subtract({"gap_n": asks["count"], "gap_ns": asks["ns"] - serves["ns"]})


def take_whole(found, service, names, acknowledged):
    rows = [found.op.pop((service, name), Counter()) for name in names]
    counts = {row["count"] for row in rows}
    assert counts == {ONCE} or (counts == {0} and not acknowledged), (service, names, rows)
    return rows
