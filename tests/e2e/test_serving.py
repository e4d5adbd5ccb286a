"""`becausal serve` as a process, called by the client package and by the command line."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from becausal.client import Client
from commands import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Becausal

BECAUSAL = str(Path(sys.executable).with_name("becausal"))
HISTORY = ["168", "50", "172", "181", "1", "7", "174", "195"]


@pytest.fixture
def server(demo_bundle: Path, database_url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on each database engine, and its address."""
    command = [BECAUSAL, "serve", "--bundle", str(demo_bundle), "--database", database_url, "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def test_the_client_gets_what_the_command_line_gets(
    server: tuple[subprocess.Popen[str], str], demo_bundle: Path, becausal: Becausal
) -> None:
    _, address = server
    with Client(address) as client:
        explanation = client.explain(HISTORY, user_id="7")
        listed = list(client.list_explanations(filter='user_id = "7"', page_size=1))
        assert client.get_explanation(explanation.name) == explanation
        assert [one.name for one in listed] == [explanation.name]
        assert [item.rank for item in client.recommend(HISTORY, k=3).items] == [1, 2, 3]
    remote = becausal("explain", "--address", address, "--history", ",".join(HISTORY), "--json").json
    local = becausal("explain", "--bundle", demo_bundle, "--history", ",".join(HISTORY), "--json").json
    for changing in ("name", "id", "createTime", "cost"):
        remote.pop(changing)
        local.pop(changing, None)
    assert remote == local


def test_a_bad_request_is_one_sentence_on_the_command_line(
    server: tuple[subprocess.Popen[str], str], becausal: Becausal
) -> None:
    ran = becausal("explain", "--address", server[1], "--history", "nope")

    assert ran.code == 2
    assert ran.err == (
        "becausal: INVALID_ARGUMENT: history has no item that the model knows; send item tokens of the data set it was "
        "trained on.\n"
    )


def test_the_first_call_of_the_readme_runs(
    server: tuple[subprocess.Popen[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)

    exec(snippet.replace("localhost:50051", server[1]), {})  # noqa: S102 - our own README

    assert "Because you watched" in capsys.readouterr().out


def test_sigterm_ends_it_with_0(server: tuple[subprocess.Popen[str], str]) -> None:
    process, address = server
    with Client(address) as client:
        client.recommend(HISTORY)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
        with pytest.raises(grpc.RpcError):
            client.recommend(HISTORY)
    assert process.returncode == 0
    assert "stopped" in rest


def test_an_unmigrated_database_stops_the_start(demo_bundle: Path, empty_url: str) -> None:
    command = [BECAUSAL, "serve", "--bundle", str(demo_bundle), "--database", empty_url, "--address", "127.0.0.1:0"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command

    assert ran.returncode == 2
    assert "becausal db upgrade" in ran.stderr
    assert ran.stderr.count("\n") == 1
