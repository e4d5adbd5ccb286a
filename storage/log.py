"""The audit log: entries put in order, states signed, proofs given.

Entries are stored with what they commit to, in one transaction, without a place. `AuditLog.sequence` gives them their
places afterwards, many at a time and off the serving path; one sequencer at a time, whatever the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, func, insert, select, update

from becausal.audit.entries import entry_leaf
from becausal.audit.merkle import consistency_proof, inclusion_proof, root_hash
from becausal.audit.note import Checkpoint
from storage.errors import LogDamagedError, NoCheckpointError, NotInLogError
from storage.models import LogCheckpointRow, LogEntryRow, LogTileRow
from storage.tiles import Key, Tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from sqlalchemy import Connection, Row

    from becausal.audit.note import Signer
    from storage.database import Database

SEQUENCED_AT_ONCE = 4096
"""Most entries that one transaction puts in order: well under a second, for writers of SQLite wait meanwhile."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The log as it stood after a batch."""

    size: int
    root: bytes
    note: str | None
    """The signed checkpoint; None where no key was set."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry stands at its place of the log."""

    entry_id: UUID
    kind: str
    commitment: bytes
    index: int
    proof: tuple[bytes, ...]
    state: LogState


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That a later state of the log begins with all of an earlier one."""

    old_size: int
    new_size: int
    proof: tuple[bytes, ...]


class AuditLog:
    """The log of one database. Safe in threads.

    Args:
        database: where it is.
        origin: name of the log, which goes into every checkpoint.
        signer: signs checkpoints; None keeps the log without signing it.
    """

    def __init__(self, database: Database, origin: str, signer: Signer | None = None) -> None:
        self._database = database
        self._origin = origin
        self._signer = signer

    def sequence(self, limit: int = SEQUENCED_AT_ONCE) -> int:
        """Give places to entries that have none, at most `limit`, and sign the new state.

        Returns:
            How many there were.

        Raises:
            LogDamagedError: the tree is not the one that the last state was made over; nothing is signed.
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        return len(self._place(limit, None)) if self._due() else 0

    def sequence_all(self) -> int:
        """`sequence` until nothing is left; how many there were."""
        total, last = 0, None
        while last is not None or self._due():
            placed = self._place(SEQUENCED_AT_ONCE, last)
            total += len(placed)
            # From there on: a search from the start would pass over all that has a place by now, again and again.
            last = placed[-1] if len(placed) == SEQUENCED_AT_ONCE else None
        return total

    def _place(self, limit: int, after: UUID | None) -> list[UUID]:
        """Give places to waiting entries with greater ids, or with any, and sign the new state; their ids in order."""
        with self._database.writing() as connection:
            self._database.take_log_lock(connection)
            state = _newest(connection)
            size = state.size if state else 0
            tiles = _tiles(connection)
            if state is not None and _root(size, tiles) != state.root:
                raise LogDamagedError(
                    f"the audit log of {self._database.description} was changed behind its checkpoint of {size} entries; "
                    "restore the tables from a backup and run `becausal audit verify`"
                )
            pending = _pending(connection, limit, after)
            if pending:
                _give_places(connection, size, pending)
                leaves = [entry_leaf(entry.id, entry.kind, entry.commitment) for entry in pending]
                _write_tiles(connection, tiles.append(size, leaves))
            self._write_state(connection, size + len(pending), _root(size + len(pending), tiles))
        return [entry.id for entry in pending]

    def waiting(self, at_most: int) -> int:
        """Entries that have no place yet, counted no further than `at_most`.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        some = select(LogEntryRow.id).where(LogEntryRow.leaf_index.is_(None)).limit(at_most).subquery()
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def state(self) -> LogState | None:
        """The newest state; None before the first entry is in its place."""
        with self._database.reading() as connection:
            return _newest(connection)

    def checkpoint(self) -> LogState:
        """The newest state, signed.

        Raises:
            NoCheckpointError: nothing is in its place yet, or no key is set.
        """
        state = self.state()
        if state is None:
            raise NoCheckpointError("the audit log is empty; store an explanation first")
        if state.note is None:
            raise NoCheckpointError(
                "the audit log is not signed; set audit.key_file (`becausal audit keygen` makes one)"
            )
        return state

    def inclusion(self, entry_id: UUID) -> InclusionProof:
        """Prove that an entry is in the log, against the newest checkpoint.

        Raises:
            NotInLogError: there is no entry of this id, or it waits for its place.
            NoCheckpointError: the log is not signed.
        """
        state = self.checkpoint()
        statement = select(LogEntryRow.kind, LogEntryRow.commitment, LogEntryRow.leaf_index).where(
            LogEntryRow.id == entry_id
        )
        with self._database.reading() as connection:
            entry = connection.execute(statement).one_or_none()
            if entry is None:
                raise NotInLogError(f"the audit log has no entry {entry_id}; nothing of this id was ever stored here")
            if entry.leaf_index is None or entry.leaf_index >= state.size:
                raise NotInLogError(f"entry {entry_id} waits for its place in the log; try again in a moment")
            proof = self._proved(lambda: inclusion_proof(entry.leaf_index, state.size, _tiles(connection).node))
        return InclusionProof(entry_id, entry.kind, entry.commitment, entry.leaf_index, tuple(proof), state)

    def consistency(self, old_size: int, new_size: int | None = None) -> ConsistencyProof:
        """Prove that the log only grew between two sizes; None stands for the newest.

        Raises:
            NotInLogError: the log was never that long, or the sizes are in the wrong order.
        """
        state = self.state()
        longest = state.size if state else 0
        new = longest if new_size is None else new_size
        if not 0 <= old_size <= new <= longest:
            raise NotInLogError(
                f"sizes {old_size} and {new} are no states of a log of {longest} entries; give smaller ones"
            )
        with self._database.reading() as connection:
            proof = self._proved(lambda: consistency_proof(old_size, new, _tiles(connection).node))
        return ConsistencyProof(old_size, new, tuple(proof))

    def _due(self) -> bool:
        with self._database.reading() as connection:
            waiting = connection.execute(
                select(LogEntryRow.id).where(LogEntryRow.leaf_index.is_(None)).limit(1)
            ).one_or_none()
        if waiting is not None or self._signer is None:
            return waiting is not None
        state = self.state()
        return state is not None and not self._is_ours(state.note)

    def _is_ours(self, note: str | None) -> bool:
        """Whether a note is signed with the key of today: a new key signs the newest state at once."""
        return note is not None and self._signer is not None and self._signer.verifier.opened(note) is not None

    def _write_state(self, connection: Connection, size: int, root: bytes) -> None:
        note = None if self._signer is None else self._signer.sign(Checkpoint(self._origin, size, root).body)
        connection.execute(delete(LogCheckpointRow).where(LogCheckpointRow.size == size))
        connection.execute(
            insert(LogCheckpointRow).values(size=size, root=root, note=note, create_time=datetime.now(UTC))
        )

    def _proved(self, make: Callable[[], list[bytes]]) -> list[bytes]:
        try:
            return make()
        except KeyError:
            raise LogDamagedError(
                f"the tree of the audit log of {self._database.description} has holes; restore it from a backup"
            ) from None


def _newest(connection: Connection) -> LogState | None:
    statement = (
        select(LogCheckpointRow.size, LogCheckpointRow.root, LogCheckpointRow.note)
        .order_by(LogCheckpointRow.size.desc())
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else LogState(row.size, row.root, row.note)


def _tiles(connection: Connection) -> Tiles:
    def load(level: int, place: int) -> bytes:
        statement = select(LogTileRow.hashes).where(LogTileRow.level == level, LogTileRow.place == place)
        return connection.execute(statement).scalar_one_or_none() or b""

    return Tiles(load)


def _root(size: int, tiles: Tiles) -> bytes:
    try:
        return root_hash(size, tiles.node)
    except KeyError:
        return b""  # equal to no root


def _pending(connection: Connection, limit: int, after: UUID | None) -> Sequence[Row[UUID, str, bytes]]:
    waiting = select(LogEntryRow.id, LogEntryRow.kind, LogEntryRow.commitment).where(LogEntryRow.leaf_index.is_(None))
    if after is not None:
        waiting = waiting.where(LogEntryRow.id > after)
    return connection.execute(waiting.order_by(LogEntryRow.id).limit(limit)).all()


def _give_places(connection: Connection, size: int, pending: Sequence[Row[UUID, str, bytes]]) -> None:
    statement = update(LogEntryRow).where(LogEntryRow.id == bindparam("entry")).values(leaf_index=bindparam("place"))
    connection.execute(statement, [{"entry": entry.id, "place": size + at} for at, entry in enumerate(pending)])


def _write_tiles(connection: Connection, changed: dict[Key, bytes]) -> None:
    for level, place in changed:
        connection.execute(delete(LogTileRow).where(LogTileRow.level == level, LogTileRow.place == place))
    connection.execute(
        insert(LogTileRow),
        [{"level": level, "place": place, "hashes": hashes} for (level, place), hashes in changed.items()],
    )
