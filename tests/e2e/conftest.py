"""The demo's own checkpoint as a bundle, once for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import storage
from commands import CHECKPOINT, DATA, Ran
from recommender import import_checkpoint
from server.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Becausal


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "bundle"
    import_checkpoint(CHECKPOINT, data=DATA, out=out)
    return out


@pytest.fixture
def database_file(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'becausal.db'}"
    storage.upgrade(url)
    return url


@pytest.fixture
def becausal(capsys: pytest.CaptureFixture[str]) -> Becausal:
    """Run a command of becausal in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run
