"""Landing: exact bytes as they arrived, named by their sha256, never changed.

Works on any fsspec location. An object appears whole or not at all: it is written under a temporary name in the same
store and moved into place; what a killed process leaves behind is a temporary, which no load ever refers to.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kpi_warehouse.errors import StorageFailed


@dataclass(frozen=True)
class Landed:
    """An object of the store; `new` is false when these bytes were there already."""

    sha256: str
    bytes: int
    location: str
    new: bool


class Landing:
    """The store at an fsspec URL.

    Raises:
        StorageFailed: every method, when the store cannot be written or read (full, missing, forbidden, damaged).
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(self.url)

    def put(self, body: bytes) -> Landed:
        """Store bytes. The same bytes again, also at the same moment, are one object."""
        sha256 = hashlib.sha256(body).hexdigest()
        path = self._path(sha256)
        try:
            if self._files.exists(path) and self._files.size(path) == len(body):
                return Landed(sha256, len(body), f"{self.url}/{self._name(sha256)}", new=False)
            self._write(path, body)
        except OSError as error:
            raise self._failed("保存", error) from error
        return Landed(sha256, len(body), f"{self.url}/{self._name(sha256)}", new=True)

    def get(self, sha256: str) -> bytes:
        """Read an object and prove that it is what its name says."""
        try:
            body: bytes = self._files.cat_file(self._path(sha256))
        except OSError as error:
            raise self._failed("読み出し", error) from error
        if hashlib.sha256(body).hexdigest() != sha256:
            raise StorageFailed(
                f"保存した原本 {self.url}/{self._name(sha256)} が壊れています（ハッシュ不一致）。バックアップから戻してください。",
                "landing.damaged",
            )
        return body

    def _write(self, path: str, body: bytes) -> None:
        temporary = f"{path}.{uuid.uuid4().hex}.part"
        self._files.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH120 - a path inside any store
        try:
            if isinstance(self._files, LocalFileSystem):
                self._write_local(Path(temporary), Path(path), body)
            else:
                self._files.pipe_file(temporary, body)
                self._files.mv(temporary, path)
        except BaseException:
            if self._files.exists(temporary):
                self._files.rm_file(temporary)
            raise

    @staticmethod
    def _write_local(temporary: Path, path: Path, body: bytes) -> None:
        """A load is recorded only after this returns, so the bytes must survive a power cut by then."""
        with temporary.open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _failed(self, action: str, error: OSError) -> StorageFailed:
        return StorageFailed(
            f"原本の保管先 {self.url} に{action}できません（{error.strerror or type(error).__name__}）。"
            "空き容量と権限、接続を確認してやり直してください。何も公表していません。",
            "landing.failed",
        )

    def _name(self, sha256: str) -> str:
        return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{self._name(sha256)}"
