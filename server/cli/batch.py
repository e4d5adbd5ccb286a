"""`becausal batch`: explain every user of a file of histories, or compare two models over them."""

from __future__ import annotations

import hashlib
import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import storage
from recommender import load_bundle
from server.bundles import Bundles
from server.checking import check_k, check_settings
from server.cli.batch_printing import print_report, progress_bar
from server.cli.failure import CommandError
from server.cli.options import BundleFolder, ConfigFile, Json, config_with
from server.records import read_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch.preparing import Preparing, Since
    from batch.values import Cluster, Work
    from server.config import Config
    from server.offline import Asking

_GPU = "cuda"


def batch_(
    *,
    histories: Annotated[
        Path,
        typer.Option("--histories", help="Parquet, CSV or RecBole .inter file, or a folder with one kind of them."),
    ],
    out: Annotated[
        list[str],
        typer.Option("--out", help="Folder for Parquet files, or a database URL; may be given twice, for both."),
    ],
    bundle: BundleFolder = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="OLD NEW: compare the explanations of two bundles instead.", show_default=False),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Folder of the run's state; by default that of --out, or one beside you.", show_default=False
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", help="Recommendations to explain for each user.", min=1)] = 1,
    top_k: Annotated[
        int | None,
        typer.Option(help="Explain leaving the first top_k; by default the item's own place.", show_default=False),
    ] = None,
    changed_since: Annotated[
        str,
        typer.Option(
            "--changed-since", help="Folder of an earlier run, or a time: leave out who did not change since."
        ),
    ] = "",
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="HOST:PORT of a Ray cluster; by default one here.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes with a model each; by default one for each core.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Where models compute: cpu or cuda.")] = "cpu",
    gpus: Annotated[float, typer.Option("--gpus", min=0, help="With cuda: share of a GPU for each worker.")] = 1.0,
    block: Annotated[int, typer.Option("--block", min=1, max=10_000, help="Users in a block.")] = 64,
    user_field: Annotated[str, typer.Option("--user-field", help="Column with user ids.")] = "user_id",
    item_field: Annotated[
        str, typer.Option("--item-field", help="Column with item tokens, or with a list of them for each user.")
    ] = "item_id",
    time_field: Annotated[str, typer.Option("--time-field", help="Column with times, in seconds.")] = "timestamp",
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Explain everybody. Killed or stopped, the same command goes on where it ended. Exit code 1 when nobody was answered."""
    _check_installed()
    from batch.histories import Fields  # noqa: PLC0415 - an extra
    from batch.preparing import Preparing  # noqa: PLC0415 - as above
    from batch.values import Cluster  # noqa: PLC0415 - as above
    from server.offline import Asking  # noqa: PLC0415 - as above

    settings = config_with(config, bundle)
    asking = Asking(settings=settings.model_dump(mode="json"), k=k, top_k=top_k, device=device)
    folder, database = _targets(out)
    preparing = Preparing(
        histories,
        Fields(user_field, item_field, time_field),
        block,
        settings.limits.history,
        _since(changed_since),
    )
    if compare is not None and (database is not None or folder is None or k != 1):
        raise CommandError("--compare writes to one folder and takes neither a database nor --k.")
    bundles = compare or (settings.bundle,)
    versions = [load_bundle(path).version for path in bundles]
    work = _work([path.absolute() for path in bundles], asking, database, keeps_files=folder is not None)
    # What is out of range is found now, and not by every user.
    check_k(k, settings.limits.explained)
    check_settings(asking.explaining(), settings.limits)
    asked = _asked(asking, versions, database, changed_since)
    place = run or folder or _own_folder({**asked, **preparing.asked()})
    if database is not None:
        storage.check(database)
        Bundles.of(settings).keep_if_possible(settings.bundle, versions[0])
    cluster = Cluster(address=ray_address, workers=workers, gpus=gpus if device.startswith(_GPU) else 0.0)
    report = _run(work, place, preparing, cluster, asked=asked)
    if database is not None:
        _sequence(database, settings)
    if json:
        typer.echo(jsonlib.dumps({"folder": str(place), **report}, ensure_ascii=False))
    else:
        print_report(report, place)
    if not report["users"]["answered"] and report["users"]["setAside"]:
        raise typer.Exit(1)


def _check_installed() -> None:
    try:
        import pyarrow as pa  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise CommandError("Offline runs need Ray and pyarrow; run `pip install becausal-server[batch]`.") from error


def _targets(out: Sequence[str]) -> tuple[Path | None, str | None]:
    folders = [Path(one) for one in out if "://" not in one]
    urls = [one for one in out if "://" in one]
    if len(folders) > 1 or len(urls) > 1:
        raise CommandError("--out takes one folder and one database URL at most.")
    return (folders[0] if folders else None), (urls[0] if urls else None)


def _work(bundles: Sequence[Path], asking: Asking, database: str | None, *, keeps_files: bool) -> Work:
    from server.offline import Comparing, Explaining  # noqa: PLC0415 - an extra

    if len(bundles) > 1:
        old, new = bundles
        return Comparing(old=old, new=new, asking=asking)
    return Explaining(bundle=bundles[0], asking=asking, database_url=database, keeps_files=keeps_files)


def _since(text: str) -> Since | None:
    from batch.preparing import since_run, since_time  # noqa: PLC0415 - an extra

    if not text:
        return None
    return since_run(Path(text)) if Path(text).is_dir() else since_time(text)


def _asked(asking: Asking, versions: Sequence[str], database: str | None, changed_since: str) -> dict[str, Any]:
    """What decides the results, apart from the histories."""
    with_database = None if database is None else storage.Database(database).description
    return {
        "models": list(versions),
        "settings": {name: asking.settings[name] for name in ("limits", "explain", "refuse_unknown_items")},
        "k": asking.k,
        "top_k": asking.top_k,
        "device": asking.device,
        "database": with_database,
        "changed since": changed_since,
    }


def _own_folder(asked: Mapping[str, Any]) -> Path:
    """Found again by the same command, and by no other."""
    digest = hashlib.sha256(jsonlib.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Path(f"becausal-batch-{digest[:12]}")


def _run(
    work: Work, place: Path, preparing: Preparing, cluster: Cluster, *, asked: Mapping[str, Any]
) -> dict[str, Any]:
    from batch.folder import RunFolder  # noqa: PLC0415 - an extra
    from batch.run import run  # noqa: PLC0415 - as above

    with progress_bar() as show:
        return run(work, RunFolder(place, work.kind), preparing, cluster, asked=asked, progress=show)


def _sequence(database_url: str, config: Config) -> None:
    """Give the new entries their places in the audit log, as a server would within a second."""
    signer = None if config.audit.key_file is None else read_key(config.audit.key_file)
    with storage.Database(database_url) as database:
        storage.AuditLog(database, config.audit.origin, signer).sequence_all()
