"""A statistical table as the simulator holds it: axes, cells, and the texts of each month.

A table is stored by month: `cells` lists the codes on every axis but time, once, and each month holds one
text per cell (None: the table has no such row). A million values take about ten megabytes this way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

MOVES, FLOW = "0003420473", "0003423613"
STAT_CODE, STAT_NAME = "00200523", "住民基本台帳人口移動報告"
KUMAMOTO, NATION = "43000", "00000"
# fmt: off
PREFECTURE_NAMES = (
    "北海道", "青森県", "岩手県", "宮城県", "秋田県", "山形県", "福島県", "茨城県",
    "栃木県", "群馬県", "埼玉県", "千葉県", "東京都", "神奈川県", "新潟県", "富山県",
    "石川県", "福井県", "山梨県", "長野県", "岐阜県", "静岡県", "愛知県", "三重県",
    "滋賀県", "京都府", "大阪府", "兵庫県", "奈良県", "和歌山県", "鳥取県", "島根県",
    "岡山県", "広島県", "山口県", "徳島県", "香川県", "愛媛県", "高知県", "福岡県",
    "佐賀県", "長崎県", "熊本県", "大分県", "宮崎県", "鹿児島県", "沖縄県",
)
# fmt: on
PREFECTURES = {f"{number:02}000": name for number, name in enumerate(PREFECTURE_NAMES, start=1)}

Codes = tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """One CLASS of an axis. `level` may be "" as in some real tables."""

    code: str
    name: str
    level: str = "1"
    unit: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Axis:
    """One CLASS_OBJ: `id` is tab, cat01…cat15, area or time."""

    id: str
    name: str
    members: tuple[Member, ...]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        return tuple(member.code for member in self.members)


@dataclass(frozen=True, eq=False)
class Table:
    """A 統計表 in one version. Edits make a new object (`edits.py`); nothing is changed in place.

    Attributes:
        axes: every axis but time, in the order served.
        cells: codes on `axes`, one tuple per cell, in the order served; the cells are the same in every
            month.
        months: time code → one text per cell, aligned with `cells`; None = no row. Texts are what `$` holds.
        notes: mark → its meaning in this table (DATA_INF.NOTE).
        annotations: mark → text (DATA_INF.ANNOTATION); rows holding the mark carry `@annotation`.
        listed_months: time codes in the time axis beyond those of `months`.
        description: DESCRIPTION of TABLE_INF.
    """

    id: str
    title: str
    axes: tuple[Axis, ...]
    cells: tuple[Codes, ...]
    months: Mapping[str, Sequence[str | None]]
    updated_on: date
    notes: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    listed_months: tuple[str, ...] = ()
    description: str = ""
    title_no: str = "1"
    stat_code: str = STAT_CODE
    stat_name: str = STAT_NAME
    unit: str | None = "人"

    @cached_property
    def time(self) -> Axis:
        """The time axis, newest first."""
        codes = sorted({*self.months, *self.listed_months}, reverse=True)
        return Axis("time", "時間軸（月次）", tuple(Member(code, time_name(code)) for code in codes))

    @cached_property
    def all_axes(self) -> tuple[Axis, ...]:
        return (*self.axes, self.time)

    @cached_property
    def total(self) -> int:
        """Number of rows of the whole table (OVERALL_TOTAL_NUMBER)."""
        return sum(len(texts) - texts.count(None) for texts in self.months.values())

    @cached_property
    def places(self) -> dict[Codes, int]:
        """Codes of a cell → its place in `cells`."""
        return {codes: place for place, codes in enumerate(self.cells)}

    def value(self, period: str, *codes: str) -> str | None:
        """The text of one cell: `period` is YYYY-MM, `codes` follow `axes`; None = no row."""
        return self.months[time_code(period)][self.places[codes]]


def time_code(period: str) -> str:
    """`2024-09` → `2024000909`."""
    year, month = period.split("-")
    return f"{year}00{month}{month}"


def time_name(code: str) -> str:
    """`2024000909` → `2024年9月`; `2024000709` → `2024年7～9月`; `2024000000` → `2024年`; `2024100000` → `2024年度`."""
    year, first, last = code[:4], int(code[6:8]), int(code[8:])
    if not last:
        return f"{year}年度" if code[4] == "1" else f"{year}年"
    return f"{year}年{last}月" if first == last else f"{year}年{first}～{last}月"


def periods(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, both `YYYY-MM` and both included, oldest first."""
    start, end = (int(period[:4]) * 12 + int(period[5:]) - 1 for period in (first, last))
    return [f"{number // 12}-{number % 12 + 1:02}" for number in range(start, end + 1)]


