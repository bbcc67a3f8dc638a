"""What a team may hand to a guard: a mistake is one sentence when the guard is made, not an odd error at night."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from paramedic.policy.breaker import Breaker
from paramedic.policy.retry import Retry

Rule = tuple[Callable[[Any], bool], str]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _are_exceptions(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, type) and issubclass(each, Exception) for each in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


RULES: Final[dict[str, Rule]] = {
    "peer": (lambda value: isinstance(value, str), "a text"),
    "zone": (lambda value: isinstance(value, str), "a text"),
    "deadline_s": (lambda value: value is None or _is_number(value), "a number of seconds"),
    "fallbacks": (_is_list, "a list of functions"),
    "max_concurrent": (lambda value: value is None or _is_whole(value), "a whole number of calls"),
    "breaker": (lambda value: value is None or isinstance(value, Breaker), "Breaker(...), or None for no breaker"),
    "retry": (lambda value: value is None or _is_whole(value) or isinstance(value, Retry), "Retry(...) or a number"),
    "check": (lambda value: value is None or callable(value), "a function of the answer"),
    "ignore": (_are_exceptions, "a tuple of exception types"),
    "attributes": (lambda value: value is None or isinstance(value, Mapping), "a mapping"),
}


def check_name(name: object) -> None:
    """Whether this can be the name of a guard.

    Raises:
        TypeError: It is no text, as when a guard decorates without having been named.
        ValueError: It is empty.
    """
    if not isinstance(name, str):
        raise TypeError(f'a guard is named before it decorates, as in @guard("llm.primary"), got {name!r}')
    if not name:
        raise ValueError("a guard needs a name, got ''")


def check_arguments(owner: str, arguments: Mapping[str, Any]) -> None:
    """Whether all arguments are of a kind that can be used.

    Args:
        owner: As an error names it: "guard 'llm'".
        arguments: By name; one without a rule is not looked at.

    Raises:
        TypeError: One is not; the message names it, shows it and says what it takes.
    """
    for name, value in arguments.items():
        fits, wanted = RULES.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise TypeError(f"{name} of {owner} takes {wanted}, got {value!r}")
