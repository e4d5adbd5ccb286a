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

from google.protobuf import descriptor_pb2

PROTO_ROOT = Path(__file__).resolve().parent.parent / "proto"
PACKAGE = Path("becausal/v1")
RULES = "buf/validate/validate.proto"
INIT = (
    '"""Generated from the .proto files in this folder by `make stubs`; written code stands beside it, not in it."""\n'
)


def generate(out: Path) -> None:
    """Run protoc for every .proto file of the package into ``out``."""
    sources = sorted(str(path.relative_to(PROTO_ROOT)) for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))
    bin_folder = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "described.bin"
        protoc(
            f"--proto_path={PROTO_ROOT}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={described}",
            *sources,
        )
        described.write_bytes(without_rules_file(described.read_bytes()))
        protoc(
            f"--descriptor_set_in={described}",
            f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        )
    for stub in (out / PACKAGE).glob("*_pb2_grpc.py*"):
        source = PROTO_ROOT / PACKAGE / (stub.name.split("_pb2")[0] + ".proto")
        if "\nservice " not in source.read_text():  # protoc writes an empty gRPC stub for every file
            stub.unlink()
    (out / PACKAGE / "__init__.py").write_text(INIT)


def protoc(*arguments: str) -> None:
    """Run the compiler.

    Raises:
        CalledProcessError: it refuses.
    """
    # mypy-protobuf's own stubs are older than the runtime it allows, and say so on every run.
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True, env=environment)


def without_rules_file(described: bytes) -> bytes:
    """The descriptors without their import of protovalidate's.

    The rules stay, as options that nobody needs to know: the server reads them, and the client needs no other package.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(described)
    for file in files.file:
        kept = [name for name in file.dependency if name != RULES]
        del file.dependency[:]
        file.dependency.extend(kept)
        for message in file.message_type:
            _forget_json_names(message)
    rest = [file for file in files.file if file.name != RULES]
    return descriptor_pb2.FileDescriptorSet(file=rest).SerializeToString()


def _forget_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    """They are what they would be anyway; protoc adds them only to descriptors that it writes to a file."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _forget_json_names(nested)


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
