"""Generates proto/becausal/v1/*_pb2* from the .proto files beside them; --check only compares.

Run in .venv-protoc: `make stubs`, `make check-stubs`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

PROTO_ROOT = Path(__file__).resolve().parent.parent / "proto"
PACKAGE = Path("becausal/v1")
INIT = (
    '"""Generated from the .proto files in this folder by `make stubs`; written code stands beside it, not in it."""\n'
)


def generate(out: Path) -> None:
    """Run protoc for every .proto file of the package into ``out``."""
    sources = sorted(str(path.relative_to(PROTO_ROOT)) for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))
    bin_folder = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={PROTO_ROOT}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        ],
        check=True,
        # mypy-protobuf's own stubs are older than the runtime it allows, and say so on every run.
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    for stub in (out / PACKAGE).glob("*_pb2_grpc.py*"):
        source = PROTO_ROOT / PACKAGE / (stub.name.split("_pb2")[0] + ".proto")
        if "\nservice " not in source.read_text():  # protoc writes an empty gRPC stub for every file
            stub.unlink()
    (out / PACKAGE / "__init__.py").write_text(INIT)


def generated(root: Path) -> dict[str, bytes]:
    """Name and content of the Python files of the package under ``root``."""
    return {path.name: path.read_bytes() for path in (root / PACKAGE).iterdir() if path.suffix in {".py", ".pyi"}}


def main() -> int:
    """Generate in place, or compare and say which files differ."""
    if "--check" not in sys.argv[1:]:
        for name in generated(PROTO_ROOT):
            (PROTO_ROOT / PACKAGE / name).unlink()
        generate(PROTO_ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = generated(Path(folder)), generated(PROTO_ROOT)
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    if stale:
        print(f"Generated stubs are out of date ({', '.join(stale)}): run `make stubs` and commit.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
