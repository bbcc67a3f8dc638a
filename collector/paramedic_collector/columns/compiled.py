"""Functions that numba turns into machine code: for loops over bytes and over single spans.

    @compiled
    def size_of(payload, at, end): ...

The code is made at the first call, kept on disk for the next process, and runs without Python's lock, so the work
of a receiver's thread does not stop the others. It does not check the bounds of arrays: whoever writes such a
function checks every index that came from outside. What is kept belongs to one version of this folder, see `kept`.

`NUMBA_BOUNDSCHECK=1` compiles with checks.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from paramedic_collector.columns.kept import folder

_njit: Any = numba.njit  # its types know no return values of decorated functions

Function = TypeVar("Function", bound=Callable[..., object])

if "NUMBA_CACHE_DIR" not in os.environ:
    setattr(config, "CACHE_DIR", str(folder()))  # noqa: B010 - numba makes its settings at import, unseen by mypy


def compiled(function: Function) -> Function:
    """The function as machine code."""
    try:
        made: Function = _njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder that can be written to: it is made anew in each process
        made = _njit(nogil=True)(function)
    return made


def inner(function: Function) -> Function:
    """A part of compiled functions, which Python itself does not call."""
    made: Function = _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return made


def inlined(function: Function) -> Function:
    """An inner function without the cost of a call, which with arrays is that of a short loop."""
    made: Function = _njit(nogil=True, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return made


@intrinsic
def _word_at(typing: Any, array: Any, at: Any) -> Any:
    """The eight bytes of a byte array from `at` on, lowest first, as one signed number, in one instruction.

    For compiled functions alone; the caller has seen that all eight are there.
    """

    def load(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]])
        return builder.load(builder.bitcast(place, ir.IntType(64).as_pointer()), align=1, typ=ir.IntType(64))

    return types.int64(array, types.int64), load


word_at: Callable[[Any, int], int] = _word_at
