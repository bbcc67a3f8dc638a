"""Guards without a past."""

from paramedic.guards.registry import registry


def fresh_guards() -> None:
    """Have every guard of this process forget: breakers are closed, no command holds, budgets are full, counts are 0.

    A guard made by a decorator lives as long as its module, so what one test did to it another would find. In pytest
    a fixture with ``autouse=True`` calls this.

    >>> guard = paramedic.Guard("llm")
    >>> guard.force("open")
    >>> paramedic.testing.fresh_guards()
    >>> guard.available
    True
    """
    for guard in registry.guards():
        guard.renew()
