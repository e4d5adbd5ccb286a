"""How fast the audit page's list and detail page answer over many records on PostgreSQL: prints one JSON object.

    .venv/bin/python -m benchmarks.page --records 1000000
    .venv/bin/python -m benchmarks.page --database postgresql://...    # one that this filled before, with --keep

The real page on a real port, asked over HTTP by one reader; a page's time is from the request to its last byte. The
records are copies of one explanation of the demo's model, with its history of 50 and its graphs; every page view is noted
in the audit log, durably, as it is in service.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import platform
import random
import re
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import storage  # noqa: E402 - after the path
from benchmarks.storage import DEMO, fill  # noqa: E402
from databases import running_postgres  # noqa: E402
from explainer import warm_up  # noqa: E402
from recommender import Recommender, load_bundle, read_dataset  # noqa: E402
from server.activation import Activations  # noqa: E402
from server.application import Application, Patience  # noqa: E402
from server.config import Config  # noqa: E402
from server.models import Models  # noqa: E402
from server.records import Records  # noqa: E402
from server.scheduling import Scheduler  # noqa: E402
from server.web.listener import WebListener  # noqa: E402
from storage.records import encode  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

WINDOW = 50
DEEP = 40
"""Pages to go down before the deep ones are measured: each page names the next."""

CHANCE = random.Random(2026)  # noqa: S311 - the choice of what to ask for


class Reader:
    """One browser: one connection, one session."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._cookie = ""
        self.get("/login")

    def get(self, path: str) -> str:
        """A page; the run ends where it is none."""
        self._connection.request("GET", path, headers={"cookie": self._cookie} if self._cookie else {})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{path} answered {answer.status}: {text[:500]}")
        self._cookie = (answer.getheader("set-cookie") or self._cookie).partition(";")[0]
        return text


def example() -> storage.ExplanationRecord:
    """An explanation of the demo's model for a user with a full window, with causes and the lists to go with it."""
    recommender = Recommender(load_bundle(DEMO / "bundle"))
    config = Config()
    application = Application(Models(recommender, config), config, None)
    found = []
    histories = read_dataset(DEMO / "ml-100k", recommender.bundle.data_settings).histories().items()
    for user, history in list(histories)[:40]:
        if len(history) >= WINDOW:
            found.append(application.explain(history, None, config.explain.settings(), user, Patience()))
    return max(found, key=lambda record: (len(record.explanation.causes), len(encode(record))))


@contextmanager
def served(url: str) -> Iterator[int]:
    """The page over a database and the demo's model; its port."""
    config = Config(web={"address": "127.0.0.1:0"}, bundle=DEMO / "bundle")
    models = Models(Recommender(load_bundle(DEMO / "bundle")), config, Scheduler(config.batching))
    with storage.Database(url) as database, Records(database, config.audit) as records:
        records.start()
        application = Application(models, config, records.explanations, records)
        listener = WebListener(application, Activations(models, storage.ActivationRepository(database), config), config)
        gc.collect()
        gc.freeze()  # as the server does
        try:
            yield listener.port
        finally:
            listener.close()
            application.close()


def paths(ids: Sequence[UUID]) -> dict[str, Callable[[], str]]:
    """What is asked for, by name, on records as `benchmarks.storage` fills them in."""

    def by(**query: Callable[[], object]) -> Callable[[], str]:
        return lambda: "/explanations?" + urlencode({name: value() for name, value in query.items()})

    user, item, cause = (
        lambda p=p, n=n: f"{p}{CHANCE.randrange(n)}" for p, n in (("u", 50_000), ("i", 1500), ("c", 1500))
    )
    model = lambda: f"sha256:{CHANCE.randrange(3)}"  # noqa: E731
    when = lambda: storage.identifiers.time_of(CHANCE.choice(ids)).isoformat()  # noqa: E731
    return {
        "list": lambda: "/explanations",
        "list by user": by(user=user),
        "list by item": by(item=item),
        "list by cause": by(cause=cause),
        "list by model": by(model=model),
        "list by status": by(status=lambda: "EXPLAINED"),
        "list by a status that none has": by(status=lambda: "BUDGET_EXHAUSTED"),
        "list until a time": by(until=when),
        "list by cause and model": by(cause=cause, model=model),
        "list by item, status and time": by(item=item, status=lambda: "EXPLAINED", until=when),
        "one explanation": lambda: f"/explanations/{CHANCE.choice(ids)}",
    }


def measured(reader: Reader, ask: Callable[[], str], times: int) -> dict[str, float]:
    """Median, 95th percentile and longest, in milliseconds, after five that do not count."""
    taken = []
    for turn in range(times + 5):
        path = ask()
        started = time.perf_counter()
        reader.get(path)
        if turn >= 5:  # noqa: PLR2004 - as above
            taken.append(1000 * (time.perf_counter() - started))
    taken.sort()
    return {
        "p50_ms": round(statistics.median(taken), 1),
        "p95_ms": round(taken[int(0.95 * len(taken))], 1),
        "max_ms": round(taken[-1], 1),
    }


def deeper(reader: Reader, times: int) -> dict[str, float]:
    """Pages far down the list, each from the link of the one before it."""
    path = "/explanations"

    def below() -> str:
        nonlocal path
        found = re.search(r'rel="next" href="([^"]+)"', reader.get(path))
        path = found[1].replace("&amp;", "&") if found else "/explanations"
        return path

    for _ in range(DEEP):
        below()
    return measured(reader, below, times)


def measure(url: str, times: int) -> dict[str, Any]:
    """Every kind of page."""
    with storage.Database(url) as database:
        explanations = storage.ExplanationRepository(database)
        ids = explanations.ids(limit=10_000_000)
        document = len(encode(explanations.get(ids[0]) or sys.exit("The database holds no records.")))
    with served(url) as port:
        reader = Reader(port)
        found: dict[str, Any] = {name: measured(reader, ask, times) for name, ask in paths(ids).items()}
        found["list, deep pages"] = deeper(reader, times)
        size = len(reader.get(f"/explanations/{ids[0]}"))
    return {"records": len(ids), "document_bytes": document, "page_bytes": size, "pages": found}


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=300, help="pages of each kind")
    parser.add_argument("--database", help="measure this one, which was filled before")
    parser.add_argument(
        "--keep", action="store_true", help="print the database's URL and keep it until Enter is pressed"
    )
    asked = parser.parse_args()
    warm_up()
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {platform.python_version()}"}
    with ExitStack() as stack:
        url = asked.database
        if url is None:
            url = stack.enter_context(stack.enter_context(running_postgres(fsync=True)).new_database())
            storage.upgrade(url)
            fill(url, 0, asked.records, example())
        print(json.dumps(result | measure(url, asked.times), indent=2), flush=True)
        if asked.keep:
            input(f"{url}\nEnter ends the database. ")


if __name__ == "__main__":
    main()
