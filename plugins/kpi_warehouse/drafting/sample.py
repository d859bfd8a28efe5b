"""A first draft of a contract from sample files of a division. What only a person knows is marked （要確認）.

Tables are found by their shape; the draft is then tried at once on the samples by the reader that will read the feed, so that its
author sees what it does with every cell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpi_warehouse.drafting import document
from kpi_warehouse.drafting.columns import columns_of
from kpi_warehouse.drafting.outside import period_in, units_in, with_period
from kpi_warehouse.drafting.roles import TableDraft
from kpi_warehouse.drafting.shapes import Block, Shape
from kpi_warehouse.drafting.sketch import GrammarError, Sketch
from kpi_warehouse.drafting.texts import FIGURE, MARK, SOME_YEAR
from kpi_warehouse.drafting.trial import Sample, _add, amend
from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.periods import read_period
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.delimited import read_delimited
from kpi_warehouse.readers.grid import Book
from kpi_warehouse.readers.layout import Understood
from kpi_warehouse.readers.workbook import read_workbook

WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
TABLE_AXIS = "table_code"
MOST_TABLES = 20
MOST_COLUMNS = 400


@dataclass(frozen=True)
class Draft:
    """A draft: its YAML text, and what the reader makes of each sample under it."""

    text: str
    sketch: Sketch
    samples: tuple[Sample, ...]
    readings: tuple[Understood, ...]


def open_sample(path: Path) -> tuple[Book, dict[str, Any]]:
    """The sample, and how the contract says that such a file is read.

    Raises:
        UnreadableFile: nothing of it can be read.
        KpiError: a JSON file.
    """
    body = path.read_bytes()
    if path.suffix.lower() in WORKBOOKS:
        return read_workbook(body, path.name), {"format": "workbook"}
    if path.suffix.lower() == ".json":
        raise KpiError(
            "JSON からは下書きを作れません。line_subscribers の契約を写して直してください。", "draft.json"
        )
    book = read_delimited(body, path.name, encoding=None, delimiter=None)
    return book, {"format": "delimited", "encoding": book.encoding}


def draft_from_samples(
    feed: str, title_ja: str, owner: str, paths: Sequence[Path], *, sheet: str | None = None
) -> Draft:
    """A contract in the state `draft`, whose layout is that of the samples.

    Args:
        paths: one or more files of the feed; the first says how the table is built, the others what changes from file to file.
        sheet: part of the name of the sheet to read; None takes the one with most figures.

    Raises:
        UnreadableFile, KpiError: a sample cannot be read, or no table was found in the first.
    """
    opened = [open_sample(path) for path in paths]
    samples = tuple(Sample(path.name, book) for path, (book, _) in zip(paths, opened, strict=True))
    sketch, readings = _tried(opened[0][1], samples, title_ja, sheet, alone=False)
    if _collide(readings):
        # Sheets that look alike and say the same keys are not one table on several pages.
        sketch, readings = _tried(opened[0][1], samples, title_ja, sheet, alone=True)
    _periods_read(sketch, readings)
    text = document.write(feed, title_ja, owner, names_of(paths), sketch)
    return Draft(text, sketch, samples, tuple(readings))


def _tried(
    how: dict[str, Any], samples: Sequence[Sample], title_ja: str, sheet: str | None, *, alone: bool
) -> tuple[Sketch, list[Understood]]:
    """A sketch of the first sample and what the reader makes of all of them; `alone` takes no second sheet."""
    sketch = Sketch(how)
    blocks = _chosen(samples[0].book, sketch, sheet, alone=alone)
    _tables(sketch, blocks, title_ja)
    try:
        return sketch, amend(sketch, samples, blocks)
    except GrammarError:
        return sketch, []  # the contract's own check says in words what the grammar of layouts does not take


def _collide(readings: Sequence[Understood]) -> bool:
    """Whether keys come twice on different sheets of one file."""
    return any(
        fault.code == "duplicate_key"
        and fault.place.partition("!")[0] not in fault.expected_ja.split("（")[1]
        for understood in readings
        for fault in understood.reading.faults
        if "（" in fault.expected_ja
    )


def names_of(paths: Sequence[Path]) -> list[str]:
    """Globs on the names: what all samples share and what stays from year to year."""
    stems = {_stem(path) for path in paths}
    shared = _shared([path.stem for path in paths]) if len(paths) > 1 else ""
    stem = stems.pop() if len(stems) == 1 else (shared or _stem(paths[0]))
    return [f"*{stem}*{suffix}" for suffix in dict.fromkeys(path.suffix for path in paths)]


def _shared(stems: list[str]) -> str:
    """The longest beginning that all names share, without an open bracket at its end."""
    first, last = min(stems), max(stems)
    count = next(
        (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
    )
    return re.split(r"[（(_\d]", first[:count])[0].strip()


def _stem(path: Path) -> str:
    """The part of the name that stays from year to year."""
    stem = re.split(r"[（(_]|(?<![A-Za-z])[RＲHＨ]\d|令和|平成|(?:19|20)\d\d", path.stem)
    return max((part.strip() for part in stem), key=len) or path.stem


# -- which tables


def _chosen(book: Book, sketch: Sketch, wanted: str | None, *, alone: bool) -> list[Block]:
    """The tables to read: those of the sheet with most figures, and of sheets that are built alike.

    Raises:
        KpiError: there is none, or no such sheet.
    """
    visible = [(number, sheet) for number, sheet in enumerate(book.sheets) if not sheet.hidden]
    if wanted is not None and not any(search_key(wanted) in search_key(sheet.name) for _, sheet in visible):
        names = "、".join(f"「{sheet.name}」" for _, sheet in visible)
        raise KpiError(f"「{wanted}」を含む名前のシートがありません。あるもの：{names}", "draft.no_sheet")
    found = {number: list(Shape(sheet).blocks(number)) for number, sheet in visible}
    weights = {number: sum(map(_weight, blocks)) for number, blocks in found.items() if blocks}
    if wanted is not None:
        weights = {
            number: weight
            for number, weight in weights.items()
            if search_key(wanted) in search_key(book.sheets[number].name)
        }
    if not weights:
        hidden = "非表示のシートは読みません。" if len(visible) < len(book.sheets) else ""
        raise KpiError(
            f"見本に表が見つかりません（見出しの行の下に、数値のある行が要ります）。{hidden}"
            "表が図や写真のときは、数値のセルがあるファイルを見本にしてください。",
            "draft.no_table",
        )
    main = max(weights, key=lambda number: (weights[number], -number))
    signature = [_signature(block) for block in found[main]]
    alike = [
        number
        for number in weights
        if number == main or (not alone and [_signature(block) for block in found[number]] == signature)
    ]
    for number, sheet in visible:
        if number not in alike and any(cell.value is not None for row in sheet.rows for cell in row):
            sketch.ignored_sheets[sheet.name] = sketch.reason("読まないシート。")
    if sketch.ignored_sheets:
        sketch.ask(f"シート「{book.sheets[main].name}」を読む。ほかのシートは読まない（ignoreSheets）。")
    blocks = [block for number in alike for block in found[number]]
    named = max(sum(not column.period for column in columns_of(block)) for block in blocks)
    if named > MOST_COLUMNS:
        raise KpiError(
            f"見出しの違う列が {named:,} あります（上限 {MOST_COLUMNS}）。行と列が逆ではありませんか。"
            "要る列だけを残した見本にしてください。",
            "draft.too_many_columns",
        )
    most = max(map(_weight, blocks))
    # A stray figure under the table is no table.
    return [block for block in blocks if _weight(block) > 1 or most <= 1][:MOST_TABLES]


def _weight(block: Block) -> int:
    return sum(kind in (FIGURE, MARK) for column in columns_of(block) for kind in column.kinds)


def _signature(block: Block) -> tuple[str, ...]:
    """The headings of a table without their periods: what says that two tables are built alike."""
    return tuple(
        dict.fromkeys(
            "period" if column.period else search_key(column.name)
            for column in columns_of(block)
            if column.heading.parts
        )
    )


def _tables(sketch: Sketch, blocks: list[Block], title_ja: str) -> None:
    """Write every block, or every group of blocks that are one table on several pages, into the sketch."""
    groups: list[list[Block]] = []
    for block in blocks:
        same = next((group for group in groups if _one_table(group[0], block)), None)
        if same is not None:
            same.append(block)
        else:
            groups.append([block])
    captions = [_caption(group[0]) for group in groups]
    several = len(groups) > 1
    signatures = Counter(_signature(group[0]) for group in groups)
    for at, group in enumerate(groups, 1):
        first = group[0]
        constants = None
        if several:
            label = captions[at - 1] or f"表{at}"
            axis = sketch.axes.get(TABLE_AXIS)
            if axis is None:
                sketch.axis("表", [])
                sketch.axes = {TABLE_AXIS: sketch.axes.popitem()[1]}
                axis = sketch.axes[TABLE_AXIS]
            axis.codes[f"t{at}"] = label if label not in axis.codes.values() else f"{label}（{at}）"
            constants = {TABLE_AXIS: f"t{at}"}
        lines = _lines_above(first, blocks)
        units = next((said for text in reversed(lines) if (said := units_in(text))), [])
        around = " ".join([*lines, first.sheet.name])
        drafted = TableDraft(
            first if len(group) == 1 else _joined(group),
            sketch,
            units=units,
            title=title_ja,
            around=around,
        )
        table = drafted.write("results" if not several else f"t{at}", constants)
        _not_everywhere(table, group)
        if len(group) > 1:
            table["repeats"] = True
        if signatures[_signature(first)] > 1 and captions[at - 1]:
            table["caption"] = [captions[at - 1]]
        _period_source(sketch, table, first, lines, drafted)
        sketch.tables.append(table)
    if several:
        sketch.ask("シートに表が二つ以上ある。表ごとの名前（table_code）。")


def _not_everywhere(table: dict[str, Any], group: list[Block]) -> None:
    """Columns that only some pages have are optional."""
    headings = [{column.name for column in columns_of(block)} for block in group]
    for column in table["columns"]:
        wanted = column["heading"]
        if isinstance(wanted, list) and not all(set(wanted) & names for names in headings):
            column["optional"] = True


def _one_table(first: Block, other: Block) -> bool:
    """Whether two blocks are the same table on another page or sheet: same headings, and no caption that tells them apart."""
    if _signature(first) != _signature(other):
        return False
    if first.number != other.number:
        return True
    return first.caption == other.caption or _caption(first) == _caption(other)


def _joined(group: list[Block]) -> Block:
    """One block for the draft to look at: the first, whose sheet is that of the group as far as labels go."""
    first = group[0]
    if all(block.number == first.number for block in group):
        rows = [at for block in group for at in block.rows]
        return Block(
            first.sheet, first.number, first.top, first.bottom, first.first, first.last, first.caption, rows
        )
    return Block(
        _Stacked(group),  # type: ignore[arg-type]
        first.number,
        first.top,
        first.bottom,
        first.first,
        first.last,
        first.caption,
        [
            *first.rows,
            *range(len(first.sheet.rows), len(first.sheet.rows) + sum(len(each.rows) for each in group[1:])),
        ],
    )


class _Stacked:
    """The first sheet of a group with the body rows of the others below it."""

    def __init__(self, group: list[Block]) -> None:
        first = group[0].sheet
        self.name, self.hidden = first.name, False
        width = len(first.rows[0])
        self.rows = list(first.rows)
        for block in group[1:]:
            for at in block.rows:
                row = block.sheet.rows[at][:width]
                self.rows.append([*row, *first.rows[0][len(row) : width]])


def _caption(block: Block) -> str:
    """The words of a caption that stay from year to year."""
    if block.caption is None:
        return ""
    text = fold(block.sheet.rows[block.caption[0]][block.caption[1]].text)
    text = re.sub(r"[(\[]?\s*単\s*位.*$", "", text)
    said = period_in(text)
    if said:
        head, _, tail = text.partition(said)
        text = head if len(head.strip(" (・-")) >= 2 else tail
    return text.strip(" 　()（）・:：-■●○◆")[:30]


def _lines_above(block: Block, blocks: Sequence[Block]) -> list[str]:
    """Texts above a table on its sheet, from top to bottom, that belong to no other table."""
    taken = {
        row
        for other in blocks
        if other.number == block.number
        for row in (*range(other.top, other.bottom + 1), *other.rows)
    }
    return [
        cell.text
        for at in range(block.top)
        if at not in taken
        for cell in block.sheet.rows[at]
        if cell.value is not None
    ]


# -- which period


def _period_source(
    sketch: Sketch, table: dict[str, Any], block: Block, lines: list[str], drafted: TableDraft
) -> None:
    """Where the year of bare months comes from, and the period of values that have none of their own."""
    from_document = any(column.get("period") == "document" for column in table["columns"])
    bare = drafted.bare_months()
    if not from_document and not bare:
        return
    caption = block.sheet.rows[block.caption[0]][block.caption[1]].text if block.caption else ""
    if bare:
        if caption and period_in(caption) and table.get("caption"):
            table["base_period"] = "caption"
            return
        if period_in(block.sheet.name):
            table["base_period"] = "sheet"
            return
    for text in reversed(lines):
        pattern = with_period(text)
        if pattern is None:
            continue
        kind = "as_of" if re.search("現在|時点", text) else "title"
        _add(sketch, {"pattern": pattern, "is": kind})
        if bare:
            table["base_period"] = "document"
        if from_document:
            sketch.kinds.add(_kind(text, str(table["year"])))
        return
    # 平　成　26　年: words with blanks between their letters are read here, and by nobody later.
    squeezed = (re.sub(r"\s+", "", fold(text)) for text in [*reversed(lines), block.sheet.name])
    said = next((found for text in squeezed if (found := period_in(text))), None)
    found = f"見本の「{said}」とした。" if said else ""
    sketch.ask(f"期間の出どころ（period、base_period）。{found}")
    for column in table["columns"]:
        if column.get("period") == "document":
            column["period"] = said or "年度不明"
    sketch.kinds.add(_kind(said, str(table["year"])) if said else "年度不明")
    if bare:
        table["base_period"] = said or "R6年度"


def _kind(text: str, year: str) -> str:
    said = period_in(text)
    if re.search("現在|時点", text):
        return "時点"
    try:
        return read_period(said or "", year=year, base=SOME_YEAR).kind  # type: ignore[arg-type]
    except Unreadable:
        return "年度"


def _periods_read(sketch: Sketch, readings: Sequence[Understood]) -> None:
    """The kinds of period that the reader found are those of the contract."""
    kinds = {row.period_kind for understood in readings for row in understood.reading.rows}
    if kinds:
        sketch.kinds = kinds
    axes = {name for understood in readings for row in understood.reading.rows for name in row.axes}
    if axes:
        sketch.axes = {name: axis for name, axis in sketch.axes.items() if name in axes}
