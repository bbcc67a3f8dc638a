"""Records the calls of clients and the requests of apps that know nothing of paramedic.

paramedic.instrument()            everything that is installed, whether imported already or later
paramedic.instrument("openai")    only this
"""

from collections.abc import Callable
from importlib import import_module

from paramedic.instrument.hooks import after_import

# Name, the module after whose import it is done, and where the function is that does it.
KNOWN = {
    "openai": (("openai",), "paramedic.instrument.stainless"),
    "anthropic": (("anthropic",), "paramedic.instrument.stainless"),
    "httpx": (("httpx", "httpx2"), "paramedic.instrument.http_clients"),
    "starlette": (("starlette.applications",), "paramedic.instrument.web_apps"),
    "fastapi": (("fastapi.applications",), "paramedic.instrument.web_apps"),
}


def instrument(*names: str) -> None:
    """Record the calls of these clients and the requests of these apps; of all known ones when none is named.

    Calls and requests stay as they are: same arguments, same results, same exceptions. Doing it twice does no more
    than doing it once. What is not installed is left alone; what has an unknown form is left alone too, and the log
    says so.

    Args:
        names: "openai", "anthropic", "httpx" (httpx2 as well), "starlette", "fastapi".

    Raises:
        ValueError: A name that is not known.
    """
    unknown = sorted(set(names) - set(KNOWN))
    if unknown:
        raise ValueError(f"instrument knows {', '.join(KNOWN)}, got {unknown[0]!r}")
    for name in names or KNOWN:
        modules, where = KNOWN[name]
        for module in modules:
            after_import.watch(module, _patching(module, where))


def uninstrument() -> None:
    """Put everything back as it was: for tests."""
    from paramedic.instrument.patches import restore_all

    after_import.forget()
    restore_all()


def _patching(module: str, where: str) -> Callable[[], object]:
    def patch() -> None:
        import_module(where).patch(module.partition(".")[0])

    return patch
