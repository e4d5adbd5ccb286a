"""`becausal models`: see, add and switch models, at a server and without one."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import storage
from becausal.client import Client
from server.access import new_token, token_hash
from small_models import HISTORY, bundle, damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Becausal, Ran

BECAUSAL = str(Path(sys.executable).with_name("becausal"))


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Path:
    """A configuration whose setting names the first of two models; nothing is kept yet."""
    storage.upgrade(sqlite_url)
    bundle(tmp_path, 0)
    bundle(tmp_path, 1)
    file = tmp_path / "becausal.toml"
    file.write_text(
        f'bundle = "{tmp_path / "bundle-0"}"\nbundles = "{tmp_path / "bundles"}"\ndatabase_url = "{sqlite_url}"\n'
        'address = "127.0.0.1:0"\nfollow_seconds = 0.05\n'
    )
    return file


@pytest.fixture
def versions(tmp_path: Path, settings: Path) -> list[str]:  # noqa: ARG001 - makes them
    from recommender import load_bundle  # noqa: PLC0415 - loads torch

    return [load_bundle(tmp_path / f"bundle-{seed}").version for seed in range(2)]


@pytest.fixture
def guarded(settings: Path, tmp_path: Path) -> Iterator[tuple[str, list[object]]]:
    """A server with these settings and two callers, as a process; its address, and how the operator reaches it."""
    with settings.open("a") as file:
        for role in ("admin", "explain"):
            token = new_token()
            file.write(f'[[auth.callers]]\nname = "{role}"\nroles = ["{role}"]\ntokens = ["{token_hash(token)}"]\n')
            (tmp_path / role).write_text(token + "\n")
    command = [BECAUSAL, "serve", "--config", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            yield address, ["--address", address, "--token-file", tmp_path / "admin"]
        finally:
            process.kill()


def listed(ran: Ran) -> dict[str, str]:
    assert ran.code == 0, ran.err
    return {one["version"]: one["state"] for one in ran.json["models"]}


def sentence(ran: Ran) -> str:
    assert ran.code == 2, ran.out + ran.err
    assert re.fullmatch(r"becausal: [^\n]+\.\n", ran.err), ran.err
    return ran.err


def test_models_are_added_and_activated_at_a_server_and_without_one(
    becausal: Becausal, settings: Path, tmp_path: Path, versions: list[str], guarded: tuple[str, list[object]]
) -> None:
    address, there = guarded
    here = ["--config", settings]
    refused = becausal("models", "list", "--address", address, "--token-file", tmp_path / "explain")
    assert "needs the role admin" in sentence(refused)

    assert listed(becausal("models", "list", *there, "--json")) == {versions[0]: "ACTIVE"}
    added = becausal("models", "add", tmp_path / "bundle-1", *here)
    assert (added.code, versions[1] in added.out) == (0, True)
    checked = becausal("models", "activate", versions[1], "--check", *there)
    assert checked.out == f"{versions[1]}: it can be activated.\n"
    activated = becausal("models", "activate", versions[1][7:15], *there)
    assert activated.out == f"{versions[1]}: it answers from now on.\n"
    with Client(address, token=(tmp_path / "explain").read_text().strip()) as client:
        assert client.recommend(HISTORY).model_version == versions[1]
        for where in (there, here):
            assert listed(becausal("models", "list", *where, "--json")) == dict(
                zip(versions, ["AVAILABLE", "ACTIVE"], strict=True)
            )
        shown = becausal("models", "list", *there)
        assert re.search(rf"{versions[1]}  ACTIVE\n   BERT4Rec on tiny, 29 items, 0\.0 MB  NDCG@10 0\.0800", shown.out)

        # Without a server only the decision is stored, and the server follows it.
        decided = becausal("models", "activate", versions[0], *here, "--as", "ann", "--json")
        assert (decided.code, decided.json["version"]) == (0, versions[0])
        end = time.monotonic() + 30
        while client.recommend(HISTORY).model_version != versions[0]:
            assert time.monotonic() < end


def test_a_damaged_model_is_refused_and_mended_by_adding_it_again(
    becausal: Becausal, settings: Path, tmp_path: Path, versions: list[str]
) -> None:
    activate = ("models", "activate", versions[1], "--config", settings)
    assert "No model at hand begins with" in sentence(becausal(*activate))
    becausal("models", "add", tmp_path / "bundle-1", "--config", settings)
    damage(tmp_path, versions[1])
    assert "add its bundle again" in sentence(becausal(*activate))
    assert listed(becausal("models", "list", "--config", settings, "--json"))[versions[0]] == "ACTIVE"
    becausal("models", "add", tmp_path / "bundle-1", "--config", settings)
    assert becausal(*activate).code == 0
    assert listed(becausal("models", "list", "--config", settings, "--json"))[versions[1]] == "ACTIVE"


def test_bad_usage_is_told_in_a_sentence(becausal: Becausal, settings: Path, tmp_path: Path) -> None:
    assert "becausal import" in sentence(becausal("models", "add", tmp_path / "nothing", "--config", settings))
    for given in ("", "sha256:", "models/ff"):
        assert "No model at hand" in sentence(becausal("models", "activate", given, "--config", settings))
    assert "No server answers" in sentence(becausal("models", "list", "--address", "127.0.0.1:1"))
    for option in ("--ca", "--token-file"):
        assert "--token-file" in sentence(
            becausal("models", "list", "--address", "127.0.0.1:1", option, tmp_path / "x")
        )
