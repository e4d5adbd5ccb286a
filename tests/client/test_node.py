"""Another language: Node.js calls a server with the published .proto files and nothing else of ours."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import ROOT

HERE = Path(__file__).parent / "node"
MODULES = ROOT / ".venv-node"
LOCK = "package-lock.json"


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js with the packages of the lock file, which are installed once."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        if "CI" in os.environ:
            pytest.fail("Node.js is not installed; CI needs it to know that another language can call.")
        pytest.skip("Node.js is not installed")
    installed = MODULES / "node_modules" / ".package-lock.json"
    if not installed.exists() or (MODULES / LOCK).read_bytes() != (HERE / LOCK).read_bytes():
        MODULES.mkdir(exist_ok=True)
        for name in ("package.json", LOCK):
            shutil.copy(HERE / name, MODULES / name)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=MODULES, check=True)  # noqa: S607 - npm of the path, as node
    return found


async def test_node_calls_with_the_published_protocol(node: str, address: str) -> None:
    called = await asyncio.create_subprocess_exec(
        node,
        HERE / "call.js",
        ROOT / "proto",
        address,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"NODE_PATH": str(MODULES / "node_modules")},
    )
    out, _ = await called.communicate()

    assert json.loads(out) == {
        "items": ["t", "r"],
        "status": "EXPLAINED",
        "reason": "Because you watched Alien",
        "causes": [["Alien", 3]],
        "stored": True,
        "listed": 1,
        "code": "INVALID_ARGUMENT",
        "details": "history is empty; give at least one item token, oldest first.",
        "rich": True,
    }
