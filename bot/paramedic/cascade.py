"""A cascade asks the cheap model first, and steps up to a dearer one when a check finds fault with its answer.

    question --> cheap --good enough--> answer
                   +--the check says what is wrong, or it failed--> dear --> its answer stands

Each model has a guard of its own: breaker, commands and telemetry are the guard's. When stepping up is so frequent
that the cheap model costs more than it saves, it is skipped but for a tenth of the calls.
"""

import inspect
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack

from paramedic.calls import Value
from paramedic.contract.attributes import CASCADE_STEP
from paramedic.guards import Guard
from paramedic.members import GuardOptions, Member, is_stream
from paramedic.policy.stepping import Step, worth_asking
from paramedic.refusals import Refused, ResidencyRefused
from paramedic.request import request
from paramedic.telemetry.runtime import dropped, log

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Cascade(Generic[P, R_co]):
    """Models in order of cost; the first answer that is good enough is taken.

    Args:
        name: Of the cascade; a model's guard is called ``name.model``.
        members: The models, cheapest first: functions, or `Member` with `model`, `peer` and `cost`; all async, or
            all sync.
        check: Says what is wrong with an answer, or None when it is good enough; may be async in an async cascade.
            It is no verdict about the model's health. The answer of the last model stands unchecked.
        peer: Whom they call when a member does not say so; the cascade's name when not given.
        attempt_s: Most seconds for one model.
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
                attributes={**(attributes or {}), **member.attributes, CASCADE_STEP: step},
                **options,
            )
            for step, member in enumerate(self._members)
        ]
        self._draw = options.get("draw", random.random)
        self._steps = [Step() for _ in self._members]
        self._lock = threading.Lock()
        self._told_check = False

    @property
    def step_ups(self) -> list[float | None]:
        """Of the answers of each model, which share was not good enough lately; None while there are too few."""
        with self._lock:
            return [step.share for step in self._steps]

    async def __call__(self: "Cascade[P, Awaitable[T]]", *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of the cheapest model that is good enough.

        Raises:
            Refused: No model could be asked.
            Exception: What the first model that was asked raised, when none answered.
        """
        climb = _Climb(self.name, self._ignore)
        for step in self._plan():
            try:
                call: Any = self._members[step].call
                answer: Any = await self.guards[step].run(call, *args, **kwargs)
            except Exception as error:
                climb.failed(error)
                continue
            if climb.answered(answer, await self._fault_of(step, answer)):
                break
        return climb.end()  # type: ignore[no-any-return]

    def run_sync(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """As calling it, for sync members."""
        climb = _Climb(self.name, self._ignore)
        for step in self._plan():
            try:
                answer = self.guards[step].run_sync(self._members[step].call, *args, **kwargs)
            except Exception as error:
                climb.failed(error)
                continue
            if climb.answered(answer, self._fault_of_sync(step, answer)):
                break
        return climb.end()  # type: ignore[no-any-return]

    def _plan(self) -> list[int]:
        with self._lock:
            asked = worth_asking(self._costs, self._steps, self._draw)
        skipped = [step for step in range(len(self._members)) if step not in asked]  # when all others fail
        residency = request.current().residency
        return [step for step in asked + skipped if self._members[step].allowed(residency)]

    async def _fault_of(self, step: int, answer: Any) -> Any:
        if step == len(self._members) - 1:
            return None
        try:
            fault = self._check(answer)
            fault = await fault if inspect.isawaitable(fault) else fault
        except Exception as error:
            return self._check_failed(error)
        return self._heard(step, fault)

    def _fault_of_sync(self, step: int, answer: Any) -> Any:
        if step == len(self._members) - 1:
            return None
        try:
            fault = self._check(answer)
        except Exception as error:
            return self._check_failed(error)
        return self._heard(step, fault)

    def _heard(self, step: int, fault: Any) -> Any:
        with self._lock:
            self._steps[step].hear(fault is not None)
        return fault

    def _check_failed(self, error: Exception) -> None:
        dropped.add("check")
        if not self._told_check:
            self._told_check = True
            log.warning("cascade %r: its check fails with %r; answers are taken as good", self.name, error)


class _Climb:
    """One call's way up: what the caller gets in the end."""

    def __init__(self, name: str, ignore: tuple[type[Exception], ...]) -> None:
        self._name, self._ignore = name, ignore
        self._answers: list[Any] = []
        self._error: Exception | None = None

    def failed(self, error: Exception) -> None:
        """Keep the error that says most: the first of a call that was made, else the last refusal."""
        if isinstance(error, self._ignore):
            raise error
        if self._error is None or isinstance(self._error, Refused):
            self._error = error

    def answered(self, answer: Any, fault: Any) -> bool:
        """Whether the answer is good enough."""
        self._answers.append(answer)
        return fault is None

    def end(self) -> Any:
        """The last answer, good or not; an error when there is none."""
        if self._answers:
            return self._answers[-1]
        raise self._error or ResidencyRefused(self._name, "residency")


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
