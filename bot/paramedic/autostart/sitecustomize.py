"""Python imports this first under `paramedic run`: it starts paramedic, then the environment's own sitecustomize."""

import importlib.machinery
import importlib.util
import os
import sys

import paramedic

_here = os.path.dirname(os.path.abspath(__file__))
_others = [path for path in sys.path if os.path.abspath(path or ".") != _here]
_shadowed = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _shadowed is not None and _shadowed.loader is not None:
    _module = importlib.util.module_from_spec(_shadowed)
    _shadowed.loader.exec_module(_module)

paramedic.init()
