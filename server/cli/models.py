"""`becausal models`: the models at hand, and which one answers."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import storage
from becausal.channel import Tls
from becausal.client import Client
from becausal.errors import CallError
from becausal.v1.model_service_pb2 import ListModelsResponse
from server.bundles import Bundles, SwappedBundleError
from server.cli.audit_open import login
from server.cli.failure import CommandError
from server.cli.options import ConfigFile, Database, Json
from server.cli.printing import print_json, print_models
from server.config import Config, load_config
from server.model_list import State, models_at_hand
from server.rpc.model_service import NAME_PREFIX, model_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from becausal.v1.model_service_pb2 import Model
    from recommender import Bundle

ACTIVATION_SECONDS = 600.0
"""Deadline of an activation: a large model takes a while to load."""

app = typer.Typer(help="See, add and switch models.", no_args_is_help=True)

Address = Annotated[
    str | None,
    typer.Option("--address", help="Server to ask; by default folder and database are looked at.", show_default=False),
]
Ca = Annotated[
    Path | None,
    typer.Option("--ca", help="Certificates that vouch for the server's; switches TLS on.", show_default=False),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="File with the caller's token.", show_default=False)
]
BundlesFolder = Annotated[
    Path | None,
    typer.Option("--bundles", help="Folder of bundles; by default the one of the configuration.", show_default=False),
]


@app.command("list")
def list_(
    *,
    address: Address = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    bundles: BundlesFolder = None,
    config: ConfigFile = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List the models at hand, newest first."""
    if address is None:
        found = _here(_settings(config, bundles, database))
    else:
        with _client(address, ca, token_file) as client:
            found = list(client.list_models())
    response = ListModelsResponse(models=found)
    if json:
        print_json(response)
    else:
        print_models(response)


@app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="Folder of the model bundle, made by `becausal import`.")],
    *,
    bundles: BundlesFolder = None,
    config: ConfigFile = None,
) -> None:
    """Copy a bundle into the folder of bundles, where servers find it; what answers does not change."""
    from recommender import load_bundle  # noqa: PLC0415 - loads torch, which other commands can do without

    version = load_bundle(bundle).version
    try:
        kept = Bundles.of(_settings(config, bundles)).renew(bundle, version)
    except OSError as error:
        raise CommandError(f"The bundle cannot be copied ({error}); give another folder with --bundles.") from error
    typer.echo(f"{version} is kept in {kept.parent}; `becausal models activate {kept.name[:12]}` has it answer.")


@app.command()
def activate(
    model: Annotated[str, typer.Argument(help="Version, or the beginning of its digest.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Load and check it, and change nothing.")] = False,
    address: Address = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    bundles: BundlesFolder = None,
    config: ConfigFile = None,
    database: Database = None,
    actor: Annotated[
        str, typer.Option("--as", help="Who decides, for the audit log; by default your login.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:
    """Have a model answer from now on, at all instances on the database; calls under way finish on the one before."""
    if address is None:
        settings = _settings(config, bundles, database)
        chosen = _chosen(_here(settings), model)
        _decide(settings, chosen.version, actor or login(), check=check)
        said = f"running instances follow within {settings.follow_seconds:g} s, and later starts serve it"
    else:
        with _client(address, ca, token_file, actor) as client:
            name = _chosen(list(client.list_models()), model).name
            chosen = client.activate_model(name, validate_only=check, timeout=ACTIVATION_SECONDS)
        said = "it answers from now on"
    if json:
        print_json(chosen)
    else:
        typer.echo(f"{chosen.version}: {'it can be activated' if check else said}.")


def _settings(config: Path | None, bundles: Path | None, database: str | None = None) -> Config:
    return load_config(config, {"bundles": bundles, "database_url": database})


def _here(settings: Config) -> list[Model]:
    """The models that a server with these settings would have at hand; active is the one that it would start with."""
    bundles = Bundles.of(settings)
    active = _active(settings, bundles)
    at_work = [] if active is None else [(active, State.ACTIVE)]
    return [model_message(info) for info in models_at_hand(bundles, at_work)]


def _active(settings: Config, bundles: Bundles) -> Bundle | None:
    from recommender import load_bundle  # noqa: PLC0415 - as above

    with _decisions(settings) as decisions:
        decided = decisions.latest()
    given = load_bundle(settings.bundle, verify=False) if settings.bundle.is_dir() else None
    if decided is None or (given is not None and given.version == decided.model_version):
        return given
    try:
        return bundles.glance(decided.model_version)
    except SwappedBundleError:  # the list says so too, if there is anything
        return None


def _decide(settings: Config, version: str, actor: str, *, check: bool) -> None:
    """Load and check the model here, then store the decision, which whoever serves follows."""
    from server.activation import checked, decide, warm  # noqa: PLC0415 - as above
    from server.models import Models  # noqa: PLC0415 - as above

    models = Models(checked(Bundles.of(settings), version), settings)
    warm(models.active, settings.explain.settings())
    if not check:
        with _decisions(settings) as decisions:
            decide(decisions, version, actor)


@contextmanager
def _decisions(settings: Config) -> Iterator[storage.ActivationRepository]:
    storage.check(settings.database_url)
    with storage.Database(settings.database_url) as database:
        yield storage.ActivationRepository(database)


def _chosen(models: Sequence[Model], given: str) -> Model:
    """The model whose digest begins as given."""
    wanted = NAME_PREFIX + given.removeprefix(NAME_PREFIX).removeprefix("sha256:")
    found = [model for model in models if model.name.startswith(wanted) and wanted != NAME_PREFIX]
    if len(found) != 1:
        many = "No model" if not found else "More than one model"
        raise CommandError(f"{many} at hand begins with {given!r}; `becausal models list` shows them.")
    return found[0]


@contextmanager
def _client(address: str, ca: Path | None, token_file: Path | None, actor: str = "") -> Iterator[Client]:
    try:
        token = None if token_file is None else token_file.read_text(encoding="utf-8").strip()
        tls = None if ca is None else Tls(ca=ca)
        with Client(address, tls=tls, token=token, metadata=[("becausal-actor", actor or login())]) as client:
            yield client
    except CallError as error:
        raise CommandError(str(error)) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{error} (--address, --ca and --token-file say how to reach the server).") from error
