"""A cascade asks the cheap model first, and steps up to a dearer one when a check finds fault with its answer.

    question --> cheap --good enough--> answer
                   +--the check says what is wrong, or it failed--> dear --> its answer stands

Each model has a guard of its own: breaker, commands and telemetry are the guard's. When stepping up is so frequent
that the cheap model costs more than it saves, it is skipped but for a tenth of the calls.
"""

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast

from paramedic.contract.attributes import CASCADE_STEP, REFUSED_BY_RESIDENCY
from paramedic.guards.attempts import Useless
from paramedic.guards.calls import Value
from paramedic.guards.fallbacks import Fallback, fallback_of
from paramedic.guards.guard import Guard
from paramedic.guards.recovering import Recovering, marks
from paramedic.guards.refusals import Refused, ResidencyRefused
from paramedic.policy.recovery import Means
from paramedic.policy.retry import Retry
from paramedic.policy.stepping import Step, worth_asking
from paramedic.request import request
from paramedic.routing.members import GuardOptions, Member, is_stream
from paramedic.telemetry.runtime import dropped, log

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Cascade(Generic[P, R_co]):
    """Models in order of cost; the first answer that is good enough is taken.

    >>> small = paramedic.Member(lambda question: "", model="small", cost=1)
    >>> large = paramedic.Member(lambda question: "42", model="large", cost=10)
    >>> cascade = paramedic.Cascade("llm", [small, large], check=lambda text: None if text else "empty")
    >>> cascade.run_sync("the question?")
    '42'

    Args:
        name: Of the cascade; a model's guard is called ``name.model``.
        members: The models, cheapest first: functions, or `Member` with `model`, `peer` and `cost`; all async, or
            all sync.
        check: Says what is wrong with an answer, or None when it is good enough; may be async in an async cascade.
            It is no verdict about the model's health. The answer of the last model stands unchecked.
        peer: Whom they call when a member does not say so; the cascade's name when not given.
        attempt_s: Most seconds for one attempt at one model.
        retry: As in `Guard`, for each model before the next one is asked.
        fallbacks: As in `Guard`, after all models.
        attributes: Written on every span of its guards.
        options: As in `Guard`, for each model.

    Attributes:
        guards: Of the models, cheapest first.

    Raises:
        ValueError: Fewer than two members, two of one name, or costs that do not rise.
        TypeError: A member is a generator function: a stream cannot be checked before it is delivered.
    """

    def __init__(
        self,
        name: str,
        members: "Sequence[Callable[P, R_co] | Member[P, R_co]]",
        *,
        check: Callable[[Any], Any],
        peer: str = "",
        attempt_s: float | None = None,
        retry: Retry | int | None = None,
        fallbacks: "Sequence[Callable[..., Any] | Fallback[..., Any]]" = (),
        attributes: Mapping[str, Value] | None = None,
        **options: Unpack[GuardOptions],
    ) -> None:
        self.name, self._check, self._ignore = name, check, options.get("ignore", ())
        self._members = [told if isinstance(told, Member) else Member(told) for told in members]
        self._costs = [member.cost for member in self._members]
        _refuse_mistakes(name, self._members)
        self.guards = [
            Guard(
                f"{name}.{_called(member)}",
                peer=member.peer or peer or name,
                zone=member.zone,
                deadline_s=attempt_s,
                retry=retry,
                attributes={**(attributes or {}), **member.attributes, CASCADE_STEP: step},
                **options,
            )
            for step, member in enumerate(self._members)
        ]
        self._draw = options.get("draw", random.random)
        self._fallbacks = [fallback_of(fallback) for fallback in fallbacks]
        self._means = Means(None, self.guards[0].retry_budget, len(self._fallbacks), self._draw)
        self._steps = [Step() for _ in self._members]
        self._told_check = False

    @property
    def step_ups(self) -> list[float | None]:
        """Of the answers of each model, which share was not good enough lately; None while there are too few."""
        return [step.share for step in self._steps]

    async def __call__(self: "Cascade[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of the cheapest model that is good enough.

        Raises:
            Refused: No model could be asked.
            Exception: What the first model that was asked raised, when none answered.
        """
        climb, call = _Climb(self.name, self._ignore), cast(Any, None)
        for step, stands in self._plan():
            call = self._members[step].call
            try:
                answer: Any = await self.guards[step].run(call, *args, **kwargs)
            except Exception as error:
                climb.failed(error)
                continue
            if climb.answered(answer, None if stands else await self._fault_of(step, answer)):
                return cast(T, answer)
        recovering = self._recovering(climb)
        step_after = recovering.failed(climb.end())
        return cast(T, await self.guards[0].recover(recovering, step_after, call, args, kwargs))

    def run_sync(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """As calling it, for sync members."""
        climb, call = _Climb(self.name, self._ignore), cast(Any, None)
        for step, stands in self._plan():
            call = self._members[step].call
            try:
                answer = self.guards[step].run_sync(call, *args, **kwargs)
            except Exception as error:
                climb.failed(error)
                continue
            if climb.answered(answer, None if stands else self._fault_of_sync(step, answer)):
                return answer
        recovering = self._recovering(climb)
        step_after = recovering.failed(climb.end())
        return cast(R_co, self.guards[0].recover_sync(recovering, step_after, call, args, kwargs))

    def _recovering(self, climb: "_Climb") -> Recovering:
        return Recovering(self.guards[0], self._means, self._fallbacks, climb.since)

    def _plan(self) -> list[tuple[int, bool]]:
        """Whom to ask in order, and whether its answer stands unchecked, as that of the dearest does."""
        asked = worth_asking(self._costs, self._steps, self._draw)
        skipped = [step for step in range(len(self._members)) if step not in asked]  # when all others fail
        residency = request.current().residency
        allowed = [step for step in asked + skipped if self._members[step].allowed(residency)]
        return [(step, step == max(allowed)) for step in allowed]

    async def _fault_of(self, step: int, answer: Any) -> Any:
        try:
            fault = self._check(answer)
            fault = await fault if inspect.isawaitable(fault) else fault
        except Exception as error:
            return self._check_failed(error)
        return self._heard(step, fault)

    def _fault_of_sync(self, step: int, answer: Any) -> Any:
        try:
            fault = self._check(answer)
        except Exception as error:
            return self._check_failed(error)
        return self._heard(step, fault)

    def _heard(self, step: int, fault: Any) -> Any:
        self._steps[step].hear(fault is not None)
        if fault is not None:
            self.guards[step].count("stepped_up")
        return fault

    def _check_failed(self, error: Exception) -> None:
        dropped.add("check")
        if not self._told_check:
            self._told_check = True
            log.warning("cascade %r: its check fails with %r; answers are taken as good", self.name, error)


class _Climb:
    """One call's way up: what is made of it when no answer was good enough."""

    def __init__(self, name: str, ignore: tuple[type[Exception], ...]) -> None:
        self._name, self._ignore, self.since = name, ignore, marks.count
        self._doubtful: Useless | None = None
        self._error: Exception | None = None

    def failed(self, error: Exception) -> None:
        """Keep the error that says most: the first of a call that was made, else the last refusal."""
        if isinstance(error, self._ignore):
            raise error
        if self._error is None or isinstance(self._error, Refused):
            self._error = error

    def answered(self, answer: Any, fault: Any) -> bool:
        """Whether the answer is good enough; else it is kept in case that none is."""
        if fault is not None:
            self._doubtful = Useless(answer, str(fault))
        return fault is None

    def end(self) -> Exception:
        """What the fallbacks are asked for; when none helps, the caller gets the last answer, else the error."""
        return self._doubtful or self._error or ResidencyRefused(self._name, REFUSED_BY_RESIDENCY)


def _called(member: "Member[P, R_co]") -> str:
    return member.model or getattr(member.call, "__name__", type(member.call).__name__)


def _refuse_mistakes(name: str, members: "Sequence[Member[P, R_co]]") -> None:
    if len(members) < 2:
        raise ValueError(f"cascade {name!r} needs at least two members, cheapest first, got {len(members)}")
    names = [_called(member) for member in members]
    for named in names:
        if names.count(named) > 1:
            raise ValueError(f"cascade {name!r} has two members called {named!r}; say model= of each")
    costs = [member.cost for member in members]
    if costs != sorted(costs):
        raise ValueError(f"costs in cascade {name!r} must rise from member to member, got {costs}")
    for member in members:
        if is_stream(member.call):
            raise TypeError(f"cascade {name!r} takes functions and async functions, not generator {_called(member)}")
