"""The files of a table: CSV for machines and for Excel, Parquet, and one workbook of all tables.

They keep to the ministry's unified notation rules for machine-readable tables (統一ルール): one datum per cell, one heading row, codes
as text, ISO dates, no thousands separators, no merged cells, no characters that only some machines have. No text starts as a formula.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties

from kpi_warehouse.publication.offer import Column, Offer, Table

FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")
# Circled numbers, other numbers and words in one character, control characters.
_ODD = re.compile("[\u2460-\u2473\u2150-\u218f\u3200-\u33ff\x00-\x1f\x7f-\x9f]")
_HEAD = Font(bold=True)
_FILL = PatternFill("solid", fgColor="DDEBF7")
# The longest name of a KPI is shown whole.
_WIDEST = 100


def csv_bytes(table: Table, *, for_excel: bool) -> bytes:
    """A table as CSV (RFC 4180, UTF-8, CRLF). For Excel: with a byte order mark and Japanese headings."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(column.title_ja if for_excel else column.name for column in table.columns)
    writer.writerows([as_text(value) for value in row] for row in table.rows)
    return text.getvalue().encode("utf-8-sig" if for_excel else "utf-8")


def dictionary_bytes(offer: Offer) -> bytes:
    """The data dictionary as CSV: one row per column of every table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("table", "column", "heading_ja", "type", "is_key", "description_ja"))
    for table in offer.tables:
        writer.writerows(
            (table.title_en, c.name, c.title_ja, c.kind, as_text(c.name in table.key), c.comment_ja)
            for c in table.columns
        )
    return text.getvalue().encode()


def parquet_bytes(table: Table, credit: str) -> bytes:
    """A table as Parquet: numbers as decimals with the places they have, times in UTC, comments and credit as metadata."""
    arrays, fields = [], []
    for index, column in enumerate(table.columns):
        values = [_plain(row[index]) for row in table.rows]
        kind = _arrow_type(column, values)
        arrays.append(pa.array(values, kind))
        fields.append(pa.field(column.name, kind, metadata={"comment": column.comment_ja}))
    schema = pa.schema(fields, metadata={"title": table.title_ja, "credit": credit})
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def workbook_bytes(offer: Offer) -> bytes:
    """All tables as one workbook: a sheet that says what it is, a sheet per table, the dictionary."""
    book = Workbook(write_only=True)
    about = [
        ("題名", offer.title_ja),
        ("説明", offer.description_ja),
        ("公表", offer.publisher_ja),
        ("利用条件", offer.licence),
        *(("出典", credit) for credit in offer.credits_ja),
        *(("表", f"{table.title_ja}：{len(table.rows)}行") for table in offer.tables),
    ]
    _sheet(book, "はじめに", ["項目", "内容"], about)
    for table in offer.tables:
        _sheet(book, table.title_ja, [column.title_ja for column in table.columns], table.rows)
    described = [(t.title_ja, c.title_ja, c.name, c.comment_ja) for t in offer.tables for c in t.columns]
    _sheet(book, "項目の説明", ["表", "項目", "列名", "説明"], described)
    book.properties.title, book.properties.creator = offer.title_ja, offer.publisher_ja
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def as_text(value: Any) -> str:
    """A value as it stands in a CSV file; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        text = plain_text(value)
        # A quote in front is what spreadsheet programs take for "this is text".
        return f"'{text}" if len(text) > 1 and text.startswith(FORMULA_SIGNS) else text
    return str(value)


def plain_text(text: str) -> str:
    """A text without line breaks, control characters and characters that only some machines have (①, ㈱, Ⅱ, ㎥)."""
    return _ODD.sub(_plain_character, " ".join(text.split())).strip()


def _plain_character(found: re.Match[str]) -> str:
    character = found[0]
    if "\u2460" <= character <= "\u2473":
        return f"({ord(character) - 0x245F})"
    return "" if unicodedata.category(character) == "Cc" else unicodedata.normalize("NFKC", character)


def _plain(value: Any) -> Any:
    return plain_text(value) if isinstance(value, str) else value


def _arrow_type(column: Column, values: list[Any]) -> pa.DataType:
    if column.kind == "numeric":
        places = max((-int(v.as_tuple().exponent) for v in values if v is not None), default=0)
        return pa.decimal128(38, max(places, 0))
    kinds = {
        "bigint": pa.int64(),
        "integer": pa.int32(),
        "smallint": pa.int16(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    }
    return kinds.get(column.kind, pa.string())


def _sheet(book: Workbook, title: str, headings: list[str], rows: list[tuple[Any, ...]]) -> None:
    sheet = book.create_sheet(title.replace("/", "／")[:31])
    sheet.freeze_panes = "A2"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 8
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    widths = [_width(heading) for heading in headings]
    for row in rows[:200]:
        widths = [max(width, _width(as_text(v))) for width, v in zip(widths, row, strict=True)]
    for index, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(index)].width = min(width, _WIDEST) + 2
    head = [WriteOnlyCell(sheet, heading) for heading in headings]
    for cell in head:
        cell.font, cell.fill, cell.alignment = _HEAD, _FILL, Alignment(vertical="center", wrap_text=True)
    sheet.append(head)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        # A workbook knows no zones; the times are Japan's.
        return value.replace(tzinfo=None)
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, plain_text(value))
    cell.data_type = "s"
    if value.startswith(FORMULA_SIGNS):
        cell.quotePrefix = True
    return cell


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
