"""Landing keeps exact bytes: whole or not at all, never rewritten, proved when read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpi_warehouse.errors import StorageFailed
from kpi_warehouse.warehouse.landing import Landing

BODY = b"\x1f\x8b exact \x00 bytes" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
NAME = f"{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"


@pytest.fixture(params=["file", "memory", "path"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    places = {
        "file": tmp_path.as_uri(),
        "memory": f"memory://{uuid.uuid4()}",
        "path": str(tmp_path / "deep/er"),
    }
    return f"{places[request.param]}/landing"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bytes_come_back_and_the_same_bytes_are_one_object(url: str) -> None:
    store = Landing(url)
    first, again, other = store.put(BODY), Landing(url).put(memoryview(BODY)), store.put(b"")
    assert (first.sha256, first.bytes, first.new) == (SHA256, len(BODY), True)
    assert (again.sha256, again.location, again.new) == (SHA256, first.location, False)
    assert first.location.endswith(f"/landing/{NAME}") and "://" in first.location
    assert store.get(SHA256) == BODY and store.get(other.sha256) == b""


def test_a_landed_object_is_left_alone(tmp_path: Path) -> None:
    store = Landing(tmp_path.as_uri())
    store.put(BODY)
    before = (tmp_path / NAME).stat()
    store.put(BODY)
    after = (tmp_path / NAME).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert files(tmp_path) == [NAME]


def test_an_object_cut_short_is_written_anew(tmp_path: Path) -> None:
    store = Landing(tmp_path.as_uri())
    store.put(BODY)
    (tmp_path / NAME).write_bytes(BODY[:100])
    assert store.put(BODY).new and store.get(SHA256) == BODY


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_damage_is_found_when_read(scheme: str, tmp_path: Path) -> None:
    store = Landing(tmp_path.as_uri() if scheme == "file" else f"memory://{uuid.uuid4()}")
    landed = store.put(BODY)
    if scheme == "file":
        (tmp_path / NAME).write_bytes(BODY[:-1] + b"?")
    else:
        store._files.pipe_file(store._path(SHA256), BODY[:-1] + b"?")
    with pytest.raises(StorageFailed) as raised:
        store.get(SHA256)
    assert raised.value.code == "landing.damaged" and landed.location in raised.value.message_ja


def test_what_was_never_landed_is_missing(url: str) -> None:
    store = Landing(url)
    with pytest.raises(StorageFailed) as raised:
        store.get("0" * 64)
    assert raised.value.code == "landing.missing" and "00/00/0000" in raised.value.message_ja


def test_only_a_store_of_files_has_paths(tmp_path: Path) -> None:
    local, elsewhere = Landing(tmp_path.as_uri()), Landing(f"memory://{uuid.uuid4()}")
    for store in (local, elsewhere):
        store.put(BODY)
    path = local.open_path(SHA256)
    assert path is not None and path.read_bytes() == BODY
    assert elsewhere.open_path(SHA256) is None
    with pytest.raises(StorageFailed):
        local.open_path("0" * 64)


def test_a_folder_with_blanks_and_japanese_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "熊本 県" / "原本"
    location = Landing(folder.as_uri()).put(BODY).location
    assert files(folder) == [NAME] and location == (folder / NAME).as_uri()


def test_many_put_the_same_bytes_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        landed = list(pool.map(lambda _: Landing(tmp_path.as_uri()).put(BODY), range(32)))
    assert {entry.sha256 for entry in landed} == {SHA256} and files(tmp_path) == [NAME]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 KiB; where mounting is not allowed, files of at most 64 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        store = Landing(tmp_path.as_uri())
        small = store.put(b"small")
        with pytest.raises(StorageFailed) as raised:
            store.put(bytes(200_000))
        assert raised.value.code == "landing.full" and raised.value.retryable
        assert "空き容量" in raised.value.message_ja and tmp_path.as_uri() in raised.value.message_ja
        assert [name for name in files(tmp_path) if not name.endswith(small.sha256)] == []
        assert store.get(small.sha256) == b"small" and store.put(b"more").new


def test_a_place_that_cannot_be_written_or_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed) as raised:
        Landing((tmp_path / "file" / "landing").as_uri()).put(BODY)
    assert raised.value.code == "landing.missing" and "マウント" in raised.value.message_ja
    with pytest.raises(StorageFailed) as unknown:
        Landing("nosuch://user:secret@host/landing")
    assert "KPI_LANDING" in unknown.value.message_ja and "secret" not in unknown.value.message_ja


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "landing.forbidden"),
        (errno.EROFS, "landing.forbidden"),
        (errno.EDQUOT, "landing.full"),
        (errno.ENOTCONN, "landing.missing"),
        (errno.EIO, "landing.failed"),
    ],
)
def test_trouble_while_writing_says_what_to_do_and_leaves_nothing(
    number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFailed) as raised:
        Landing(tmp_path.as_uri()).put(BODY)
    assert raised.value.code == code and raised.value.message_ja.endswith("何も公表していません。")
    assert files(tmp_path) == []


KILLED = """
import os, sys, time
from kpi_warehouse.warehouse.landing import Landing
def stop_here(*_):
    print("half", flush=True)
    time.sleep(60)
os.fsync = stop_here
Landing(sys.argv[1]).put(sys.stdin.buffer.read())
"""


def test_killed_in_the_middle_nothing_is_landed_and_the_next_put_is_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, tmp_path.as_uri()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(BODY)
        process.stdin.close()
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    store = Landing(tmp_path.as_uri())
    (left,) = files(tmp_path)
    assert left.endswith(".part") and not (tmp_path / NAME).exists()
    with pytest.raises(StorageFailed):
        store.get(SHA256)
    assert store.put(BODY).new and store.get(SHA256) == BODY


def test_a_sweep_removes_old_temporaries_and_nothing_else(tmp_path: Path) -> None:
    landing = Landing(tmp_path.as_uri())
    landing.put(BODY)
    left = tmp_path / f"{NAME}.{uuid.uuid4().hex}.part"
    left.write_bytes(BODY[:10])
    assert landing.sweep(datetime.now(UTC) - timedelta(days=1)) == 0
    assert landing.sweep(datetime.now(UTC) + timedelta(seconds=5)) == 1
    assert files(tmp_path) == [NAME]
    assert landing.get(SHA256) == BODY
    assert Landing((tmp_path / "nothing yet").as_uri()).sweep(datetime.now(UTC)) == 0
