"""Did the treatment work? Treated traffic against before, against the usual, and against the share that still probes.

    callers' own answers:  usual | onset .. before .. | applied .. treated ..        worse, same or well again?
    calls to the target:         | all of them        | the probing share only       still sick, or recovered?

A call that began before the treatment says nothing about it, even when it ends long after.
Where local fallbacks kept users from noticing, treated traffic that is well and a faulty path that is left alone
is what success looks like: the calls no longer wasted are the gain.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.diagnosis.features import calls_to
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.scores.tails import surprise
from paramedic_detector.series.slots import BUCKETS, Cell, bucket_of, upper_edge_s
from paramedic_detector.series.table import SeriesTable, Totals
from paramedic_detector.values import ActionSpec, Outcome, Ratio, Verdict

ENOUGH_CALLS: Final = 20  # treated calls before anything is said
SETTLE_S: Final = 3.0  # a command needs a moment to reach every instance
LOOK_S: Final = (3, 6, 12, 24)  # the shortest of these with enough calls shows how treated traffic is now
USUAL_S: Final = 60.0  # before onset
PATIENCE_S: Final = 15.0  # without improvement for this long it has no effect
WORSE: Final = 0.1  # at least this much below before, to be harmful
AS_USUAL: Final = 2.0  # surprise below which treated traffic is not worse than usual
CLEARLY: Final = 4.0  # surprise from which it is worse than before
STILL_LEAKS: Final = 0.3  # share of calls that still goes to the target, from which the treatment is not in effect
PROBES_IN_A_ROW: Final = 4
CLEAN_S: Final = 2  # whole seconds without a failed probe
STILL_SICK: Final = 0.02  # the target is well when so many good probes would be this unlikely otherwise
PROBES_LOOK_S: Final = 90

Line = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Treated:
    """How the callers' own answers are now, without calls that began before the treatment."""

    ratio: Ratio
    median_s: float | None


def verdict(
    spec: ActionSpec, applied_at: float, onset: float, table: SeriesTable, topology: Topology, now: float
) -> Verdict:
    """What is known by now about one applied action.

    Args:
        spec: The action.
        applied_at: When the bots said that it is in force.
        onset: When the fault began.
        table: What happened lately.
        topology: Who calls whom.
        now: Unix seconds.
    """
    answers = SeriesKey("op", (spec.service, "*", "server", "*", "*", "*", "*"))
    usual = table.totals(answers, onset - USUAL_S, onset)
    before = _ratio(table.totals(answers, onset, max(applied_at, onset + 1)))
    whole = _ratio(table.totals(answers, applied_at + 1, now + 1))
    treated = _treated(table, answers, applied_at, now)
    probing, recovered = _probes(spec, table, applied_at, onset, now)
    outcome = _outcome(spec, treated, before, usual, table, applied_at, now)
    sentence = _sentence(outcome, spec, treated, before, usual, probing, recovered)
    return Verdict(outcome, now, before, whole if treated is None else treated.ratio, probing, sentence, recovered)


def _ratio(totals: Totals) -> Ratio:
    return Ratio(totals.good, totals.count)


def _treated(table: SeriesTable, answers: SeriesKey, applied_at: float, now: float) -> Treated | None:
    for look_s in LOOK_S:
        start = max(applied_at + 1, now + 1 - look_s)
        totals = table.totals(answers, start, now + 1)
        if totals.count >= ENOUGH_CALLS:
            edges = upper_edge_s(np.arange(len(totals.buckets)))
            stale = int(totals.buckets[edges > max(1.0, start - applied_at)].sum())
            bad = max(0, totals.bad - stale)
            return Treated(Ratio(totals.count - bad, totals.count), totals.quantile_s(0.5))
    return None


def _outcome(
    spec: ActionSpec,
    treated: Treated | None,
    before: Ratio,
    usual: Totals,
    table: SeriesTable,
    applied_at: float,
    now: float,
) -> Outcome:
    since_s = now - applied_at
    if treated is None or since_s < SETTLE_S:
        return Outcome.NO_EFFECT if since_s > 4 * PATIENCE_S else Outcome.UNDECIDED
    if _is_worse(treated.ratio, before):
        return Outcome.HARMFUL
    in_effect = _left_alone(spec, table, now)
    if in_effect and _as_usual(treated, usual):
        return Outcome.VERIFIED
    if since_s < PATIENCE_S or (in_effect and _is_better(treated.ratio, before)):
        return Outcome.UNDECIDED
    return Outcome.NO_EFFECT


def _surprise(bad: int, total: int, usual_bad: float, usual_total: float) -> float:
    cells = (np.array([float(value)]) for value in (bad, total, usual_bad, usual_total))
    return float(surprise(*cells)[0])


def _is_worse(treated: Ratio, before: Ratio) -> bool:
    """Clearly worse than between onset and treatment."""
    if before.value is None or treated.value is None or before.value - treated.value < WORSE:
        return False
    return _surprise(treated.total - treated.good, treated.total, before.total - before.good, before.total) >= CLEARLY


def _is_better(treated: Ratio, before: Ratio) -> bool:
    return before.total > 0 and _surprise(treated.good, treated.total, before.good, before.total) >= AS_USUAL


def _as_usual(treated: Treated, usual: Totals) -> bool:
    """Not worse than before the fault, in success and in time; without a usual, nearly all must be good."""
    bad, total = treated.ratio.total - treated.ratio.good, treated.ratio.total
    worse = _surprise(bad, total, usual.bad, usual.count) if usual.count else 0.0
    usual_s = usual.quantile_s(0.5)
    in_time = treated.median_s is None or usual_s is None or treated.median_s <= 2 * usual_s + 1.0
    return worse < AS_USUAL and treated.ratio.good >= 0.9 * total and in_time


