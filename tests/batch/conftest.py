"""Files of histories, and runs whose workers are in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parent))

from works import PlainWork

from batch import run as run_module
from batch.folder import RunFolder
from batch.preparing import Preparing
from batch.values import Cluster
from batch.worker import Worker
from commands import CHECKPOINT, DATA
from recommender import import_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batch.folder import RunIdentity
    from batch.values import Work


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's checkpoint as a bundle."""
    out = tmp_path_factory.mktemp("demo") / "bundle"
    import_checkpoint(CHECKPOINT, data=DATA, out=out)
    return out


@pytest.fixture
def write_lists(tmp_path: Path) -> Callable[..., Path]:
    """Write histories as Parquet with a list for each user."""

    def write(histories: Mapping[str, Sequence[str]], name: str = "histories.parquet") -> Path:
        path = tmp_path / name
        parquet.write_table(pa.table({"user_id": list(histories), "history": list(histories.values())}), path)
        return path

    return write


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`batch.run.run` with one worker in this process in the place of Ray."""

    def here(
        blocks: Sequence[int], work: Work, folder: RunFolder, run: RunIdentity, _: Cluster
    ) -> Iterator[dict[str, Any]]:
        worker = Worker(work, folder.path, run)
        for block in blocks:
            yield worker.do(block)

    monkeypatch.setattr(run_module, "summaries", here)

    def run(source: Path, out: Path, work: Work | None = None, **settings: Any) -> dict[str, Any]:
        made = work or PlainWork()
        preparing = Preparing(source, **{"block": 4, **settings})
        return run_module.run(made, RunFolder(out, made.kind), preparing, Cluster(), asked={})

    return run