def months_before(last: str, count: int) -> list[str]:
    """The `count` months that end with `last`, oldest first."""
    number = int(last[:4]) * 12 + int(last[5:]) - count
    return periods(f"{number // 12}-{number % 12 + 1:02}", last)


def end_of_next_month(period: str) -> date:
    """Stands for the day of publication: a month's figures appear late in the next month (原則翌月下旬)."""
    number = int(period[:4]) * 12 + int(period[5:]) + 1
    return date(number // 12, number % 12 + 1, 1) - timedelta(days=1)


TABS = (
    Member("01", "都道府県内移動者数", "", "人"),
    Member("02", "他都道府県（他市町村）からの転入者数", "", "人"),
    Member("03", "他都道府県（他市町村）への転出者数", "", "人"),
    Member("04", "転入超過数", "", "人"),
)
SEXES = (Member("0", "総数"), Member("1", "男"), Member("2", "女"))
NATIONALITIES = (Member("60000", "移動者"), Member("61000", "日本人移動者"), Member("62000", "外国人移動者"))
PREFECTURE_MEMBERS = tuple(Member(code, name, "2", parent=NATION) for code, name in PREFECTURES.items())


def moves_table(
    cells: Iterable[Codes],
    months: Mapping[str, Sequence[str | None]],
    updated_on: date,
    *,
    other_areas: tuple[Member, ...] = (),
    notes: Mapping[str, str] | None = None,
    listed_months: tuple[str, ...] = (),
    description: str = "",
) -> Table:
    """Table 0003420473; its axes and codes are those of the live table."""
    areas = (Member(NATION, "全国", "1"), *PREFECTURE_MEMBERS, *other_areas)
    return Table(
        id=MOVES,
        title="男女別 都道府県内移動者数, 他都道府県からの転入者数, への転出者数, 転入超過数 － "
        "全国・都道府県・3大都市圏・21大都市",
        axes=(
            Axis("tab", "表章項目", TABS),
            Axis("cat01", "性別", SEXES),
            Axis("cat02", "国籍", NATIONALITIES),
            Axis("area", "地域", areas),
        ),
        cells=tuple(cells),
        months=months,
        updated_on=updated_on,
        notes=notes or {},
        listed_months=listed_months,
        description=description,
    )


def flow_table(
    cells: Iterable[Codes],
    months: Mapping[str, Sequence[str | None]],
    updated_on: date,
    *,
    notes: Mapping[str, str] | None = None,
    description: str = "",
) -> Table:
    """Table 0003423613: origin in cat01, destination in area. Its one 表章項目 code is an assumption."""
    return Table(
        id=FLOW,
        title="男女，移動前の住所地別都道府県間移動者数",
        axes=(
            Axis("tab", "表章項目", (Member("02", "他都道府県からの転入者数", "", "人"),)),
            Axis("cat01", "移動前の住所地", tuple(Member(code, name) for code, name in PREFECTURES.items())),
            Axis("cat02", "性別", SEXES),
            Axis("area", "地域", tuple(Member(code, name, "2") for code, name in PREFECTURES.items())),
        ),
        cells=tuple(cells),
        months=months,
        updated_on=updated_on,
        notes=notes or {"-": "データが得られないもの、又は計数のないもの"},
        description=description,
        title_no="2",
    )
