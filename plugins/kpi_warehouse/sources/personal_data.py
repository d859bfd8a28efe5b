"""Personal data: whether a file that should hold numbers holds people, found before anything of it is kept.

Looks for headings (氏名, 生年月日 …) with values under them, 個人番号 by its check digit, phone numbers, mail addresses and
columns of people's names, in every sheet, hidden ones too. What it says names cells and our own words for what was found,
never a text of the file.

A check that cries wolf is switched off, so what offices publish of themselves passes: lines of contact (担当, 問合せ),
addresses and phones of places, municipal mail, sums of twelve digits.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from kpi_warehouse.sources.inbox_personal_patterns import (
    Heading,
    fits,
    heading_of,
    is_contact,
    is_my_number,
    is_name,
    is_place_heading,
    is_staff,
    key,
    name_score,
    signs_of,
)

PLACES_SHOWN = 5
FEWEST_NAMES = 5
FEWEST_LANDLINES = 3
CONTACT_LINES = 3
CONTACT_CELLS = 6
ROWS_UNDER_HEADING = 200
ROWS_ABOVE = 12
# Only texts with one of these are looked at closely; most cells of a large file have none.
_CLOSER = re.compile(r"[@＠:：]|[0-9０-９][0-9０-９ー－ｰ()（） 　‐‑‒–—―−-]{8}")
_MONEY = re.compile(r"円|額|予算|費|金|売上|出荷|生産|総|人口")


class Cell(Protocol):
    """A cell of the reader's grid; an empty one has the value None."""

    @property
    def value(self) -> object: ...
    @property
    def place(self) -> str: ...


class Sheet(Protocol):
    """A sheet of the reader's grid."""

    @property
    def rows(self) -> Sequence[Sequence[Cell]]: ...


@dataclass(frozen=True)
class PersonalData:
    """One kind of personal data: `what_ja` is a word of ours, `places` are the first cells, `count` is of all."""

    what_ja: str
    places: tuple[str, ...]
    count: int


def find_personal_data(sheets: Collection[Sheet], *, allowed: Collection[str] = ()) -> list[PersonalData]:
    """What personal data the sheets of a file hold; empty when none was found.

    Args:
        allowed: headings that the contract vouches for; under them only a 個人番号 is looked for.
    """
    vouched = frozenset(key(heading) for heading in allowed)
    found: dict[str, list[str]] = defaultdict(list)
    for sheet in sheets:
        for what, place in _Looker(sheet.rows, vouched).found():
            found[what].append(place)
    return [
        PersonalData(what, tuple(dict.fromkeys(places))[:PLACES_SHOWN], len(places))
        for what, places in found.items()
    ]


def refusal(findings: Collection[PersonalData]) -> str:
    """What the owner is told: what was found and where, nothing of what is written there."""
    lines = [
        f"・{finding.what_ja}：{'、'.join(finding.places)}"
        + (f" など {finding.count:,} か所" if finding.count > len(finding.places) else "")
        for finding in findings
    ]
    return (
        "個人情報と思われる内容があるため、受け取りませんでした。内容は保存していません。\n"
        + "\n".join(lines)
        + "\n個人が分かる列や行を取り除き、集計した数値だけにして入れ直してください。受付箱に残っているファイルは削除してください。"
    )


def _text(cell: Cell) -> str:
    """What a cell says as text; whole numbers without point, and empty for anything that is no personal data by itself."""
    value = cell.value
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float | Decimal):
        return str(int(value)) if -1e15 < value < 1e15 and value == int(value) else ""
    return value.isoformat() if isinstance(value, date) else ""


