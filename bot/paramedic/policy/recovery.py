"""After an attempt did not help: what next?

    attempt --failed--> worth another try? --yes--> Again(wait) --> attempt
                             |
                             no --> Ask(1) --> Ask(2) --> ... --> nothing more: the first error stands

One state machine for functions, async functions, streams and routers; the shells only carry out its steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from paramedic.policy.retry import LONGEST_WAIT_S, Retry, RetryBudget


class End(Enum):
    """How a step ended without a good answer."""

    FAILED = "failed"  # the call was made
    USELESS = "useless"  # it was made, and its answer helps nobody
    REFUSED = "refused"  # it was not made
    FINAL = "final"  # it was made, and its error is the caller's own business


@dataclass(frozen=True, slots=True)
class Again:
    """Make the call again after a wait."""

    wait_s: float
    ordinal: int  # from 1


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a fallback."""

    number: int  # from 1


Step = Again | Ask | None


class Why(Enum):
    """Why a call is not made again."""

    NOT_WORTH_IT = "not worth it"
    ATTEMPTS_USED = "attempts used"
    RETRIED_INSIDE = "retried inside"
    CIRCUIT_OPEN = "circuit open"
    BUDGET_EMPTY = "budget empty"
    NO_TIME = "no time"


@dataclass(frozen=True, slots=True)
class Means:
    """What a guard or router has to recover with."""

    retry: Retry | None
    budget: RetryBudget
    fallbacks: int
    draw: Callable[[], float]

    @property
    def none(self) -> bool:
        """Whether there is nothing: the first error stands."""
        return self.retry is None and not self.fallbacks


class Recovery:
    """One logical call that did not work at first.

    Args:
        means: What can be done.
        keyed: Whether the call carries an idempotency key.

    Attributes:
        errors: Of each step so far, in order.
        useless: The first useless answer, as the error that stands for it.
        why: Why the call was not made again, once that is so.
    """

    __slots__ = ("_keyed", "_means", "_next", "_retries", "errors", "useless", "why")

    def __init__(self, means: Means, *, keyed: bool = False) -> None:
        self._means, self._keyed = means, keyed
        self._retries = 0
        self._next: int | None = None  # fallback to ask; None before the first is asked
        self.errors: list[Exception] = []
        self.useless: Exception | None = None
        self.why: Why | None = None

    def after(
        self,
        error: Exception,
        end: End,
        *,
        level: int = 1,
        left_s: float = float("inf"),
        closed: bool = True,
        asked_s: float | None = None,
        retried_inside: bool = False,
    ) -> Step:
        """What comes next after a step that did not help; None when nothing does.

        Args:
            error: What it raised.
            end: How it ended.
            level: Of the fallback to begin with, after a refusal of this guard itself.
            left_s: Seconds that the surrounding deadline leaves.
            closed: Whether the circuit lets calls through, now that it has heard the verdict.
            asked_s: Seconds that the callee asked to wait.
            retried_inside: Whether a guard further in has made the failed call again already.
        """
        self.errors.append(error)
        if self._next is None:
            if end is End.USELESS and self.useless is None:
                self.useless = error
            if end is End.FINAL:
                self._next = self._means.fallbacks + 1
                return None
            again = self._again(error, end, left_s, closed, asked_s, retried_inside)
            if again is not None:
                return again
            self._next = level
        return self._ask()

    def _ask(self) -> Ask | None:
        number = self._next or 1
        if number > self._means.fallbacks:
            return None
        self._next = number + 1
        return Ask(number)

    def _again(
        self, error: Exception, end: End, left_s: float, closed: bool, asked_s: float | None, retried_inside: bool
    ) -> Again | None:
        retry = self._means.retry
        if retry is None or not self._is_worth_it(retry, error, end, asked_s):
            self.why = Why.NOT_WORTH_IT
            return None
        wait_s = retry.wait_s(self._retries + 1, asked_s, self._means.draw)
        longest_s = LONGEST_WAIT_S if left_s == float("inf") else left_s
        for why, holds in (
            (Why.RETRIED_INSIDE, retried_inside),
            (Why.ATTEMPTS_USED, self._retries + 1 >= retry.attempts),
            (Why.CIRCUIT_OPEN, not closed),
            (Why.NO_TIME, wait_s >= left_s or (asked_s is not None and asked_s > longest_s)),
            (Why.BUDGET_EMPTY, not self._means.budget.allows),
        ):
            if holds:
                self.why = why
                return None
        self._retries += 1
        return Again(wait_s, self._retries)

    def _is_worth_it(self, retry: Retry, error: Exception, end: End, asked_s: float | None) -> bool:
        if end is End.REFUSED or (end is End.USELESS and retry.on is None):
            return False
        return retry.repeats(error, asked_to_wait=asked_s is not None, keyed=self._keyed)

    @property
    def exhausted(self) -> bool:
        """Whether calling again was considered and given up: a guard further out must not begin anew."""
        return self.why not in (None, Why.NOT_WORTH_IT)
