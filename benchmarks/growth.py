"""What 10 thousand to 10 million stored records do to getting, listing, appending and proving, on PostgreSQL; JSON on stdout.

From the repository's root: ``.venv/bin/python -m benchmarks.growth [--records 10000 100000 1000000 10000000]``. Records are
small (history of one item), since what grows is the number of rows: their size is measured by benchmarks/storage.py. Rows
are filled by SQL, and sequenced, read, proved and appended by the repositories.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

import psycopg  # noqa: E402 - after the path

import storage  # noqa: E402
from becausal.audit.note import Signer  # noqa: E402
from benchmarks.storage import milliseconds  # noqa: E402
from databases import running_postgres  # noqa: E402
from storage.records import encode  # noqa: E402
from storage_examples import record  # noqa: E402

ORIGIN = "benchmark"
ASKED = 200
AT_ONCE = 50_000
SEED = random.Random(2026)  # noqa: S311 - the choice of what to ask for

FILL = """
WITH made AS (SELECT uuidv7() AS id, g FROM generate_series(%(start)s::bigint, %(end)s::bigint) AS g),
explained AS (
    INSERT INTO explanations (id, create_time, user_id, target_item, model_version, status, payload)
    SELECT id, now(), 'u' || g %% 1000000, 'i' || g %% 100000, 'sha256:' || g %% 3, 'EXPLAINED',
           replace(%(document)s, %(id)s, id::text) FROM made
)
INSERT INTO log_entries (id, kind, commitment, salt)
SELECT id, 'explanation', sha256(id::text::bytea), sha256(g::text::bytea) FROM made
"""


def fill(url: str, start: int, end: int) -> float:
    """Bring the tables from `start` to `end` records; seconds that it took."""
    made = record()
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(start, end, AT_ONCE):
            values: dict[str, Any] = {
                "document": encode(made),
                "id": str(made.id),
                "start": first,
                "end": min(first + AT_ONCE, end) - 1,
            }
            connection.execute(FILL, values)
        connection.execute("VACUUM ANALYZE explanations")
        connection.execute("VACUUM ANALYZE log_entries")
    return time.perf_counter() - began


def measured(url: str, fresh: int) -> dict[str, Any]:
    """Sequence what is new, then read, prove and append."""
    with storage.Database(url) as database:
        explanations = storage.ExplanationRepository(database)
        log = storage.AuditLog(database, ORIGIN, Signer.new(ORIGIN))
        began = time.perf_counter()
        log.sequence_all()
        sequenced = fresh / (time.perf_counter() - began)
        ids = sample(url)
        size = log.checkpoint().size
        gc.collect()
        gc.freeze()  # as the server does
        return {
            "sequencedPerSecond": round(sequenced),
            "get": milliseconds(lambda: explanations.get(SEED.choice(ids)), ASKED),
            "list by user": milliseconds(
                lambda: explanations.list(storage.ExplanationFilter(user_id=f"u{SEED.randrange(1_000_000)}"), 50), ASKED
            ),
            "list by item": milliseconds(
                lambda: explanations.list(storage.ExplanationFilter(target_item=f"i{SEED.randrange(100_000)}"), 50),
                ASKED,
            ),
            "newest 50": milliseconds(lambda: explanations.list(storage.ExplanationFilter(), 50), ASKED),
            "append": milliseconds(lambda: explanations.add([record()]), ASKED),
            "prove inclusion": milliseconds(lambda: log.inclusion(SEED.choice(ids)), ASKED),
            "prove consistency": milliseconds(lambda: log.consistency(SEED.randrange(1, size)), ASKED),
            "databaseMiB": megabytes(url),
        }


def sample(url: str) -> list[Any]:
    """Ids from everywhere in the table."""
    with psycopg.connect(url) as connection:
        (last,) = connection.execute("SELECT max(leaf_index) FROM log_entries").fetchone() or (0,)
        places = [SEED.randrange(last + 1) for _ in range(5 * ASKED)]
        found = connection.execute("SELECT id FROM log_entries WHERE leaf_index = ANY(%s)", [places])
        return [row[0] for row in found.fetchall()]


def megabytes(url: str) -> int:
    """Size of the database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) / 1048576").fetchone()
    return int(row[0]) if row else 0


def main() -> int:
    """Measure at each size, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    result: dict[str, Any] = {"machine": platform.machine(), "documentBytes": len(encode(record()))}
    with running_postgres(fsync=True) as server, server.new_database() as url:
        storage.upgrade(url)
        at = 0
        for size in parser.parse_args().records:
            seconds = fill(url, at, size)
            result[f"{size}"] = {"fillSeconds": round(seconds, 1), **measured(url, size - at)}
            print(f"{size}: {json.dumps(result[f'{size}'])}", file=sys.stderr, flush=True)
            at = size
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
