"""What single texts of a sample are likely to be: a number, a mark, a period, a unit, a total."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from kpi_warehouse.japanese.numbers import read_numbers
from kpi_warehouse.japanese.periods import Period
from kpi_warehouse.japanese.signs import take_references
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key
from kpi_warehouse.readers.grid import Cell
from kpi_warehouse.readers.layout_periods import period_of_text

BLANK, FIGURE, MARK, PERIOD, TEXT = range(5)
# Marks that stand for a number in statistics tables, with what they usually mean and the status of such a value.
USUAL_MARKS = {
    **dict.fromkeys(("-", "－", "―", "ー", "‐", "−", "–", "—", "─", "‑"), ("該当なし", "not_applicable")),
    **dict.fromkeys(("…", "...", "・・・", "･･･", "‥", "不詳", "不明"), ("不詳", None)),
    **dict.fromkeys(("X", "x", "Ｘ", "ｘ", "χ", "Χ"), ("秘匿", None)),
    **dict.fromkeys(("*", "***", "＊", "＊＊＊"), ("調査していない、または公表していない", None)),
    **dict.fromkeys(("未定", "調整中"), ("まだ決まっていない", "planned")),
    **dict.fromkeys(("集計中", "調査中", "未集計", "未公表"), ("まだ公表されていない", None)),
    **dict.fromkeys(("該当なし", "なし"), ("該当なし", "not_applicable")),
}
TOTALS = ("計", "合計", "総計", "総数", "全体", "全国計", "県計", "市町村計")
SUBTOTALS = ("小計",)
SUBSETS = ("うち", "再掲", "(再掲)", "(うち", "内訳")
NOTES = ("備考", "摘要", "注", "注記", "備考欄")
STATUS_HEADINGS = ("値の種類", "実績の種類", "状態")
STATUS_WORDS = {
    "実績": "actual",
    "累計": "actual",
    "年度途中": "partial",
    "速報": "provisional",
    "確定": "actual",
    "予定": "planned",
}
PERIOD_HEADINGS = (
    "年度",
    "時点",
    "期間",
    "年月",
    "年月日",
    "月",
    "年",
    "年次",
    "開催日",
    "日時",
    "対象期間",
    "対象年度",
    "対象年月",
    "基準日",
    "調査年",
    "調査年度",
    "調査年月",
    "西暦",
    "和暦",
    "時間軸",
    "月次",
    "年度・月",
    "年・月",
)
CODE_HEADING = re.compile(r"コード|番号|ｺｰﾄﾞ|(?<![A-Za-z])(?:code|no|id|cd)\.?(?![A-Za-z])", re.IGNORECASE)
# As it stands in a contract: 単位 at the beginning, behind a bracket or a blank, or before a colon; not 市区町村単位は….
UNIT_PATTERN = (
    r"(?:(?:^|(?<=[\s(（\[［【〔]))単\s*位(?!は)\s*[:：;；]?|単\s*位\s*[:：;；])"
    r"\s*(?P<unit>[^\s()（）\[\]［］【】〔〕]+)"
)
UNIT_LINE = re.compile(UNIT_PATTERN)
WITHOUT_ERA = re.compile(r"(?:\d{1,2}|元)\s*年\s*(度)?")
_YEARISH = re.compile(r"(19|20)\d\d")
# Only tells that a text is a period; which year it has is another matter.
SOME_YEAR = Period(date(2000, 4, 1), date(2001, 3, 31), "年度", None, None, "")


def kind_of(cell: Cell) -> int:
    """What a cell of a sample is, looked at alone."""
    value = cell.value
    return BLANK if value is None else _kind(_native(value), cell.text.strip())


def _native(value: object) -> str:
    if isinstance(value, bool | date):
        return "bool" if isinstance(value, bool) else "date"
    return "text" if isinstance(value, str) else "number"


@lru_cache(maxsize=65536)
def _kind(native: str, text: str) -> int:
    if not text:
        return BLANK
    if native in ("bool", "date"):
        return TEXT if native == "bool" else PERIOD
    if is_plain(text):
        return FIGURE
    if fold(text) in USUAL_MARKS or text in USUAL_MARKS:
        return MARK
    if period_kind(text) is not None:
        return PERIOD
    return FIGURE if native == "number" or is_number(text) else TEXT


def is_plain(text: str) -> bool:
    """Digits with commas, point or sign, and no unit."""
    return re.fullmatch(r"[-▲△−－]?\d[\d,]*(\.\d+)?", fold(text)) is not None


def is_number(text: str) -> bool:
    """Whether the readers take it for a number, with unit or without."""
    if len(text) > 60:
        return False
    try:
        read_numbers(take_references(text)[0])
    except Unreadable:
        return False
    return True


def is_yearish(cell: Cell) -> bool:
    """A bare number that may be a year."""
    return _YEARISH.fullmatch(fold(cell.text).strip()) is not None


def period_kind(text: str, *, bare: bool = True) -> str | None:
    """Kind of the period that a text says, a bare month or year too; None where it says none.

    Args:
        bare: a number of four digits counts as well.
    """
    if found := WITHOUT_ERA.fullmatch(fold(text)):
        # 5年度 behind 令和4年度: the reader gives it the era of the year before it.
        return "年度" if found[1] else "暦年"
    if len(text) > 40 or (not bare and _YEARISH.fullmatch(fold(text).strip())):
        return None
    try:
        return period_of_text(text, "fiscal", SOME_YEAR).kind
    except Unreadable:
        return None


def is_word(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text is one of these words, however it is spaced and whatever width it has."""
    return search_key(text) in {search_key(word) for word in words}


def begins(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text begins with one of these words."""
    return search_key(text).lstrip("(・").startswith(tuple(search_key(word).lstrip("(") for word in words))
