"""Another language: Node.js calls a server with the published .proto files and nothing else of ours."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from commands import ROOT
from node_modules import node_modules

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> str:
    """Where the packages of Node.js are."""
    return str(node_modules())


async def test_node_calls_with_the_published_protocol(node: str, address: str) -> None:
    called = await asyncio.create_subprocess_exec(
        "node",
        HERE / "call.js",
        ROOT / "proto",
        address,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"NODE_PATH": node},
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
