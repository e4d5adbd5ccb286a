"""What storing costs and how fast stored explanations are found again, on PostgreSQL: prints one JSON object.

    .venv/bin/python -m benchmarks.storage --records 10000 100000 1000000

Documents are of full size (a history of 50, two heads of 75 edges: 21 kB). The tables are filled by SQL, read and written
by the repository. `plain INSERT` and `COPY` put the same bytes into a table with nothing but a primary key.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psycopg  # noqa: E402 - after the path

import storage  # noqa: E402
from databases import running_postgres  # noqa: E402
from explainer import warm_up  # noqa: E402
from explainer.explanation import Effect, Explanation, GraphEdge, HeadGraph, Status  # noqa: E402
from recommender import Recommender, load_bundle, read_dataset  # noqa: E402
from server.application import Application, Patience  # noqa: E402
from server.config import Config  # noqa: E402
from server.models import Models  # noqa: E402
from server.records import Records  # noqa: E402
from storage.records import encode  # noqa: E402
from storage_examples import plain, record  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO = ROOT / ".demo"
USERS = 150
BATCH = 100
WRITTEN = 3000
ASKED = 300
SEED = random.Random(2026)  # noqa: S311 - the choice of what to ask for

FILL = """
INSERT INTO explanations (id, create_time, user_id, target_item, model_version, status, payload)
SELECT id, now(), 'u' || g %% %(users)s, 'i' || g %% 1500, 'sha256:' || g %% 3, 'EXPLAINED',
       replace(%(document)s, %(id)s, id::text)
FROM (SELECT uuidv7() AS id, g FROM generate_series(%(start)s::bigint, %(end)s::bigint) AS g) AS made
"""
FILL_CAUSES = """
INSERT INTO explanation_causes (explanation_id, position, item)
SELECT id, 3, 'c' || row_number() OVER () %% 1500 FROM explanations
WHERE NOT EXISTS (SELECT 1 FROM explanation_causes WHERE explanation_id = id)
"""


def full_record(user_id: str = "u1") -> storage.ExplanationRecord:
    """A record as large as a real one."""
    edges = tuple(replace(plain(GraphEdge), source=place % 49, target=49) for place in range(75))
    graph = replace(plain(HeadGraph), edges=edges)
    explanation: Explanation = replace(
        record().explanation,
        history=tuple(str(SEED.randrange(1600)) for _ in range(50)),
        effects=tuple(Effect(SEED.gauss(0, 1), SEED.randrange(1, 99), SEED.gauss(0, 1e-3)) for _ in range(50)),
        graphs=(graph, replace(graph, head=1)),
        digests=(("attention", "0" * 64), ("inputs", "1" * 64)),
        settings=plain(type(record().explanation.settings)),
    )
    return storage.ExplanationRecord.new(user_id=user_id, explanation=explanation, older_history=("1",) * 50)


def milliseconds(work: Callable[[], object], times: int) -> dict[str, float]:
    """Median and 99th percentile of a call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    taken.sort()
    return {"p50_ms": round(statistics.median(taken), 2), "p99_ms": round(taken[int(0.99 * len(taken))], 2)}


def fill(url: str, start: int, end: int, made: storage.ExplanationRecord | None = None) -> None:
    """Bring the tables from `start` to `end` records, all with the document of one: of `made`, or of a full one."""
    made = made or full_record()
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(start, end, 20_000):
            values: dict[str, Any] = {
                "users": 50_000,
                "document": encode(made),
                "id": str(made.id),
                "start": first,
                "end": min(first + 20_000, end) - 1,
            }
            connection.execute(FILL, values)
            print(f"{values['end'] + 1} records", file=sys.stderr)
        connection.execute(FILL_CAUSES, {})
        connection.execute("VACUUM ANALYZE")


def reads(url: str) -> dict[str, object]:
    """Get and list, each by each filter, newest pages of 50."""
    with storage.Database(url) as database:
        explanations = storage.ExplanationRepository(database)
        ids = explanations.ids(limit=1_000_000)
        some = lambda prefix, count: f"{prefix}{SEED.randrange(count)}"  # noqa: E731
        specs: dict[str, Callable[[], storage.ExplanationFilter]] = {
            "user": lambda: storage.ExplanationFilter(user_id=some("u", 50_000)),
            "item": lambda: storage.ExplanationFilter(target_item=some("i", 1500)),
            "cause item": lambda: storage.ExplanationFilter(cause_item=some("c", 1500)),
            "model version": lambda: storage.ExplanationFilter(model_version=some("sha256:", 3)),
            "status": lambda: storage.ExplanationFilter(status=Status.EXPLAINED),
            "time": lambda: storage.ExplanationFilter(created_before=storage.identifiers.time_of(SEED.choice(ids))),
        }
        gc.collect()
        gc.freeze()  # as the server does
        found: dict[str, object] = {"get": milliseconds(lambda: explanations.get(SEED.choice(ids)), ASKED)}
        for name, spec in specs.items():
            found[f"list by {name}"] = milliseconds(lambda spec=spec: explanations.list(spec(), 50), ASKED)
        return found