def _left_alone(spec: ActionSpec, table: SeriesTable, now: float) -> bool:
    """Whether callers do what the command says: hardly a call but probes goes to the target."""
    if spec.kind.value not in ("failover", "trip_breaker"):
        return True
    calls = _edge(spec, table, now - 3, now + 1)
    if calls.refused.get("command", 0):
        return True
    all_calls = table.totals(SeriesKey("op", (spec.service, "*", "server", "*", "*", "*", "*")), now - 3, now + 1)
    return calls.good + calls.bad - calls.probes <= STILL_LEAKS * max(1, all_calls.count)


def _edge(spec: ActionSpec, table: SeriesTable, t0: float, t1: float) -> Totals:
    return table.totals(SeriesKey("edge", (spec.service, spec.target.peer or "*", spec.target.zone or "*")), t0, t1)


def _probes(spec: ActionSpec, table: SeriesTable, applied_at: float, onset: float, now: float) -> tuple[Ratio, bool]:
    """The probing share since the treatment, and whether it says that the fault is over."""
    since = _edge(spec, table, applied_at, now + 1)
    limit = _slow_bucket(calls_to(spec.target, table, onset - USUAL_S, onset))
    good, bad = _probes_by_second(spec, table, limit, applied_at, now)
    hit = np.flatnonzero(bad)
    last = int(hit[-1]) if len(hit) else -1
    in_a_row = float(good[last + 1 :].sum())
    sick = calls_to(spec.target, table, onset, applied_at)
    shares = [(sick.bad + float(sick.buckets[limit + 1 :].sum())) / sick.count] if sick.count else []
    if len(hit):
        shares.append(float(bad[: last + 1].sum() / (bad + good)[: last + 1].sum()))
    share = min(0.95, max(shares, default=0.5))
    clean = len(bad) - 1 - last > CLEAN_S
    recovered = clean and in_a_row >= PROBES_IN_A_ROW and (1 - share) ** in_a_row < STILL_SICK
    failed = since.probe_errors + min(sum(since.useless.values()), since.probes - since.probe_errors)
    return Ratio(since.probes - failed, since.probes), recovered


def _probes_by_second(
    spec: ActionSpec, table: SeriesTable, limit: int, applied_at: float, now: float
) -> tuple[Line, Line]:
    """Good and bad probes in each second.

    A probe that is slow, or of no use, is as bad as one that fails. A slow one stands where it began: it says nothing
    about later probes; so does the one that is still in flight and overdue.
    """
    start = int(max(applied_at, now - PROBES_LOOK_S))
    key = SeriesKey("edge", (spec.service, spec.target.peer or "*", spec.target.zone or "*"))
    numbers = [int(number) for number in table.matching(key)]
    grid = table.dense(numbers, start, max(1, int(now) + 1 - start)).sum(axis=0)
    quick_bad, began = grid[:, Cell.PROBE_ERRORS] + grid[:, Cell.USELESS], np.zeros(len(grid), np.float32)
    slow = np.zeros(len(grid), np.float32)
    for ended, took_s, calls in table.long_calls(numbers, limit, start, len(grid)):
        slow[ended] += calls
        began[max(0, ended - round(took_s))] += calls
    quick_bad = quick_bad - np.minimum(quick_bad, slow)
    good = np.maximum(grid[:, Cell.PROBES] - quick_bad - slow, 0)
    oldest_s = _edge(spec, table, now - 3, now + 1).oldest_s or 0.0
    if oldest_s > float(upper_edge_s(limit)):
        began[max(0, len(began) - 1 - round(oldest_s))] += 1
    return good, quick_bad + began


def _slow_bucket(usual: Totals) -> int:
    """Probes that take longer than nearly every call did before are slow."""
    half_s, most_s = usual.quantile_s(0.5), usual.quantile_s(0.98)
    return BUCKETS - 1 if half_s is None or most_s is None else int(bucket_of(max(2.5 * half_s, 1.3 * most_s)))


def _sentence(
    outcome: Outcome,
    spec: ActionSpec,
    treated: Treated | None,
    before: Ratio,
    usual: Totals,
    probing: Ratio,
    recovered: bool,
) -> str:
    if treated is None:
        return f"too few treated calls of {spec.service} to say anything yet"
    now = f"{_percent(treated.ratio)} of {treated.ratio.total} treated calls of {spec.service} are good"
    then = f"{_percent(before)} before" if before.total else "unknown before"
    probes = f"{_percent(probing)} of {probing.total} probes of {spec.target} work" if probing.total else ""
    found = [f"{now} ({then})", probes]
    if outcome is Outcome.VERIFIED and before.total and before.good >= 0.98 * before.total:
        found.append("users were spared by fallbacks already; calls to the faulty path are no longer wasted")
    if outcome is Outcome.NO_EFFECT:
        found.append("no improvement")
    if outcome is Outcome.HARMFUL:
        found.append("worse than without the treatment")
    if treated.median_s is not None and (usual_s := usual.quantile_s(0.5)) is not None:
        found.append(f"half of them answered within {treated.median_s:.1f} s (usual {usual_s:.1f} s)")
    if recovered:
        found.append(f"{spec.target} is well again")
    return "; ".join(part for part in found if part)


def _percent(ratio: Ratio) -> str:
    return "no calls" if ratio.value is None else f"{100 * ratio.value:.1f} %"
