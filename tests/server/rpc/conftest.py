"""A server, its database and a channel to it, new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import storage
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc


@pytest.fixture
def repository(database: storage.Database) -> storage.ExplanationRepository:
    return storage.ExplanationRepository(database)


@pytest.fixture
async def channel(repository: storage.ExplanationRepository) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(repository) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> ExplanationServiceStub:
    return ExplanationServiceStub(channel)
