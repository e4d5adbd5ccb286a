"""The compose file: valid by the Compose specification, and tied together as it has to be."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import compose_spec
import pytest
import yaml

from commands import ROOT
from server.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = ROOT / "deploy" / "compose.yaml"


def read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())  # merges <<, as compose does
    return found


def parsed(document: dict[str, Any]) -> compose_spec.PyCompose:
    # Variables take their defaults, as compose fills them in before it parses.
    text = re.sub(r"\$\{\w+:(?:-([^}]*)|\?[^}]*)\}", lambda found: found[1] or "given", json.dumps(document))
    compose = compose_spec.PyCompose.from_json(text)
    compose.validate()
    return compose


def test_it_is_valid() -> None:
    assert set(parsed(read()).service_names()) == {"postgres", "migrate", "becausal"}


@pytest.mark.parametrize(
    "mistake",
    [
        lambda document: document["services"]["becausal"].update(ports=["a:b"]),
        lambda document: document["services"]["migrate"].update(depends_on={"postgres": {"condition": "soon"}}),
        lambda document: document["services"]["becausal"].update(prots=["127.0.0.1:50051:50051"]),
    ],
)
def test_a_mistake_is_seen(mistake: Callable[[dict[str, Any]], object]) -> None:
    document = read()
    mistake(document)
    with pytest.raises(ValueError, match=r"\w"):
        parsed(document)


def test_the_volumes_that_are_used_are_declared() -> None:
    document = read()
    mounts = [mount for service in document["services"].values() for mount in service.get("volumes", [])]
    named = {mount.partition(":")[0] for mount in mounts if mount[0] not in "$./"}
    assert named == set(document["volumes"])


def test_the_server_starts_after_the_schema_and_that_after_the_database() -> None:
    services = read()["services"]
    assert services["becausal"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "healthcheck" in services["postgres"]


def test_its_settings_are_settings_and_no_password_is_in_it() -> None:
    services = read()["services"]
    for name in ("migrate", "becausal"):
        environment = services[name]["environment"]
        assert {key for key in environment if key.startswith("BECAUSAL_")} <= {
            f"BECAUSAL_{field.upper()}" for field in Config.model_fields
        }
        assert environment["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")
        assert ":" not in environment["BECAUSAL_DATABASE_URL"].partition("://")[2]
    assert services["becausal"]["environment"] == services["migrate"]["environment"]


def test_it_is_open_to_this_machine_only_and_stops_after_draining() -> None:
    server = read()["services"]["becausal"]
    assert server["ports"] == ["127.0.0.1:50051:50051"]
    assert int(server["stop_grace_period"].removesuffix("s")) > Config().drain_seconds + 5
    assert (server["read_only"], server["cap_drop"]) == (True, ["ALL"])


def test_the_image_is_built_from_a_file_that_is_there() -> None:
    build = read()["services"]["becausal"]["build"]
    assert (FILE.parent / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
