"""A receipt against the landed bytes: every row is read again in the page or the file it came from, without the database."""

from __future__ import annotations

import gzip
import json
from typing import Any

from kpi_warehouse.contract import EstatSource, find_contract
from kpi_warehouse.errors import KpiError
from kpi_warehouse.receipt import DEFINITIONS, Row, Trail
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.landing import Landing


def verify(receipt: Trail) -> int:
    """Read every row of a receipt again in the landed bytes; returns how many cells were compared.

    Raises:
        StorageFailed: landing lost a page, or its bytes are not those of the digest.
        KpiError: a page or file does not say what the receipt says; the message names it, the place and both values.
    """
    landing = Landing(settings().landing_url)
    bodies = {sha256: landing.get(sha256) for sha256 in sorted({row.sha256 for row in receipt.rows})}
    for load in receipt.loads:
        rows = [row for row in receipt.rows if row.load_id == load.load_id]
        contract = find_contract(settings().contracts, load.feed)
        if isinstance(contract.source, EstatSource):
            codes = {
                f"@{axis.source_name}": DEFINITIONS[receipt.kpi_id].codes[axis.name] for axis in contract.axes
            }
            pages = {row.sha256: _estat_cells(bodies[row.sha256]) for row in rows}
            for row in rows:
                wanted = codes | {"@time": contract.source.cycle.code(row.period)}
                found = [cell["$"] for cell in pages[row.sha256] if wanted.items() <= cell.items()]
                stated = str(row.value) if row.value is not None else row.mark
                _compare(receipt, row, f"ページ {row.page}", found, str(stated))
        else:
            from kpi_warehouse.readers.file_rows import read_file

            for row in rows:
                names = [page.file_name for page in load.pages if page.sha256 == row.sha256]
                reading = read_file(contract, bodies[row.sha256], str(names[0]))
                found = [
                    str(read.value)
                    for read in reading.rows
                    if read.source_cell == row.cell and read.axes.get("kpi_code") == receipt.kpi_id
                ]
                _compare(
                    receipt, row, str(row.cell), found, str(row.value if row.filed is None else row.filed)
                )
    return len(receipt.rows)


def _compare(receipt: Trail, row: Row, place: str, found: list[str], stated: str) -> None:
    if found != [stated]:
        raise KpiError(
            f"{receipt.kpi_id} {row.period:%Y-%m}：保存した原本（{place}、{row.sha256}）には"
            f"「{'、'.join(found) or 'なし'}」とあり、由来の「{stated}」と一致しません。",
            "receipt.not_in_landing",
        )


def _estat_cells(body: bytes) -> list[dict[str, Any]]:
    """The cells of a landed e-Stat page; pages are landed as they came, compressed or not."""
    text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    values = json.loads(text)["GET_STATS_DATA"]["STATISTICAL_DATA"]["DATA_INF"]["VALUE"]
    return values if isinstance(values, list) else [values]
