"""Tokens hashed at rest, certificates by name, and settings that say what is wrong."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from server import access
from server.access import Access, Caller, Role, new_token, token_hash
from server.access_settings import Auth
from server.cli.app import app
from server.config import ConfigError, load_config

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [new_token() for _ in range(3)]
AUTH = Auth(
    callers=[
        {"name": "shop", "roles": ["explain"], "tokens": [token_hash(TOKENS[0]), token_hash(TOKENS[1])]},
        {"name": "auditor", "roles": ["audit.read"], "tokens": [token_hash(TOKENS[2])], "certificates": ["a.example"]},
    ]
)
SHOP = Caller("shop", frozenset({Role.EXPLAIN}))
AUDITOR = Caller("auditor", frozenset({Role.AUDIT_READ}))


def test_a_caller_is_known_by_any_of_its_tokens() -> None:
    known = Access.of(AUTH)

    assert not known.open
    assert [known.authenticate(token) for token in TOKENS] == [SHOP, SHOP, AUDITOR]
    assert [known.authenticate(token) for token in ("", TOKENS[0][:-1], token_hash(TOKENS[0]), "\udc80")] == [None] * 4


def test_every_hash_is_compared_whatever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def watched(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return compare(known, given)

    monkeypatch.setattr(access.hmac, "compare_digest", watched)
    for token in (TOKENS[0], TOKENS[2], "nobody's"):
        compared.clear()
        Access.of(AUTH).authenticate(token)
        assert len(compared) == 3


def test_a_certificate_is_known_by_its_name() -> None:
    known = Access.of(AUTH)

    assert known.by_certificate(["other.example", "a.example"]) == AUDITOR
    assert known.by_certificate(["b.example"]) is None
    assert known.by_certificate([]) is None


def test_without_callers_it_is_open() -> None:
    assert Access.of(Auth()).open


def test_the_command_prints_a_token_and_what_stands_for_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["token"]).output.splitlines()
    file = tmp_path / "becausal.toml"
    file.write_text(f'[[auth.callers]]\nname = "shop"\nroles = ["explain"]\n{printed[1]}\n')

    assert Access.of(load_config(file).auth).authenticate(printed[0]) == SHOP
    assert printed[0] not in file.read_text()
    assert CliRunner().invoke(app, ["token"]).output.splitlines() != printed


HASH = token_hash("x")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[auth.callers]]\nname = "a"\nroles = ["explain"]', "neither tokens nor certificates"),
        ('[[auth.callers]]\nname = "a"\nroles = ["explain"]\ntokens = ["secret"]', r"auth\.callers\.0\.tokens"),
        (f'[[auth.callers]]\nname = "a"\nroles = ["root"]\ntokens = ["{HASH}"]', r"auth\.callers\.0\.roles"),
        (f'[[auth.callers]]\nname = "a"\nroles = []\ntokens = ["{HASH}"]', r"auth\.callers\.0\.roles"),
        (f'[[auth.callers]]\nname = "a"\nroles = ["admin"]\ntokens = ["{HASH}", "{HASH}"]', "stands twice"),
        ('[tls]\ncertificate = "a"', "belong together"),
        ('[tls]\nclient_ca = "a"', "client_ca needs"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "becausal.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_config(file)
