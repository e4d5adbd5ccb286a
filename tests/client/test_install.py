"""The client package alone in an environment of its own: with the newest and with the oldest of what it needs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from commands import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OLDEST = ("grpcio==1.72.2", "protobuf==6.30.2")
NO_INDEX = ("No matching distribution found", "Could not find a version", "NewConnectionError", "Max retries exceeded")

SCRIPT = """
import asyncio, json, sys
from importlib.metadata import distributions
from becausal.client import AsyncClient, CallError, Client

async def ask(address):
    async with AsyncClient(address) as client:
        return (await client.explain(["a", "b", "c"])).reason

address = sys.argv[1]
found = {"asyncio": asyncio.run(ask(address))}
with Client(address) as client:
    found["sync"] = client.explain(["a", "b", "c"]).reason
    try:
        client.recommend(["a"], k=-1)
    except CallError as error:
        found["error"] = [type(error).__name__, error.reason, error.violations[0].field]
found["packages"] = {one.name: one.version for one in distributions()}
found["modules"] = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "numpy", "sqlalchemy", "server"})
print(json.dumps(found))
"""


def pip(*arguments: object) -> None:
    """Run pip; an index that cannot be reached skips the test, but not in CI."""
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode and "CI" not in os.environ and any(sign in ran.stderr for sign in NO_INDEX):
        pytest.skip(f"the package index cannot be reached: {ran.stderr.strip().splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT / "proto")
    (built,) = folder.glob("becausal_client-*.whl")
    return built


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
async def test_it_installs_alone_and_calls(
    address: str, wheel: Path, versions: tuple[str, ...], tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    await asyncio.to_thread(pip, "--python", python, "install", wheel, *versions)

    call = await asyncio.create_subprocess_exec(
        python, "-W", "error", "-c", SCRIPT, address, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    out, _ = await call.communicate()
    found = json.loads(out)

    assert found["asyncio"] == found["sync"] == "Because you watched Alien"
    assert found["error"] == ["InvalidRequestError", "INVALID_FIELD", "k"]
    assert found["modules"] == []
    # newer versions of grpcio need typing_extensions
    assert set(found["packages"]) - {"typing_extensions"} == {"becausal-client", "grpcio", "protobuf"}
    assert {f"{name}=={version}" for name, version in found["packages"].items()} >= set(versions)


def test_the_oldest_are_those_that_the_package_names() -> None:
    text = (ROOT / "proto" / "pyproject.toml").read_text()
    assert all(pin.replace("==", ">=") in text for pin in OLDEST)
