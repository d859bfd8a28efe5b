"""Texts that stand on a sheet and in no cell (comments, text boxes, printed lines), and parts of cells that are no data.

What changes the meaning of a figure is bound to it or asked about; whatever is left is listed for who handed the file in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kpi_warehouse.japanese.signs import footnote_sign
from kpi_warehouse.japanese.statuses import status_word
from kpi_warehouse.japanese.units import stated_units
from kpi_warehouse.readers.grid import Remark, Sheet

# A comment begins with the name of its author, which is nobody's business but the division's.
_AUTHOR = re.compile(r"\A[^\n:：]{1,30}[:：][ \u3000]*\n")
_KINDS_JA = {"comment": "コメント", "shape": "図形の文字", "print": "印刷用のヘッダー・フッター"}
# Words that say of a figure how final or how rough it is.
_MEANING = re.compile("速報|暫定|概数|概算|推計|見込|予定|未確定|精査中|訂正|改[定訂]")


@dataclass(frozen=True)
class Said:
    """A remark as it is read: one line of text, where it is, and what it says of figures.

    Args:
        lines: the text line by line.
        units: units it states, canonical.
        means: it says something that changes how a figure is to be read.
    """

    remark: Remark
    text: str
    lines: tuple[str, ...]
    units: tuple[str, ...]
    means: bool

    @property
    def kind_ja(self) -> str:
        return _KINDS_JA[self.remark.kind]

    @property
    def units_alone(self) -> bool:
        """Whether it states a unit, which is compared, and nothing else that changes the meaning."""
        return bool(self.units) and not (_MEANING.search(self.text) or any(map(footnote_sign, self.lines)))

    @property
    def status(self) -> str | None:
        """value_status of the figures it is about."""
        return status_word(self.text)


class Remarks:
    """The remarks of one sheet. `bound` are those that a cell took with it, or a line of the contract names."""

    def __init__(self, sheet: Sheet) -> None:
        self.all = [_said(remark) for remark in sheet.remarks if remark.text.strip()]
        self.bound: set[int] = set()
        self._at: dict[tuple[int, int], list[Said]] = {}
        for said in self.all:
            remark = said.remark
            if remark.kind == "comment" and remark.row is not None and remark.column is not None:
                self._at.setdefault((remark.row, remark.column), []).append(said)

    def __bool__(self) -> bool:
        return bool(self._at)

    def at(self, row: int, column: int) -> Sequence[Said]:
        """Comments at a cell, which takes them with it."""
        found = self._at.get((row, column), ())
        self.bound.update(id(said) for said in found)
        return found

    @property
    def floating(self) -> list[Said]:
        """Texts that lie over the sheet: they speak of the whole of it."""
        return [said for said in self.all if said.remark.kind != "comment"]


def _said(remark: Remark) -> Said:
    text = _AUTHOR.sub("", remark.text)
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    units = stated_units(" ".join(lines))
    means = bool(units or _MEANING.search(text) or any(map(footnote_sign, lines)))
    return Said(remark, " ".join(" ".join(lines).split()), lines, units, means)
