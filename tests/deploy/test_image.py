"""The Containerfile without an engine: what it copies is there, and its commands work in a plain environment.

The environment is new and has the two wheels that the file's own pip command makes of this tree. What they depend on is
borrowed from the environment of the tests, whose editable installs are not seen through a path.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from becausal.client import Client
from commands import CHECKPOINT, DATA, ROOT
from recommender import import_checkpoint
from server.config import Config

if TYPE_CHECKING:
    from pathlib import Path

FILE = ROOT / "deploy" / "Containerfile"
LINES = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", FILE.read_text())).splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in LINES if line.strip()]


def arguments(step: str) -> list[str]:
    return [rest for name, rest in STEPS if name == step]


def copied() -> list[str]:
    """Files and folders that are taken from the tree."""
    return [source for rest in arguments("COPY") if not rest.startswith("--from") for source in rest.split()[:-1]]


def command(step: str) -> list[str]:
    """The exec form of an instruction, which is JSON."""
    (rest,) = arguments(step)
    found: list[str] = json.loads(rest[rest.index("[") :])
    return found


def settings() -> dict[str, str]:
    (line,) = arguments("ENV")
    return dict(one.split("=", 1) for one in shlex.split(line))


def run(*arguments_: object, **options: Any) -> None:
    subprocess.run([str(argument) for argument in arguments_], check=True, **options)  # noqa: S603 - our own commands


def test_every_step_is_an_instruction() -> None:
    known = {
        "ARG",
        "FROM",
        "WORKDIR",
        "RUN",
        "COPY",
        "ENV",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {name for name, _ in STEPS} == known


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert set(copied()) == {line[1:] for line in ignore if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied())


def test_it_runs_as_nobody_in_particular_and_its_settings_are_settings() -> None:
    assert arguments("USER") == ["10001:10001"]
    ours = {name for name in settings() if name.startswith("BECAUSAL_")}
    assert {name.partition("__")[0] for name in ours} <= {f"BECAUSAL_{field.upper()}" for field in Config.model_fields}
    assert settings()["BECAUSAL_ADDRESS"].endswith(f":{arguments('EXPOSE')[0]}")
    assert arguments("STOPSIGNAL") == ["SIGTERM"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheels of the files that the image copies, and nothing else of this tree."""
    folder = tmp_path_factory.mktemp("image")
    source, venv = folder / "src", folder / "venv"
    source.mkdir()
    for name in copied():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    (install,) = (rest for rest in arguments("RUN") if rest.endswith("./proto ."))
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    # Its own arguments, but for what is borrowed below.
    run(*pip, *shlex.split(install)[1:], "--no-deps", cwd=source)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.rmtree(source)
    return venv


def test_what_the_wheels_need_is_what_was_borrowed(image: Path) -> None:
    (site,) = image.glob("lib/python*/site-packages")
    present = {one.name.lower().replace("_", "-"): one.version for one in distributions()}
    for own in distributions(path=[str(site)]):
        for requirement in map(Requirement, unconditional(own)):
            assert requirement.specifier.contains(present[requirement.name.lower()]), requirement


def unconditional(distribution: Distribution) -> list[str]:
    return [needed for needed in distribution.requires or () if "extra ==" not in needed]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_the_images_commands_work(image: Path, tmp_path: Path) -> None:
    """Migrate, serve, probe, call, stop: entry point, CMD and HEALTHCHECK as the file has them."""
    import_checkpoint(CHECKPOINT, data=DATA, out=tmp_path / "bundle")
    environment = {
        **{name: value for name, value in settings().items() if name.startswith("PYTHON")},
        "PATH": f"{image / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "BECAUSAL_ADDRESS": "127.0.0.1:0",
        "BECAUSAL_ADMIN__ADDRESS": f"127.0.0.1:{free_port()}",
        "BECAUSAL_BUNDLE": str(tmp_path / "bundle"),
        "BECAUSAL_BUNDLES": str(tmp_path / "bundles"),
        "BECAUSAL_DATABASE_URL": f"sqlite:///{tmp_path / 'becausal.db'}",
        "NUMBA_DISABLE_JIT": "1",  # the image compiles when it is built; here it would take half a minute
    }
    becausal = [str(image / "bin" / command("ENTRYPOINT")[0])]
    run(*becausal, "db", "upgrade", env=environment, cwd=tmp_path)
    with subprocess.Popen(  # noqa: S603 - as above
        [*becausal, *command("CMD")], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            run(image / "bin" / "python", *command("HEALTHCHECK")[1:], env=environment, cwd=tmp_path)
            with Client(address) as client:
                assert client.explain(["168", "50", "172", "181", "1"]).reason
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()
