"""`kpi feed new` and `kpi feed preview`: a draft made from samples, put into its place, and shown."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kpi_warehouse.contract import Contract, file_source
from kpi_warehouse.drafting.open_points import OpenPoint, open_points
from kpi_warehouse.drafting.place import Landed, beside, put
from kpi_warehouse.drafting.preview import preview_page
from kpi_warehouse.drafting.sample import Draft, draft_from_samples
from kpi_warehouse.errors import KpiError
from kpi_warehouse.readers.cell_uses import SheetUses, cell_uses
from kpi_warehouse.readers.file_rows import open_book
from kpi_warehouse.readers.layout import understand


@dataclass(frozen=True)
class Made:
    """A draft where it was put, what is open in it, each sheet of the samples with its file's name, and the preview's path.

    `unread` counts the cells that the draft does not account for; `page` is None where the samples could not be tried.
    """

    landed: Landed
    points: list[OpenPoint]
    sheets: list[tuple[str, SheetUses]]
    page: Path | None

    @property
    def values(self) -> int:
        """Cells that are read as values."""
        return sum(uses.count("value") for _, uses in self.sheets)

    @property
    def unread(self) -> int:
        """Cells that the draft does not account for."""
        return sum(uses.count("unread") for _, uses in self.sheets)


def make(
    contracts: Path,
    feed: str,
    title_ja: str,
    owner: str,
    samples: Sequence[Path],
    *,
    sheet: str | None = None,
) -> Made:
    """Draft a contract from samples and put it into its place, with a preview beside the drafts.

    Raises:
        UnreadableFile: a sample cannot be read.
        KpiError: no table was found, the folder cannot be written, or the draft met a defect of its own, of which a record is
            kept in the drafts.
    """
    try:
        draft = draft_from_samples(feed, title_ja, owner, samples, sheet=sheet)
        sheets = _uses(draft)
    except (KpiError, MemoryError, KeyboardInterrupt):
        raise
    except Exception:
        record = beside(contracts, feed, ".error.txt")
        record.write_text(traceback.format_exc(), encoding="utf-8")
        names = "、".join(path.name for path in samples)
        raise KpiError(
            f"{names} からは下書きを作れませんでした（表の形が複雑で、下書きの作成が途中で止まりました）。"
            f"表をひとつだけ残した見本で試すか、似た契約を写して直してください。記録：{record}",
            "draft.failed",
        ) from None
    landed = put(contracts, feed, draft.text)
    points = open_points(landed.path)
    page = None
    if sheets:
        page = beside(contracts, feed, ".html")
        labels = draft.sketch.measures | {
            code: label for axis in draft.sketch.axes.values() for code, label in axis.codes.items()
        }
        page.write_text(preview_page(title_ja, sheets, points, labels), encoding="utf-8")
    return Made(landed, points, sheets, page)


def _uses(draft: Draft) -> list[tuple[str, SheetUses]]:
    return [
        (sample.name, uses)
        for sample, understood in zip(draft.samples, draft.readings, strict=False)
        for uses in cell_uses(sample.book, understood)
        if uses.uses
    ]


def preview(contract: Contract, sample: Path) -> tuple[str, list[tuple[str, SheetUses]]]:
    """What a contract makes of every cell of a file: the page, and the sheets.

    Raises:
        UnreadableFile: nothing of it can be read.
        ContractError: the feed comes from e-Stat.
    """
    source = file_source(contract)
    book = open_book(source, sample.read_bytes(), sample.name)
    understood = understand(book, source.layout, contract.columns)
    sheets = [(sample.name, uses) for uses in cell_uses(book, understood) if uses.uses]
    labels = {code: label for column in contract.columns for code, label in column.codes.items()}
    return preview_page(contract.title_ja, sheets, open_points(contract.path), labels), sheets
