"""Python imports this first under `paramedic run`: paramedic begins when the program imports something of interest.

Until then it costs a finder that is asked for modules, and programs that import none of these pay no more. The
environment's own sitecustomize is run as ever.
"""

import importlib.machinery
import importlib.util
import os
import sys

TRIGGERS = ("paramedic", "openai", "anthropic", "httpx", "httpx2", "starlette.applications", "fastapi.applications")
_here = os.path.dirname(os.path.abspath(__file__))


def _own_sitecustomize() -> None:
    others = [path for path in sys.path if os.path.abspath(path or ".") != _here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _begin() -> None:
    try:
        from paramedic.instrument.zero_code import begin
    except ImportError as error:
        _say_once(f"paramedic: {sys.executable} runs this program without paramedic: {error}\n")
    else:
        begin()


def _say_once(line: str) -> None:
    if not os.environ.get("PARAMEDIC_SAID"):
        os.environ["PARAMEDIC_SAID"] = "1"  # processes that this one starts need not say it again
        sys.stderr.write(line)


def _watch() -> None:
    """Load the hooks alone, under their own name, so that paramedic finds them later as they are."""
    name = "paramedic.instrument.hooks"
    path = os.path.join(os.path.dirname(_here), "instrument", "hooks.py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return
    hooks = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    for module in TRIGGERS:
        hooks.after_import.watch(module, _begin)


_watch()
_own_sitecustomize()
