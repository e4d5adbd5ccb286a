"""A driver of its own, to be killed: python -m driving FOLDER HISTORIES DATABASE_URL PIDS ADDRESS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from works import PlainWork

from batch.folder import RunFolder
from batch.preparing import Preparing
from batch.run import run
from batch.values import Cluster

if __name__ == "__main__":
    folder, histories, url, pids, address = sys.argv[1:]
    work = PlainWork(database_url=url, pids=Path(pids), seconds=0.05)
    report = run(
        work,
        RunFolder(Path(folder), work.kind),
        Preparing(Path(histories), block=4),
        Cluster(address=address, workers=2),
        asked={"test": 1},
    )
    sys.stdout.write(json.dumps(report))
