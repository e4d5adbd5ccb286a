"""The keeper in the background: the log carried on, old records erased, keys guarded."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import storage
from becausal.audit.note import Signer
from server.config import Audit, ConfigError
from server.records import Records, read_key, write_key
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def within_seconds(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_entries_are_sequenced_off_the_serving_path_and_at_the_end(database: storage.Database) -> None:
    with Records(database, Audit(sequence_seconds=0.02)) as records:
        records.start()
        records.store([record()]).result()
        assert within_seconds(lambda: (records.log.state() or storage.LogState(0, b"", None)).size == 1)
    with Records(database, Audit(sequence_seconds=60)) as records:
        records.start()
        records.store([record()]).result()
    state = storage.AuditLog(database, "becausal").state()
    assert state is not None
    assert state.size == 2


def test_records_past_the_retention_are_erased(database: storage.Database) -> None:
    old = record(create_time=datetime.now(UTC) - timedelta(days=8))
    fresh = record()
    storage.ExplanationRepository(database).add([old, fresh])
    with Records(database, Audit(sequence_seconds=0.02, retention_days=7)) as records:
        records.start()
        assert within_seconds(lambda: records.explanations.ids() == (fresh.id,))


def test_a_database_that_goes_away_is_tried_again(
    database: storage.Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Records(database, Audit(sequence_seconds=0.02)) as records:
        records.store([record()]).result()
        real, tried = records.log.sequence_all, []

        def fail_once() -> int:
            tried.append(1)
            if len(tried) == 1:
                raise storage.DatabaseUnavailableError("gone")
            return real()

        monkeypatch.setattr(records.log, "sequence_all", fail_once)
        records.start()
        assert within_seconds(lambda: records.log.state() is not None)
    assert "was not carried on: gone." in caplog.text


def test_dropped_records_are_counted_once(database: storage.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise storage.DatabaseUnavailableError("gone")

    with Records(database, Audit(mode="best_effort")) as records:
        monkeypatch.setattr(storage.Database, "writing", down)
        records.store([record(), record()]).result()
        assert within_seconds(lambda: records.dropped == 2)


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    path, signer = tmp_path / "key", Signer.new("becausal.test")
    write_key(path, signer)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).text == signer.text
    with pytest.raises(ConfigError, match="there already"):
        write_key(path, signer)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(ConfigError, match="no private key"):
        read_key(path)
    with pytest.raises(ConfigError, match="becausal audit keygen"):
        read_key(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_key(tmp_path / "no" / "folder", signer)