def writes(url: str) -> dict[str, float]:
    """Records a second: of plain statements, of prepared rows, and of calls through the group writer."""
    made = [full_record() for _ in range(WRITTEN)]
    rows = [(each.id, encode(each)) for each in made]
    rates: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        rates[name] = round(WRITTEN / (time.perf_counter() - started), 1)

    with psycopg.connect(url, autocommit=True) as connection:
        for way in ("plain INSERT", "COPY"):
            connection.execute("DROP TABLE IF EXISTS bare")
            connection.execute("CREATE TABLE bare (id uuid PRIMARY KEY, payload text NOT NULL)")
            timed(way, lambda way=way: _plain(connection, rows) if way == "plain INSERT" else _copied(connection, rows))
        connection.execute("DROP TABLE bare")
    with storage.Database(url) as database:
        explanations = storage.ExplanationRepository(database)
        batches = [explanations.prepare(made[start : start + BATCH]) for start in range(0, WRITTEN, BATCH)]
        timed("becausal, prepared rows", lambda: [explanations.write(batch) for batch in batches])
        fresh = [full_record() for _ in range(WRITTEN)]
        timed("becausal, preparing alone", lambda: [explanations.prepare([each]) for each in fresh])
        with storage.RecordWriter(explanations) as writer, ThreadPoolExecutor(16) as pool:
            timed(
                "becausal, 16 callers, durable",
                lambda: list(pool.map(lambda each: writer.submit(explanations.prepare([each])).result(), fresh)),
            )
        log = storage.AuditLog(database, "benchmark")
        timed("sequencing", log.sequence_all)
    rates["prepared / plain INSERT"] = round(rates["becausal, prepared rows"] / rates["plain INSERT"], 2)
    rates["16 callers / plain INSERT"] = round(rates["becausal, 16 callers, durable"] / rates["plain INSERT"], 2)
    return rates


def share_of_explain(url: str) -> dict[str, float]:
    """What durable storing adds to the median of Explain, on the demo's model and users."""
    recommender = Recommender(load_bundle(DEMO / "bundle"))
    warm_up()
    histories = list(read_dataset(DEMO / "ml-100k").histories().values())[:USERS]
    config = Config()
    settings = config.explain.settings()
    computing, storing = [], []
    gc.collect()
    gc.freeze()
    with storage.Database(url) as database, Records(database, config.audit) as records:
        records.start()
        application = Application(Models(recommender, config), config, records.explanations, records)
        for history in histories[:5] + histories:
            started = time.perf_counter()
            made = application.explain(history, None, settings, "u", Patience())
            computed = time.perf_counter()
            application.store([made])
            computing.append(1000 * (computed - started))
            storing.append(1000 * (time.perf_counter() - computed))
    explain, store = statistics.median(computing[5:]), statistics.median(storing[5:])
    return {"explain_ms": round(explain, 2), "store_ms": round(store, 2), "share": round(store / explain, 3)}


def _plain(connection: psycopg.Connection, rows: list[tuple[Any, str]]) -> None:
    for start in range(0, len(rows), BATCH):
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO bare VALUES (%s, %s)", rows[start : start + BATCH])


def _copied(connection: psycopg.Connection, rows: list[tuple[Any, str]]) -> None:
    for start in range(0, len(rows), BATCH):
        with connection.transaction(), connection.cursor().copy("COPY bare FROM STDIN") as copy:
            for row in rows[start : start + BATCH]:
                copy.write_row(row)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    sizes = parser.parse_args().records
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "document_bytes": len(encode(full_record())),
    }
    with running_postgres(fsync=True) as server:
        with server.new_database() as url:
            storage.upgrade(url)
            result["writes_per_second"] = writes(url)
        if (DEMO / "bundle").is_dir():
            with server.new_database() as url:
                storage.upgrade(url)
                result["storing beside Explain"] = share_of_explain(url)
        with server.new_database() as url:
            storage.upgrade(url)
            at = 0
            for size in sizes:
                fill(url, at, size)
                at = size
                result[f"{size} records"] = reads(url)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
