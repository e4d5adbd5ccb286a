"""How the engine is compiled and cached."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numba
import pytest

from explainer import compiling
from explainer.causal import kernel

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("entry", [kernel.learn, kernel.row_products])
def test_the_digest_of_all_sources_is_part_of_every_cache_key(entry: Any) -> None:
    captured = inspect.getclosurevars(entry.py_func).nonlocals

    assert captured["version"] == kernel.SOURCES


def test_without_a_place_for_the_cache_the_engine_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = numba.njit

    def no_place(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", no_place)

    def double(number: int) -> int:
        return 2 * number

    assert compiling.entry_point(double)(21) == 42


def test_constants_from_elsewhere_are_part_of_the_digest() -> None:
    """Compiled code holds them as they were."""
    assert compiling.digest(kernel.__file__) == kernel.SOURCES
    assert len({compiling.digest(kernel.__file__, *constants) for constants in [(), (1e-4,), (1e-3,)]}) == 3
