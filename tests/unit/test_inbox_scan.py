"""A look into the inbox takes whole files only, each once, wherever the inbox is, and changes nothing there."""

from __future__ import annotations

import os
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import fsspec
import psycopg
import pytest

from kpi_warehouse.errors import SourceUnavailable
from kpi_warehouse.settings import settings
from kpi_warehouse.sources.files import Arrival, FileMoved, scan
from kpi_warehouse.warehouse.reception import Seen, note_seen
from tests.unit.inbox_places import FEEDS, NAME, PASSWORD, USER, body, sftp_server


@dataclass(frozen=True)
class Place:
    """An inbox and how a division writes into it."""

    url: str
    write: Callable[[str, bytes], None]
    remove: Callable[[str], None]


@pytest.fixture(params=["folder", "sftp", "memory"])
def place(
    request: pytest.FixtureRequest, warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0.2")
    settings.cache_clear()
    folder = tmp_path / "受付箱"
    folder.mkdir()

    def write(name: str, content: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    def remove(name: str) -> None:
        (folder / name).unlink()

    if request.param == "folder":
        yield Place(folder.as_uri(), write, remove)
    elif request.param == "sftp":
        with sftp_server(tmp_path) as port:
            yield Place(f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}/受付箱", write, remove)
    else:
        memory, root = fsspec.filesystem("memory"), f"/{uuid.uuid4()}"
        memory.makedirs(root)
        yield Place(
            f"memory:/{root}",
            lambda name, content: memory.pipe_file(f"{root}/{name}", content),
            lambda name: memory.rm_file(f"{root}/{name}"),
        )


def settled(place: Place) -> list[Arrival]:
    """Two looks, further apart than the settling time."""
    scan(place.url, FEEDS)
    time.sleep(0.25)
    return scan(place.url, FEEDS)


def rows(warehouse: str) -> list[tuple[object, ...]]:
    with psycopg.connect(warehouse) as connection:
        return connection.execute(
            "select file_name, state, bytes from ops.delivery order by delivery_id"
        ).fetchall()


def test_a_file_counts_at_the_second_look(place: Place, warehouse: str) -> None:
    place.write(NAME, body())
    assert scan(place.url, FEEDS) == []
    assert rows(warehouse) == [(NAME, "settling", len(body()))]  # it has its number from the first look on
    assert scan(place.url, FEEDS) == []  # too soon
    time.sleep(0.25)
    (arrival,) = scan(place.url, FEEDS)
    assert (arrival.name, arrival.size, arrival.read()) == (NAME, len(body()), body())
    assert scan(place.url, FEEDS) == [arrival]  # until somebody takes it


def test_a_file_that_grows_is_not_taken(place: Place, warehouse: str) -> None:
    content = body(note="x" * 4000)
    for written in (100, 1000, 3000, len(content)):
        place.write(NAME, content[:written])
        assert scan(place.url, FEEDS) == []
        time.sleep(0.25)
        if written < len(content):
            place.write(NAME, content[: written + 50])
            assert scan(place.url, FEEDS) == []
    (arrival,) = scan(place.url, FEEDS)
    assert arrival.read() == content and len(rows(warehouse)) == 1


def test_a_look_that_takes_long_is_still_one_look(warehouse: str) -> None:
    file = Seen(NAME, f"in/{NAME}", 1, None)
    began = time.monotonic() - 60
    assert note_seen("in", [file], 0.2, began) == []
    assert note_seen("in", [file], 0.2, began) == []
    time.sleep(0.25)
    assert [each.file_name for each in note_seen("in", [file], 0.2, time.monotonic())] == [NAME]


def test_a_file_that_changes_between_look_and_read_is_not_taken(place: Place) -> None:
    place.write(NAME, body())
    (arrival,) = settled(place)
    place.write(NAME, body(165, more=1))
    with pytest.raises(FileMoved):
        arrival.read()
    place.remove(NAME)
    with pytest.raises(FileMoved):
        arrival.read()


def test_what_is_no_delivery_is_left_out(place: Place, warehouse: str) -> None:
    for name in (
        "~$" + NAME,
        "." + NAME,
        NAME + ".part",
        "a.tmp",
        "返却/" + NAME,
        "処理済/" + NAME,
        ".git/" + NAME,
    ):
        place.write(name, body())
    place.write("移住促進課/" + NAME, body())
    (arrival,) = settled(place)
    assert arrival.location.endswith("移住促進課/" + NAME) and len(rows(warehouse)) == 1


def test_addresses_never_show_the_password(place: Place) -> None:
    place.write(NAME, body())
    (arrival,) = settled(place)
    assert PASSWORD not in repr(arrival) and PASSWORD not in arrival.location and USER not in arrival.location
    with pytest.raises(SourceUnavailable) as error:
        scan(place.url + "なし", FEEDS)
    assert PASSWORD not in str(error.value) and error.value.code in ("inbox.missing", "inbox.unreachable")


def test_a_file_that_is_gone_before_it_was_whole_leaves_nothing(place: Place, warehouse: str) -> None:
    place.write("7A3F2000", b"Excel writes such a file and renames it")
    scan(place.url, FEEDS)
    place.remove("7A3F2000")
    place.write(NAME, body())
    scan(place.url, FEEDS)
    assert rows(warehouse) == [(NAME, "settling", len(body()))]


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_deliveries_come_in_the_order_they_were_written(place: Place, tmp_path: Path) -> None:
    for at, name in enumerate(("移住定住の状況_最終2.json", "移住定住の状況_最終.json", NAME)):
        place.write(name, body(at))
        os.utime(tmp_path / "受付箱" / name, (1000 + at, 1000 + at))
    assert [arrival.name for arrival in settled(place)] == [
        "移住定住の状況_最終2.json",
        "移住定住の状況_最終.json",
        NAME,
    ]


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_two_looks_at_once_make_one_delivery(place: Place, warehouse: str) -> None:
    for at in range(5):
        place.write(f"移住定住の状況{at}.json", body(at))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: scan(place.url, FEEDS), range(12)))
    assert len(rows(warehouse)) == 5


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_links_pipes_and_names_of_other_systems(place: Place, tmp_path: Path, warehouse: str) -> None:
    folder = tmp_path / "受付箱"
    (tmp_path / "秘密.json").write_bytes(body())
    (folder / "移住定住の状況L.json").symlink_to(tmp_path / "秘密.json")
    (folder / "近道").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "移住定住の状況P.json")
    nfd = unicodedata.normalize("NFD", "移住定住の状況ガ.json")
    (folder / nfd).write_bytes(body(1))
    Path(os.fsdecode(os.fsencode(folder) + b"/" + "移住定住の状況W.json".encode("cp932"))).write_bytes(
        body(2)
    )
    arrivals = settled(place)
    assert {arrival.name for arrival in arrivals} == {"移住定住の状況ガ.json", "移住定住の状況W.json"}
    assert {arrival.read() for arrival in arrivals} == {body(1), body(2)}


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_a_file_swapped_for_a_link_is_not_read(place: Place, tmp_path: Path) -> None:
    place.write(NAME, body())
    (arrival,) = settled(place)
    stat = (tmp_path / "受付箱" / NAME).stat()
    (tmp_path / "秘密.json").write_bytes(body())
    os.utime(tmp_path / "秘密.json", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    place.remove(NAME)
    (tmp_path / "受付箱" / NAME).symlink_to(tmp_path / "秘密.json")
    with pytest.raises(FileMoved):
        arrival.read()


def test_an_inbox_that_comes_back_is_looked_into_again(
    warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPI_INBOX_SETTLE_SECONDS", "0")
    settings.cache_clear()
    (tmp_path / NAME).write_bytes(body())
    with sftp_server(tmp_path) as port:
        url = f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}/"
        assert len(scan(url, FEEDS)) == 1
        with pytest.raises(SourceUnavailable, match="権限"):
            scan(f"sftp://{USER}:wrong@127.0.0.1:{port}/", FEEDS)
    with pytest.raises(SourceUnavailable, match="KPI_INBOX"):
        scan(url, FEEDS)
