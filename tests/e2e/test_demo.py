"""`make demo`'s script as a user runs it: everything real, from the checkpoint to the drained server. Twice."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from commands import DATA, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_works_twice_in_a_row(tmp_path: Path) -> None:
    (tmp_path / "ml-100k").symlink_to(DATA)
    for _ in range(2):
        ran = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "demo/run.py", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count("Because you watched") >= 5
        assert "takes the place" in ran.stdout
        assert "$ becausal audit show explanations/" in ran.stdout
        assert ran.stdout.rstrip().endswith("the server has stopped.")
