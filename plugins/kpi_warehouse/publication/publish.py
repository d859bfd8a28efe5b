"""Open data: a release beside the earlier ones, then one small file that makes it the current one.

Below `KPI_PUBLICATION`: `releases/<day>-<digest>/` with every file of a release, written first; then `catalog.jsonld`, and last
`release.json`, which names the current release and its files with their digests. A run that is killed leaves the release before it in
force and is simply done again. What has not changed is not published again. In a local folder `latest` leads to the current release.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kpi_warehouse import clock
from kpi_warehouse.errors import StorageFailed
from kpi_warehouse.publication.files import csv_bytes, dictionary_bytes, parquet_bytes, workbook_bytes
from kpi_warehouse.publication.metadata import PublishedFile, ckan, dcat
from kpi_warehouse.publication.offer import Offer, read_offer
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.landing import write_whole

PUBLICATION_LOCK = 0x4B50_504F
# Part of the digest: counted up when the files are written differently.
FORM = 1
POINTER, CATALOGUE = "release.json", "catalog.jsonld"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Release:
    """What `publish` did: the release in force, where it is, its files, and whether it is new."""

    name: str
    location: str
    state: Literal["published", "unchanged"]
    files: tuple[PublishedFile, ...]


def publish() -> Release:
    """Publish the open data of the marts in use, unless nothing of it changed since the last release.

    Raises:
        KpiError: the marts were not built, or the exposure `open_data` is wrong.
        StorageFailed: the database or `KPI_PUBLICATION` cannot be reached or written. Code `publication.failed`.
    """
    with connect("kpi_loader", autocommit=True) as connection:
        # Two runs at once write one release, one after the other.
        connection.execute("select pg_advisory_lock(%s)", [PUBLICATION_LOCK])
        offer = read_offer()
        try:
            return _publish(offer)
        except OSError as error:
            raise StorageFailed(
                f"公開先 {settings().publication_place} に書けません（{error.strerror or type(error).__name__}）。"
                "前回公開したものはそのままです。場所と権限を確認してやり直してください。",
                "publication.failed",
            ) from error


def _publish(offer: Offer) -> Release:
    place = settings().publication_place
    files, root = fsspec.core.url_to_fs(place)
    plain = {table.title_en: csv_bytes(table, for_excel=False) for table in offer.tables}
    dictionary = dictionary_bytes(offer)
    digest = _digest(offer, plain, dictionary)
    current = _current(files, root)
    if current is not None and current["digest"] == digest and _all_there(files, root, current):
        kept = tuple(PublishedFile(**entry) for entry in current["files"])
        return Release(current["release"], f"{place}/{current['folder']}", "unchanged", kept)

    today = clock.today().isoformat()
    name = f"{today.replace('-', '')}-{digest[:8]}"
    folder = f"releases/{name}"
    bodies = _bodies(offer, plain, dictionary)
    published = [_describe(folder, path, *about) for path, about in bodies.items()]
    for file in published:
        write_whole(files, f"{root}/{file.path}", bodies[file.path.removeprefix(f"{folder}/")][0])
    catalogue = dcat(offer, published, today)
    write_whole(files, f"{root}/{folder}/datapackage-ckan.json", ckan(offer, published, today))
    write_whole(files, f"{root}/{CATALOGUE}", catalogue)
    pointer = {
        "release": name,
        "folder": folder,
        "digest": digest,
        "published_on": today,
        "files": [asdict(file) for file in published],
    }
    write_whole(
        files, f"{root}/{POINTER}", (json.dumps(pointer, ensure_ascii=False, indent=1) + "\n").encode()
    )
    if isinstance(files, LocalFileSystem):
        _lead_to(Path(root) / "latest", folder)
    return Release(name, f"{place}/{folder}", "published", tuple(published))


def _digest(offer: Offer, plain: dict[str, bytes], dictionary: bytes) -> str:
    """Of all that a reader would notice: contents, explanations, terms, addresses."""
    terms = repr(
        (
            FORM,
            settings().publication_url,
            offer.title_ja,
            offer.description_ja,
            offer.licence,
            offer.credits_ja,
        )
    )
    parts = [terms.encode(), dictionary, *(name.encode() + body for name, body in sorted(plain.items()))]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _bodies(
    offer: Offer, plain: dict[str, bytes], dictionary: bytes
) -> dict[str, tuple[bytes, str | None, str, str, str]]:
    """File name → bytes, table, label, media type, format."""
    credit = " ".join(offer.credits_ja)
    bodies: dict[str, tuple[bytes, str | None, str, str, str]] = {}
    for table in offer.tables:
        name, title = table.title_en, table.title_ja
        bodies[f"{name}.csv"] = (plain[name], name, f"{title}（CSV）", "text/csv", "CSV")
        excel = csv_bytes(table, for_excel=True)
        bodies[f"{name}_excel.csv"] = (excel, name, f"{title}（Excelで開くCSV、BOMつき）", "text/csv", "CSV")
        columns = parquet_bytes(table, credit)
        parquet = "application/vnd.apache.parquet"
        bodies[f"{name}.parquet"] = (columns, name, f"{title}（Parquet）", parquet, "Parquet")
    bodies["kumamoto_kpi.xlsx"] = (workbook_bytes(offer), None, "すべての表（Excel）", EXCEL, "XLSX")
    bodies["data_dictionary.csv"] = (dictionary, None, "項目の説明（CSV）", "text/csv", "CSV")
    return bodies


def _describe(
    folder: str, name: str, body: bytes, table: str | None, label: str, media_type: str, form: str
) -> PublishedFile:
    path = f"{folder}/{name}"
    base = settings().publication_url.rstrip("/")
    return PublishedFile(
        path=path,
        address=f"{base}/{path}" if base else path,
        table=table,
        label_ja=label,
        media_type=media_type,
        form=form,
        sha256=hashlib.sha256(body).hexdigest(),
        bytes=len(body),
    )


def _current(files: Any, root: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(files.cat_file(f"{root}/{POINTER}"))
    except FileNotFoundError:
        return None
    return found


def _all_there(files: Any, root: str, current: dict[str, Any]) -> bool:
    """Whether every file of the release is still there, as long as it was."""
    try:
        return all(files.info(f"{root}/{file['path']}")["size"] == file["bytes"] for file in current["files"])
    except FileNotFoundError:
        return False


def _lead_to(link: Path, folder: str) -> None:
    """`latest` leads to the folder from one instant to the next."""
    beside = link.with_name(f".latest-{uuid.uuid4().hex}")
    beside.symlink_to(folder)
    beside.replace(link)
