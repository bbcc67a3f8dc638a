"""Calls a function once a module has been imported, whether that is already so or comes later.

    watch("openai", patch) --> imported already? --yes--> patch() now
                                    |
                                    no --> the import system asks us; the module is loaded as ever, then patch()

Standard library only, little of it, and no module of paramedic: `paramedic run` loads this file alone, before
everything else, so that a program that imports nothing of interest pays next to nothing.
"""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class AfterImport:
    """Stands first among the finders and answers for the modules that are watched, until they are loaded."""

    def __init__(self) -> None:
        self._then: dict[str, list[Callable[[], object]]] = {}
        self._lock = threading.RLock()
        self._asking = threading.local()  # the module that this thread is asking the other finders for

    def watch(self, module: str, then: Callable[[], object]) -> None:
        """Call `then` after `module` was imported; at once when it has been."""
        loaded = sys.modules.get(module)
        if loaded is not None and not getattr(loaded.__spec__, "_initializing", False):
            return _call(module, then)
        with self._lock:
            self._then.setdefault(module, []).append(then)
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Watch nothing any more."""
        with self._lock:
            self._then.clear()
            if self in sys.meta_path:
                sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As import asks a finder: the module's own spec, with a loader that says when it has loaded."""
        if fullname not in self._then or getattr(self._asking, "name", None) == fullname:
            return None
        from importlib.util import find_spec

        self._asking.name = fullname
        try:
            spec = find_spec(fullname)
        except (ImportError, ValueError, AttributeError):
            return None  # whoever asked gets the error from the other finders
        finally:
            self._asking.name = None
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return None
        spec.loader = _Loading(spec.loader, lambda: self.loaded(fullname))  # type: ignore[assignment]
        return spec

    def loaded(self, module: str) -> None:
        """The module is there; what is to be done then may watch it once more."""
        while then := self._then.pop(module, None):
            for each in then:
                _call(module, each)


class _Loading:
    """A module's own loader, which says when it has loaded; what else one may ask of it, it answers itself."""

    def __init__(self, loader: Any, loaded: Callable[[], object]) -> None:
        self._loader, self._loaded = loader, loaded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._loaded()


def _call(module: str, then: Callable[[], object]) -> None:
    try:
        then()
    except Exception as error:
        import logging

        logging.getLogger("paramedic").warning("%s is not instrumented: %s", module, error)


after_import = AfterImport()
