"""A counter of the statements that a block sends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import storage


@pytest.fixture
def query_counter(database: storage.Database) -> Callable[[], AbstractContextManager[list[str]]]:
    """Collect the SQL statements, apart from BEGIN, that a block sends."""

    @contextmanager
    def count() -> Iterator[list[str]]:
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if not statement.startswith("BEGIN"):
                statements.append(statement)

        event.listen(database._engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(database._engine, "before_cursor_execute", note)

    return count
