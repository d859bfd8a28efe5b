"""Names and codes of areas: the 47 prefectures and the 45 municipalities of Kumamoto, as divisions write them.

Codes are the 全国地方公共団体コード: five digits, or six with a check digit. A code wins over the name beside it, and a name beside a
code that is not its own is an error; what could be two areas is none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from kpi_warehouse.japanese.widths import Unreadable, fold

AreaKind = Literal["prefectures", "municipalities"]
KINDS: tuple[AreaKind, ...] = ("prefectures", "municipalities")
_FILES = {"prefectures": "areas.csv", "municipalities": "municipalities.csv"}
_WEIGHTS = (6, 5, 4, 3, 2)
# One letter each: old forms and the small ケ, which people write any way.
_LETTERS = str.maketrans("髙﨑濵濱嶋嶌邊邉澤廣ヶゖヵ", "高崎浜浜島島辺辺沢広ケケケ")
_HOME = "熊本県"
_DISTRICT = re.compile(r"^[^\s市町村]{1,4}郡")
_WARD = re.compile(r"^熊本市(中央|東|西|南|北)区$")
_OTHER_PREFECTURE = re.compile(r"^(北海道|東京都|大阪府|京都府|[^\s県]{2,3}県)(?=.)")
_CODED = re.compile(r"^(?P<code>\d{3,7})[\s:：・,、-]*(?P<name>\D.*)?$")


def check_digit(code: str) -> str:
    """The sixth digit of a code of five.

    Raises:
        Unreadable: not five digits.
    """
    if not re.fullmatch(r"[0-9]{5}", code):
        raise Unreadable(code, 0, "5桁の数字")
    total = sum(int(digit) * weight for digit, weight in zip(code, _WEIGHTS, strict=True))
    return str((11 - total % 11) % 10)


def with_check_digit(code: str) -> str:
    """`43202` → `432024`."""
    return code + check_digit(code)


def without_check_digit(code: str) -> str:
    """`432024` → `43202`.

    Raises:
        Unreadable: not six digits, or the last is not the check digit of the others.
    """
    if not re.fullmatch(r"[0-9]{6}", code):
        raise Unreadable(code, 0, "6桁の数字")
    if code[5] != check_digit(code[:5]):
        raise Unreadable(code, 5, f"検査数字 {check_digit(code[:5])}（見つかったもの {code[5]}）")
    return code[:5]


@dataclass(frozen=True)
class Areas:
    """A closed list of areas. `names`: code of five digits → official name."""

    kind: AreaKind
    names: Mapping[str, str]

    def code(self, text: str) -> str:
        """The code of an area written as a name, a code, or both (`43202 八代市`).

        Raises:
            Unreadable: no area of the list, several, a wrong check digit, or a code and a name that disagree.
        """
        folded = fold(text)
        coded = _CODED.match(folded)
        if coded is None:
            return self._of_name(text, folded)
        code = self._of_digits(text, coded["code"])
        if coded["name"] and self._of_name(text, coded["name"]) != code:
            raise Unreadable(text, 0, f"コード {code} の名称「{self.names[code]}」")
        return code

    def name(self, code: str) -> str:
        """The official name of a code, of five digits or six.

        Raises:
            Unreadable: no code of the list, or a wrong check digit.
        """
        return self.names[self._of_digits(code, fold(code))]

    def _of_digits(self, text: str, digits: str) -> str:
        """Five digits, six with a check digit, or either without the zero that a spreadsheet drops."""
        found = {digits} if len(digits) == 5 else {f"0{digits}"} if len(digits) == 4 else set()
        if len(digits) == 6:
            found.add(without_check_digit(digits))
        elif len(digits) == 5 and f"0{digits}"[5] == check_digit(f"0{digits}"[:5]):
            found.add(f"0{digits}"[:5])
        known = sorted(found & set(self.names))
        if len(known) != 1:
            several = (
                f"（{'、'.join(f'{code} {self.names[code]}' for code in known)} のどちらか）" if known else ""
            )
            raise Unreadable(text, 0, f"{self._what}のコード{several}")
        return known[0]

    def _of_name(self, text: str, name: str) -> str:
        bare = _bare(name)
        if self.kind == "municipalities":
            if _WARD.match(bare):
                raise Unreadable(text, 0, "市町村（熊本市の区は市町村ではない。市としては 43100 熊本市）")
            other = _OTHER_PREFECTURE.match(bare)
            if other is not None and other[1] != _HOME:
                raise Unreadable(text, 0, f"熊本県の市町村（{other[1]}の同じ名前ではない）")
            bare = _DISTRICT.sub("", bare.removeprefix(_HOME))
        wanted = {code for code, official in self.names.items() if bare in _spellings(official, self.kind)}
        if len(wanted) == 1:
            return wanted.pop()
        near = [official for official in self.names.values() if bare and bare in _bare(official)]
        hint = f"（近いもの：{'、'.join(near[:3])}）" if near else ""
        raise Unreadable(text, 0, f"{self._what}の名称{hint}")

    @property
    def _what(self) -> str:
        return "都道府県" if self.kind == "prefectures" else "熊本県の市町村"


@cache
def areas(project: Path, kind: AreaKind) -> Areas:
    """The list that the project keeps (seed `areas` or `municipalities`).

    Args:
        project: root of the checkout.
    """
    path = project / "dbt_project" / "seeds" / _FILES[kind]
    with path.open(encoding="utf-8", newline="") as lines:
        return Areas(kind, {row["area_code"]: row["area_name"] for row in csv.DictReader(lines)})


def _bare(name: str) -> str:
    return "".join(fold(name).split()).translate(_LETTERS)


def _spellings(official: str, kind: AreaKind) -> Iterable[str]:
    """The official name; of a prefecture also without 都, 府, 県 (never 道: 北海 is no name)."""
    bare = _bare(official)
    short = bare[:-1] if kind == "prefectures" and bare[-1] in "都府県" else bare
    return {bare, short}
