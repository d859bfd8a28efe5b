"""Landing: exact bytes as they arrived, named by their sha256, never changed.

Works on any fsspec location. An object appears whole or not at all: it is written under a temporary name
in the same store and moved into place. What a killed process leaves behind is such a temporary
(`….part`), which no name ever leads to.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kpi_warehouse.errors import StorageFailed

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.ENXIO)
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True)
class Landed:
    """An object of the store; `new` is false when these bytes were there already. `bytes` is its size."""

    sha256: str
    bytes: int
    location: str
    new: bool


class Landing:
    """The store at an fsspec URL, laid out as `ab/cd/<sha256>`.

    Args:
        url: `file:///…` (percent-encoded as URLs are), a path, or what else fsspec knows.

    Raises:
        StorageFailed: also of every method, when the store cannot be written or read. Code `landing.full`,
            `landing.forbidden`, `landing.missing`, `landing.damaged` or `landing.failed`.
    """

    def __init__(self, url: str) -> None:
        self._shown = _PASSWORD.sub("", url).rstrip("/")
        # fsspec takes %E7%86%8A in a file URL for the name of a folder.
        address = unquote(url) if url.startswith("file://") else url
        self._files: Any
        try:
            self._files, root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise StorageFailed(
                f"原本の保管先 {self._shown} を開けません（{type(error).__name__}）。"
                "KPI_LANDING の書き方と、その種類の保管先に要るパッケージを確認してください。",
                "landing.failed",
            ) from None
        self._root = root.rstrip("/")
        self._folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None
        if self._folder is not None:
            self._shown = self._folder.as_uri()

    def put(self, body: bytes | memoryview) -> Landed:
        """Store bytes; when this returns they survive a power cut.

        The same bytes again, also at the same moment from elsewhere, are one object. An object whose size is
        not that of its bytes (a store without atomic moves was cut off) is written anew.
        """
        sha256, size = hashlib.sha256(body).hexdigest(), memoryview(body).nbytes
        path = self._path(sha256)
        try:
            there = self._size(path) == size
            if not there:
                write_whole(self._files, path, body)
            if self._folder is not None:
                _flush_names(Path(path), self._folder)
        except Exception as error:
            raise self._failed("保存", sha256, error) from error
        return Landed(sha256, size, self.location(sha256), new=not there)

    def get(self, sha256: str) -> bytes:
        """Read an object and prove that it is what its name says."""
        try:
            path = self._path(sha256)
            body: bytes = self._files.cat_file(path) if self._folder is None else Path(path).read_bytes()
        except Exception as error:
            raise self._failed("読み出し", sha256, error) from error
        if hashlib.sha256(body).hexdigest() != sha256:
            raise StorageFailed(
                f"保存した原本 {self.location(sha256)} が壊れています（ハッシュ不一致）。"
                "バックアップから戻してください。",
                "landing.damaged",
            )
        return body

    def open_path(self, sha256: str) -> Path | None:
        """Where an object lies as a file, to map or copy it; None in a store that has no files.

        Its digest is not checked.
        """
        if self._folder is None:
            return None
        path = Path(self._path(sha256))
        if not path.is_file():
            raise self._failed("読み出し", sha256, FileNotFoundError(errno.ENOENT, "No such file"))
        return path

    def sweep(self, before: datetime) -> int:
        """Remove temporaries that killed processes left before an instant; returns how many."""
        removed = 0
        try:
            for path, info in self._files.find(self._root, detail=True).items():
                if path.endswith(".part") and _modified(info) < before:
                    self._files.rm_file(path)
                    removed += 1
        except FileNotFoundError:
            return removed
        return removed

    def location(self, sha256: str) -> str:
        """The address of an object, without passwords."""
        return f"{self._shown}/{_name(sha256)}"

    def _size(self, path: str) -> int | None:
        """Bytes of an object; None when there is none."""
        try:
            return (
                Path(path).stat().st_size if self._folder is not None else int(self._files.info(path)["size"])
            )
        except FileNotFoundError:
            return None

    def _failed(self, action: str, sha256: str, error: Exception) -> StorageFailed:
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL:
            code, reason, remedy = "landing.full", "空き容量がありません", "容量を空けて"
        elif number in _FORBIDDEN or isinstance(error, PermissionError):
            code, reason, remedy = "landing.forbidden", "権限がありません", "所有者と権限を直して"
        elif number in _GONE or isinstance(error, FileNotFoundError):
            code, reason, remedy = "landing.missing", "見つかりません", "マウントと KPI_LANDING を確認して"
        else:
            code, reason, remedy = "landing.failed", type(error).__name__, "保管先の状態と接続を確認して"
        return StorageFailed(
            f"原本 {self.location(sha256)} を{action}できません（{reason}）。{remedy}やり直してください。"
            "何も公表していません。",
            code,
        )

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{_name(sha256)}"


def _modified(info: dict[str, Any]) -> datetime:
    """When an object was last written; one whose store does not say is taken for new."""
    said = info.get("mtime") or info.get("LastModified") or info.get("created")
    if isinstance(said, int | float):
        return datetime.fromtimestamp(said, UTC)
    return said if isinstance(said, datetime) and said.tzinfo else datetime.now(UTC)


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def write_whole(files: Any, path: str, body: bytes | memoryview) -> None:
    """Write an object of an fsspec file system so that its name leads to all of it or to what was there before."""
    temporary = f"{path}.{uuid.uuid4().hex}.part"
    try:
        if isinstance(files, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with Path(temporary).open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        else:
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.pipe_file(temporary, bytes(body))
            files.mv(temporary, path)
    except BaseException:
        # The trouble itself is what counts: a temporary that cannot be removed does no harm.
        with contextlib.suppress(Exception):
            files.rm_file(temporary)
        raise


def _flush_names(path: Path, root: Path) -> None:
    """A name survives a power cut once its folder was flushed, and the folder's own name in turn.

    Also for an object that was there already: who wrote it may have been killed before this.
    """
    for folder in (path.parent, path.parent.parent, root):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
