"""A process that stores records and says which are acknowledged, to be killed at any moment; and what must hold then."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select

import storage
from becausal.audit.entries import entry_leaf
from becausal.audit.merkle import root_hash, verify_inclusion
from becausal.audit.note import Signer
from storage.log import _tiles
from storage.models import ExplanationRow, LogCheckpointRow, LogEntryRow
from storage_examples import record

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ORIGIN = "becausal.test/log"
SIGNER = Signer.new(ORIGIN)

# Children are forked from a server that has imported everything once: a round takes a fraction of a second.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["storage", "storage_examples", "psycopg"])


def store_for_ever(url: str, acknowledged: Connection, key: str) -> None:
    """Store from several threads through the group writer, sequence beside it, erase now and then."""
    signer = Signer.parse(key)
    database = storage.Database(url)
    explanations = storage.ExplanationRepository(database)
    writer = storage.RecordWriter(explanations)

    def calls() -> None:
        while True:
            made = [record(user_id="u", cause_items=["1"]) for _ in range(2)]
            with suppress(storage.DatabaseUnavailableError):
                writer.submit(explanations.prepare(made)).result()
                acknowledged.send_bytes(b"".join(each.id.bytes for each in made))

    for _ in range(3):
        Thread(target=calls, daemon=True).start()
    log, erasure = storage.AuditLog(database, ORIGIN, signer), storage.Erasure(database)
    while True:
        with suppress(storage.DatabaseUnavailableError):
            log.sequence(limit=20)
            erasure.erase_user("nobody", actor="test", reason="")


class Crash:
    """One process, killed after a while."""

    def __init__(self, url: str) -> None:
        self._receive, send = processes.Pipe(duplex=False)
        self.process = processes.Process(target=store_for_ever, args=(url, send, SIGNER.text), daemon=True)
        self.process.start()
        send.close()

    def acknowledged(self, seconds: float) -> list[UUID]:
        """What is acknowledged within some seconds of the first acknowledgement."""
        ids: list[UUID] = []
        self._receive.poll(20)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._receive.poll(left):
                ids += self._next()
        return ids

    def kill(self) -> list[UUID]:
        """End it with SIGKILL; what it had acknowledged before that."""
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        ids: list[UUID] = []
        with suppress(EOFError):
            while True:
                ids += self._next()
        return ids

    def _next(self) -> list[UUID]:
        # A message that was cut by the kill ends the pipe in the middle of it.
        try:
            ids = self._receive.recv_bytes()
        except OSError:
            raise EOFError from None
        return [UUID(bytes=ids[start : start + 16]) for start in range(0, len(ids), 16)]


def check_all(url: str, acknowledged: list[UUID], newest: int = 50) -> None:
    """Every acknowledged record is readable and provable, nothing is half there, and the places have no gap.

    Reads every row once; proves the `newest` acknowledged one by one.
    """
    with storage.Database(url) as database:
        explanations, trail = storage.ExplanationRepository(database), storage.AuditTrail(database)
        log = storage.AuditLog(database, ORIGIN, SIGNER)
        log.sequence_all()
        with database.reading() as connection:
            stored = set(connection.execute(select(ExplanationRow.id)).scalars())
            entries = connection.execute(select(LogEntryRow.id, LogEntryRow.kind, LogEntryRow.leaf_index)).all()
        assert set(acknowledged) <= stored
        assert stored == {row.id for row in entries if row.kind == "explanation"}
        assert sorted(row.leaf_index for row in entries) == list(range(len(entries)))
        with database.reading() as connection:
            size, root = connection.execute(
                select(LogCheckpointRow.size, LogCheckpointRow.root).where(
                    LogCheckpointRow.size == select(func.max(LogCheckpointRow.size)).scalar_subquery()
                )
            ).one()
            assert (size, root_hash(size, _tiles(connection).node)) == (len(entries), root)
        for record_id in acknowledged[-newest:]:
            assert explanations.get(record_id) is not None
            assert trail.standing(record_id) is storage.Standing.INTACT
            proof = log.inclusion(record_id)
            leaf = entry_leaf(record_id, proof.kind, proof.commitment)
            assert verify_inclusion(leaf, proof.index, proof.state.size, proof.proof, proof.state.root)
