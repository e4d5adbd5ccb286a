"""Running becausal's commands in this process, and where the demo's files are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = ROOT / "demo" / "BERT4Rec-ml-100k.pth"
DATA = ROOT / ".demo" / "ml-100k"


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


if TYPE_CHECKING:
    Becausal = Callable[..., Ran]
