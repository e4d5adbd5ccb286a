"""How numba is told to compile: ahead of use, without the interpreter lock, and kept on disk.

numba's disk cache looks at the file of the function that it stores and at no other. Functions of one package call one
another across files, so only the entry points are stored, and the digest of the whole package is part of their key:
change any file and they are compiled anew. Where no directory can be written (a read-only container without a home), the
entry points are compiled in each process instead of failing at import.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")

# Division by zero is avoided by the code, not checked by the compiler.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def inner(function: _Function) -> _Function:
    """Compile a function that is only called from compiled code and makes no array.

    Without memory to manage there are no references to count, which the tight loops would otherwise spend most of their
    time on (measured: seven times slower).
    """
    return _compile(function, {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True})


def allocating(function: _Function) -> _Function:
    """Compile a function that is only called from compiled code and makes arrays, or calls one that does."""
    return _compile(function, {"no_cpython_wrapper": True, "no_cfunc_wrapper": True})


def entry_point(function: _Function) -> _Function:
    """Compile a function that Python calls; it must use its package's `digest` as a free variable, see above."""
    try:
        return _compile(function, {"cache": True})
    except RuntimeError:  # numba's word for "no directory to keep the cache in"
        return _compile(function, {})


def _compile(function: _Function, options: dict[str, bool]) -> _Function:
    compiler: Callable[..., Any] = numba.njit
    compiled: _Function = compiler(**_OPTIONS, **options)(function)
    return compiled


def digest(package: str, *constants: object) -> str:
    """SHA-256 over all that a package's compiled code is made of.

    Args:
        package: the ``__file__`` of one of its files; all of them count, and this one.
        constants: values from other packages, which compiled code holds as they were.
    """
    files = sorted(Path(package).parent.glob("*.py"))
    content = b"".join(file.read_bytes() for file in [*files, Path(__file__)])
    return hashlib.sha256(content + repr(constants).encode()).hexdigest()
