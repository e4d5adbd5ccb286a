"""A server for the clients; SQLite alone, since they do not see the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import storage
from listening import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def repository(sqlite_url: str) -> Iterator[storage.ExplanationRepository]:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        yield storage.ExplanationRepository(database)


@pytest.fixture
async def address(repository: storage.ExplanationRepository) -> AsyncIterator[str]:
    async with listening(repository) as server:
        yield f"127.0.0.1:{server.port}"
