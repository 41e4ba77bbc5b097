"""A PostgreSQL server of the tests' own: started on a socket in a temporary folder, ended with the test process."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

ACCOUNT = "postgres"
"""The server refuses to run as root; Debian's package makes this account."""


class Server:
    """A running server that asks nobody on its socket for a password."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.account = ACCOUNT if os.getuid() == 0 else None
        if self.account:
            shutil.chown(self.folder, self.account, self.account)
        self._run("initdb", "--auth=trust", f"--username={ACCOUNT}", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.programs / program, "-D", self.folder / "data", *words],
            user=self.account,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout[-500:]}")

    def start(self) -> None:
        """Start it and wait until it takes connections; without fsync, since nothing here has to outlive the machine."""
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=100"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """End it at once, as a crash of its computer would; what was committed is there again after `start`."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def close(self) -> None:
        """End it and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://{ACCOUNT}@/{name}?host={self.folder}"

    def create(self, *, like: str = "template0") -> str:
        """A new database, empty or a copy of another one; returns its address."""
        import psycopg

        name = f"t{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")  # type: ignore[call-overload]
        return self.url(name)

    @cache  # noqa: B019 - one server lives as long as its process
    def migrated(self) -> str:
        """The name of a database with the register's schema, to be copied."""
        from workbench.store.database import Store

        url = self.create()
        store = Store(url)
        store.upgrade()
        store.close()
        return str(store.url.database)


def programs() -> Path | None:
    """Where the server's programs are."""
    for folder in (*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *Path("/usr/lib/postgresql").glob("*/bin")):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


@cache
def server() -> Server:
    """The server of this process; skips the test where there is none."""
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
    found = programs()
    if found is None:
        pytest.skip("there is no PostgreSQL server here (on Debian: apt-get install postgresql)")
    made = Server(found)
    atexit.register(made.close)
    return made


def wanted() -> bool:
    """Whether the registers of this run are to be in PostgreSQL: WORKBENCH_TEST_REGISTER=postgresql."""
    return os.environ.get("WORKBENCH_TEST_REGISTER") == "postgresql"
