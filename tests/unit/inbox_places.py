"""Places that an inbox can be at: a folder, memory, and a real SFTP server on 127.0.0.1."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko

USER, PASSWORD = "kumamoto", "hi-mitsu"


@dataclass(frozen=True)
class Source:
    file_names: tuple[str, ...]
    not_personal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feed:
    feed: str
    title_ja: str
    owner: str
    source: Source


FEEDS = (
    Feed("migration_briefing", "移住定住の状況", "移住促進課", Source(("*移住定住の状況*.xlsx", "*移住定住の状況*.json"))),
    Feed("vacant_house_support", "空家対策", "住宅課", Source(("*空家対策*.json", "*空き家対策*.json"))),
    Feed("kpi_progress", "進捗管理シート", "企画課", Source(("*進捗管理*.json", "*進捗管理*.xlsx"))),
)  # fmt: skip
NAME = "移住定住の状況.json"


def body(value: int = 165, **more: object) -> bytes:
    import json

    return json.dumps([{"区分": "大阪圏", "5月": value} | more], ensure_ascii=False).encode()


class _Server(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == (USER, PASSWORD) else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


def _files_below(root: Path) -> type[paramiko.SFTPServerInterface]:
    class Files(paramiko.SFTPServerInterface):
        """A folder, for reading alone, as a division's share is."""

        def _path(self, path: str) -> Path:
            return root / self.canonicalize(path).lstrip("/")

        def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
            folder = self._path(path)
            if not folder.is_dir():
                return paramiko.SFTP_NO_SUCH_FILE
            return [
                paramiko.SFTPAttributes.from_stat(entry.lstat(), entry.name) for entry in folder.iterdir()
            ]

        def stat(self, path: str) -> paramiko.SFTPAttributes | int:
            try:
                return paramiko.SFTPAttributes.from_stat(self._path(path).stat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)

        def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
            try:
                return paramiko.SFTPAttributes.from_stat(self._path(path).lstat())
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)

        def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return paramiko.SFTP_PERMISSION_DENIED
            handle = paramiko.SFTPHandle(flags)
            handle.readfile = self._path(path).open("rb")  # type: ignore[attr-defined]
            return handle

        def remove(self, path: str) -> int:
            raise AssertionError("the inbox is never written to")

        rename = mkdir = rmdir = chattr = remove  # type: ignore[assignment]

    return Files


@contextmanager
def sftp_server(root: Path) -> Iterator[int]:
    """Serve a folder for reading; yields the port."""
    key = paramiko.RSAKey.generate(2048)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    ending, transports = threading.Event(), []

    def serve() -> None:
        while not ending.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _files_below(root))
            transport.start_server(server=_Server())
            transports.append(transport)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ending.set()
        listener.close()
        for transport in transports:
            transport.close()
        thread.join(5)