class _Looker:
    """Looks through one sheet."""

    def __init__(self, rows: Sequence[Sequence[Cell]], vouched: frozenset[str]) -> None:
        self.rows, self.vouched = rows, vouched
        self.headings: list[tuple[int, int, Heading]] = []
        # (row, column) of cells that show something, by what they show.
        self.shown: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.twelve: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        self.names: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        self.vouched_from: dict[int, int] = {}

    def found(self) -> Iterator[tuple[str, str]]:
        """What was found and in which cell."""
        self._sort()
        for what, row, column in (
            *self._under_headings(),
            *self._my_numbers(),
            *self._reachable(),
            *self._columns_of_names(),
        ):
            yield what, self.rows[row][column].place

    def _text_at(self, row: int, column: int) -> str:
        cells = self.rows[row]
        return _text(cells[column]) if column < len(cells) else ""

    def _sort(self) -> None:
        for at, row in enumerate(self.rows):
            for column, cell in enumerate(row):
                value = cell.value
                if value is None or isinstance(value, bool):
                    continue
                if isinstance(value, str):
                    self._sort_text(at, column, value)
                elif isinstance(value, int | float | Decimal):
                    digits = _text(cell)
                    # Excel keeps a typed 個人番号 as a number; a sum of money is rounded more often than not.
                    if len(digits) == 12 and digits.isdigit() and not digits.endswith("000"):
                        self.twelve[column].append((at, is_my_number(digits)))

    def _sort_text(self, at: int, column: int, text: str) -> None:
        if column in self.vouched_from and at > self.vouched_from[column]:
            # A heading can vouch for names; nothing vouches for a 個人番号.
            self.twelve[column].extend((at, True) for valid in signs_of(text).twelve if valid)
            return
        if len(text) <= 40:
            heading = heading_of(text)
            if self.vouched and key(text) in self.vouched:
                self.vouched_from[column] = at
            elif heading is not None:
                self.headings.append((at, column, heading))
            score = name_score(text)
            self.names[column].append((at, score, text))
        if _CLOSER.search(text):
            signs = signs_of(text)
            for what, count in (
                ("mobile", signs.mobiles),
                ("landline", signs.landlines),
                ("mail", signs.mails),
                ("private_mail", signs.private_mails),
                ("inline", int(signs.inline is not None)),
            ):
                if count:
                    self.shown[what].append((at, column))
            self.twelve[column].extend((at, valid) for valid in signs.twelve)

    def _under_headings(self) -> Iterator[tuple[str, int, int]]:
        for at, column, heading in self.headings:
            of_places = not heading.strong and any(
                is_place_heading(_text(cell)) for cell in self.rows[at] if isinstance(cell.value, str)
            )
            under = [] if of_places else self._values_under(at, column, heading)
            if under:
                yield f"{heading.what_ja}（{len(under):,} 件の値）", at, column
            elif not of_places and heading.strong and self._value_beside(at, column, heading):
                yield heading.what_ja.replace("の列", ""), at, column
        for at, column in self.shown["inline"]:
            yield "氏名・生年月日・個人番号・住所の記載", at, column

    def _values_under(self, at: int, column: int, heading: Heading) -> list[int]:
        """Rows under a heading that hold what it names; in a form, other labels stand under it, and they are none."""
        rows, blanks = [], 0
        for below in range(at + 1, min(at + 1 + ROWS_UNDER_HEADING, len(self.rows))):
            text = self._text_at(below, column)
            blanks = 0 if text else blanks + 1
            if blanks > 3:
                break
            if text and heading_of(text) is None and fits(heading.under, text):
                rows.append(below)
        if heading.under == "text":
            names = sum(is_name(self._text_at(below, column)) for below in rows)
            if names * 2 < len(rows):
                return []
        return rows

    def _value_beside(self, at: int, column: int, heading: Heading) -> bool:
        """A form: the heading left, the value right of it. The block of who filled it in is none of people's data."""
        beside = next((text for cell in self.rows[at][column + 1 : column + 6] if (text := _text(cell))), "")
        fitting = fits(heading.under, beside) and (heading.under != "text" or name_score(beside) >= 2)
        return fitting and not any(
            is_staff(_text(cell)) for row in self.rows[max(0, at - 3) : at + 1] for cell in row[: column + 1]
        )

    def _my_numbers(self) -> Iterator[tuple[str, int, int]]:
        for column, numbers in self.twelve.items():
            valid = [at for at, right in numbers if right]
            # One in ten numbers has the right digit by chance; a column of 個人番号 has it everywhere.
            by_chance = len(numbers) >= 5 and len(valid) * 2 < len(numbers)
            for at in [] if by_chance else valid:
                if not self._speaks_of(_MONEY, at, column):
                    yield "個人番号（検査用数字が合う12桁の番号）", at, column

    def _speaks_of(self, words: re.Pattern[str], at: int, column: int) -> bool:
        above = (self._text_at(row, column) for row in range(max(0, at - ROWS_ABOVE), at))
        beside = (_text(cell) for cell in self.rows[at][:column])
        return any(words.search(text) for text in (*above, *beside) if text and not text.isdigit())

    def _reachable(self) -> Iterator[tuple[str, int, int]]:
        for what, name in (
            ("mobile", "携帯電話の番号"),
            ("private_mail", "個人のメールアドレス"),
            ("mail", "メールアドレス"),
        ):
            of_people = [
                (at, column)
                for at, column in self._not_contact(what)
                if what == "private_mail" or not self._of_places(at, column)
            ]
            for at, column in of_people:
                if what != "mail" or (at, column) not in self.shown["private_mail"]:
                    yield name, at, column
        columns: dict[int, list[int]] = defaultdict(list)
        for at, column in self._not_contact("landline"):
            columns[column].append(at)
        for column, rows in columns.items():
            if len(rows) >= FEWEST_LANDLINES and not self._of_places(rows[0], column):
                yield from (("電話番号", at, column) for at in rows)

    def _not_contact(self, what: str) -> Iterator[tuple[int, int]]:
        """Where it is shown, without the few lines that say how to reach the office."""
        excused: set[int] = set()
        for at, column in self.shown[what]:
            filled = [text for cell in self.rows[at] if (text := _text(cell))]
            around = [*filled, *(_text(cell) for cell in self.rows[at - 1][: column + 1])] if at else filled
            contact = len(filled) <= CONTACT_CELLS and any(is_contact(text) for text in around)
            if contact and (at in excused or len(excused) < CONTACT_LINES):
                excused.add(at)
            else:
                yield at, column

    def _of_places(self, at: int, column: int) -> bool:
        """Whether the table around a cell is one of places: a heading within reach above says so."""
        return any(
            is_place_heading(cell.value)
            for row in self.rows[max(0, at - ROWS_ABOVE) : at]
            for cell in row
            if isinstance(cell.value, str)
        )

    def _columns_of_names(self) -> Iterator[tuple[str, int, int]]:
        for column, texts in self.names.items():
            run: list[tuple[int, int, str]] = []
            for entry in (*texts, (len(self.rows), 0, "")):
                if entry[1]:
                    run.append(entry)
                    continue
                if self._are_people(run) and not self._headed_otherwise(run[0][0], column):
                    yield f"人の名前と思われる列（{len(run):,} 件の値）", run[0][0], column
                run = []

    def _are_people(self, run: list[tuple[int, int, str]]) -> bool:
        different = {text for _, _, text in run}
        if len(different) < max(FEWEST_NAMES, 0.9 * len(run)):
            return False
        sure, spaced = (sum(score >= least for _, score, _ in run) / len(run) for least in (2, 3))
        return sure >= 0.5 or (spaced >= 0.3 and all(" " in text or "　" in text for text in different))

    def _headed_otherwise(self, at: int, column: int) -> bool:
        """Whether the nearest texts above say that these are places, or the staff who send the file."""
        above = (self._text_at(row, column) for row in range(max(0, at - 4), at + 1))
        return any(is_place_heading(text) or is_staff(text) for text in above if text)
