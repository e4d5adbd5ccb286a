"""Writes docs/configuration.md and docs/configuration.schema.json from server/config.py; --check only compares."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from server.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# Configuration

Generated from `server/config.py` by `make docs`. One TOML file (`becausal serve --config FILE`), environment variables
over it, flags over both. Every setting has a default that works on a laptop. The same as a JSON schema:
[configuration.schema.json](configuration.schema.json).

| setting | environment | default | meaning |
|---|---|---|---|
"""


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Name and description of every setting, tables of settings opened up."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def row(name: str, field: FieldInfo) -> str:
    """One line of the table."""
    variable = "BECAUSAL_" + name.upper().replace(".", "__")
    default = field.default.value if isinstance(field.default, Enum) else field.default
    shown = "unset" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| `{name}` | `{variable}` | {shown} | {field.description} |\n"


def main() -> int:
    """Write both files, or compare and say which differs."""
    fresh = {
        DOCS / "configuration.md": HEAD + "".join(row(name, field) for name, field in settings(Config)),
        DOCS / "configuration.schema.json": json.dumps(Config.model_json_schema(), indent=2) + "\n",
    }
    if "--check" not in sys.argv[1:]:
        for file, text in fresh.items():
            file.write_text(text)
        return 0
    stale = [file.name for file, text in fresh.items() if not file.is_file() or file.read_text() != text]
    if stale:
        print(f"{', '.join(stale)} differ from server/config.py: run `make docs` and commit.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
