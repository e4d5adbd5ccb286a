"""The README names every call and every command, and its first call runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from becausal.v1 import audit_service_pb2, explanation_service_pb2, model_service_pb2
from server.access import Role
from server.cli.app import app
from server.rpc.roles import ROLES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CALLS = [
    method.name
    for file in (explanation_service_pb2, audit_service_pb2, model_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_named(call: str) -> None:
    assert f"`{call}`" in README


@pytest.mark.parametrize("command", sorted(get_command(app).commands))
def test_every_command_is_named(command: str) -> None:
    assert f"becausal {command}" in README


@pytest.mark.parametrize("role", Role)
def test_the_operations_page_has_the_calls_of_each_role(role: Role) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (row,) = re.findall(rf"^\| `{re.escape(role)}` \|(.*)\|$", page, flags=re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", row)) == {path.rpartition("/")[2] for path, one in ROLES.items() if one is role}


def test_the_snippets_of_the_explainers_page_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "explainer.md").read_text()
    names: dict[str, object] = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(snippet, names)  # noqa: S102 - our own page

    printed = capsys.readouterr().out
    assert "EXPLAINED Aliens" in printed
    assert "Because you watched Alien" in printed
    assert "Weil du „Alien“ gesehen hast" in printed
