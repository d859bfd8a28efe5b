"""What personal data looks like in one cell: headings, phones, mail addresses, 個人番号 and people's names.

Source of the check digit: 行政手続における特定の個人を識別するための番号の利用等に関する法律の規定による通知カード及び個人番号
カード並びに情報提供ネットワークシステムによる特定個人情報の提供等に関する省令 第5条 (平成26年総務省令第85号).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from kpi_warehouse.sources.inbox_surnames import SURNAMES

# What must stand under a heading for it to be one of people: a text, a date, a number of digits.
Under = Literal["text", "date", "digits", "address", "phone", "mail"]

_CONTACT_WORDS = (
    r"担当|問い?合わ?せ|連絡先|記入者|作成者|回答者|報告者|入力者|責任者|事務局|窓口|内線|会場|発行"
)
_PERSON = (
    r"(?:申請|参加|受講|応募|相談|移住|転入|転出|登録|利用|受給|保護|来場|出席|受診|対象|被保険|奨学|求職|採用|内定|就職|代表|訪問|支援|入居|契約|届出)"
    r"(?:予定)?者"
)
_STRONG: tuple[tuple[str, Under, str], ...] = (
    (r".{0,8}(?:氏名|姓名)|お?名前|世帯主名|" + _PERSON + r"名前?", "text", "氏名の列"),
    (r".{0,8}(?:生年月日|誕生日)", "date", "生年月日の列"),
    (
        r".{0,8}(?:個人番号|マイナンバー|基礎年金番号|被保険者番号|口座番号)",
        "digits",
        "個人番号・口座番号などの列",
    ),
    (r".{0,4}(?:自宅|現|本人|居住地?|実家)住所", "address", "住所の列"),
    (r"(?:自宅|本人)(?:の)?(?:電話|tel)(?:番号)?|携帯(?:電話)?(?:番号)?", "phone", "電話番号の列"),
)
_WEAK: tuple[tuple[str, Under, str], ...] = (
    (r"住所\d?", "address", "住所の列"),
    (r"電話(?:番号)?|tel\.?|℡|緊急連絡先|連絡先(?:電話番号)?", "phone", "電話番号の列"),
    (r"(?:e-?)?mail|eメール|メール|(?:e-?)?メールアドレス", "mail", "メールアドレスの列"),
)
_BRACKETS = r"(?:[(\[〔].*[)\]〕])?"
_HEADINGS = [
    (re.compile(f"(?:{pattern}){_BRACKETS}"), under, what, strong)
    for strong, group in ((True, _STRONG), (False, _WEAK))
    for pattern, under, what in group
]
_STAFF = re.compile(rf"(?:{_CONTACT_WORDS}|事務|確認者|決裁|課長|係長)")
_PLACE = re.compile(
    r".*(?:会場|施設|企業|会社|法人|団体|事業所|事業者|店舗|学校|高校|大学|病院|医療機関|機関|窓口|支所|部署|所属|市町村|自治体|物件|住宅|空き?家"
    r"|場所|拠点|センター|組合|協会|財団|校区|大字|町字|町名|地区|地名|地域|路線|駅|河川|課|園)(?:等|の)?(?:名称?|所在地?|番号|一覧)?|名称|所在地?"
)
_CONTACT = re.compile(rf"{_CONTACT_WORDS}|電話|℡|tel|fax|e-?mail|メール", re.IGNORECASE)
_INLINE = re.compile(
    r"(?P<word>氏\s?名|生年月日|個人番号|マイナンバー|(?:自宅|現)住所)\s?:\s?(?P<value>[^、。,:\n]{2,40})"
)
_DASHES = re.compile(r"(?<=[\d)])\s?[‐‑‒–—―−ーｰ-]\s?(?=\d)")
_MOBILE = re.compile(r"(?<![\d-])0[789]0-?[1-9]\d{3}-?\d{4}(?![\d-])")
_LANDLINE = re.compile(
    r"(?<![\d-])(?:\(0\d{1,4}\)\s?\d{1,4}-\d{4}|0\d{1,4}\(\d{1,4}\)\d{4}|0\d{1,4}-\d{1,4}-\d{4})(?![\d-])"
)
_FREE_CALL = ("0120", "0800", "0570")
_MAIL = re.compile(r"[a-z0-9._%+-]+@(?P<domain>[a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE)
_OFFICIAL = re.compile(
    r"(?:.*\.)?(?:lg\.jp|go\.jp|ac\.jp|ed\.jp|(?:pref|city|town|vill)\.[a-z.-]+\.jp)", re.IGNORECASE
)
_PRIVATE = re.compile(
    r"(?:gmail|yahoo|ymail|icloud|me|outlook|hotmail|live|msn|docomo|ezweb|au|softbank|i\.softbank|ybb)\..*",
    re.IGNORECASE,
)
_TWELVE = re.compile(r"(?<![\d.,-])\d{4}(?P<gap>[ -]?)\d{4}(?P=gap)\d{4}(?![\d.,-])")
_MOMENT = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d")
_KANJI = r"[一-鿿々〆ヶヵ㐀-䶿\uF900-\uFAFF]"
_SPACED_NAME = re.compile(
    rf"(?P<family>{_KANJI}{{1,4}}) (?P<given>{_KANJI}{{1,3}}|[ぁ-ゖ]{{1,4}}|[ァ-ヶー]{{1,5}})"
)
_PLAIN_NAME = re.compile(rf"(?:{_KANJI}|[ぁ-ゖ]|[ァ-ヶ]){{3,7}}")
# Old forms of letters that families keep.
_OLD_FORMS = str.maketrans("髙﨑邊邉澤濱齋齊斉廣櫻嶋冨眞", "高崎辺辺沢浜斎斎斎広桜島富真")
_FAMILIES = frozenset(name.translate(_OLD_FORMS) for name in SURNAMES)
_OTHER_NAME = re.compile(r"[A-Za-z][A-Za-z'-]*[ ,.]+[A-Za-z][A-Za-z .'-]*|[ぁ-ゖァ-ヶー]+ [ぁ-ゖァ-ヶー]+")
_GIVEN = re.compile(rf"{_KANJI}{{1,3}}|[ぁ-ゖ]{{2,4}}|[ァ-ヶー]{{2,5}}")
# 山口県, 中村製作所, 清水地区: a family name with one of these at the end is a place, a firm or an office.
_NO_GIVEN = "都道府県市区町村郡島圏課室部局係所校園館院社会店業港駅橋線丁目台団組合機械電設建工産商事務販地域均計数率額費別内外上下中寺城祭"
_MASKED = re.compile(
    r"[-ー―*○〇◯×x●■□△※….・\s]*|非公開|非表示|匿名|なし|該当なし|不明|同上|未定|秘匿|省略|計|合計|小計"
)
_ADDRESS = re.compile(r"(?:都|道|府|県|市|郡|区|町|村).*\d|.+[県市郡].+[町村区].*|.*\d丁目.*|\D+\d+-\d+.*")

_DIGITS = {"date": 3, "digits": 4}


@dataclass(frozen=True)
class Heading:
    """A heading of personal data. Not `strong`: offices have such a column, too; what stands under it decides."""

    under: Under
    what_ja: str
    strong: bool


@dataclass(frozen=True)
class Signs:
    """What one text shows. `twelve` are twelve-digit numbers with whether the check digit is right."""

    mobiles: int = 0
    landlines: int = 0
    mails: int = 0
    private_mails: int = 0
    twelve: tuple[bool, ...] = ()
    inline: str | None = None


@lru_cache(maxsize=1 << 16)
def folded(text: str) -> str:
    """NFKC with single spaces; dashes between digits as -."""
    return _DASHES.sub("-", re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip())


@lru_cache(maxsize=1 << 16)
def key(text: str) -> str:
    """A heading for comparing: folded, no spaces, no leading marks, lower case."""
    return re.sub(r"^[※*■●○◎・.\d()①-⑳]+|[:※*]+$", "", folded(text).replace(" ", "").casefold())


@lru_cache(maxsize=1 << 16)
def heading_of(text: str) -> Heading | None:
    """The personal heading that a text is; headings about staff (担当者氏名) and of places (会場住所) are none."""
    found = key(text)
    if not 2 <= len(found) <= 24 or _STAFF.match(found):
        return None
    for pattern, under, what, strong in _HEADINGS:
        if pattern.fullmatch(found):
            return Heading(under, what, strong)
    return None


def is_place_heading(text: str) -> bool:
    """Whether a heading speaks of places or organisations, whose addresses and phones are public."""
    found = key(text)
    return len(found) <= 24 and _PLACE.fullmatch(found) is not None


def is_contact(text: str) -> bool:
    """Whether a text says how to reach an office."""
    return _CONTACT.search(folded(text)) is not None


def is_staff(text: str) -> bool:
    """Whether a text speaks of those who wrote or send the file."""
    return _STAFF.search(folded(text)) is not None


def fits(under: Under, text: str) -> bool:
    """Whether a text is what stands under such a heading; masks (＊＊, 非公開) are not."""
    text = folded(text)
    if not text or _MASKED.fullmatch(text) or len(text) > 60:
        return False
    digits = len(re.findall(r"\d", text))
    if under == "text":
        return digits <= 4 and re.search(r"[^\W\d_] ?[^\W\d_]", text) is not None
    if under in _DIGITS:
        return digits >= _DIGITS[under] or (under == "date" and "元年" in text)
    if under == "phone":
        return digits >= 9 and re.fullmatch(r"[\d()+\- ]{9,16}", text) is not None
    return (_ADDRESS if under == "address" else _MAIL).search(text) is not None


@lru_cache(maxsize=1 << 14)
def signs_of(text: str) -> Signs:
    """Phones, mail addresses, twelve-digit numbers and `氏名：…` in a text."""
    text = folded(text)
    mails = [match["domain"] for match in _MAIL.finditer(text) if not _OFFICIAL.fullmatch(match["domain"])]
    landlines = [re.sub(r"\D", "", match[0]) for match in _LANDLINE.finditer(text)]
    inline = None
    for match in _INLINE.finditer(text):
        word, value = match["word"].replace(" ", ""), match["value"].strip()
        if (word == "氏名" and name_score(value)) or (
            word != "氏名" and fits("address" if word.endswith("住所") else "digits", value)
        ):
            inline = word
    return Signs(
        mobiles=len(_MOBILE.findall(text)),
        landlines=sum(len(number) == 10 and not number.startswith(_FREE_CALL) for number in landlines),
        mails=len(mails),
        private_mails=sum(_PRIVATE.fullmatch(domain) is not None for domain in mails),
        twelve=tuple(
            is_my_number(digits)
            for match in _TWELVE.finditer(text)
            if not _MOMENT.fullmatch(digits := re.sub(r"\D", "", match[0]))
        ),
        inline=None if inline is None or is_staff(text) else inline,
    )


@lru_cache(maxsize=1 << 16)
def name_score(text: str) -> int:
    """How much a text looks like a person's name: 0 not, 1 possible, 2 begins with a family name, 3 with a space between."""
    text = folded(text).translate(_OLD_FORMS)
    if spaced := _SPACED_NAME.fullmatch(text):
        return 3 if spaced["family"] in _FAMILIES and spaced["given"][-1] not in _NO_GIVEN else 1
    if not _PLAIN_NAME.fullmatch(text) or text[-1] in _NO_GIVEN:
        return 0
    return 2 if any(text[:at] in _FAMILIES and _GIVEN.fullmatch(text[at:]) for at in (2, 3)) else 1


def is_name(text: str) -> bool:
    """Whether a text under 氏名 is one: also a family name alone, and names in kana or Latin letters."""
    text = folded(text).translate(_OLD_FORMS)
    return name_score(text) > 0 or text in _FAMILIES or _OTHER_NAME.fullmatch(text) is not None


def is_my_number(digits: str) -> bool:
    """Whether twelve digits are a 個人番号 by their check digit."""
    weighted = sum(
        int(digit) * (at + 1 if at <= 6 else at - 5)
        for at, digit in enumerate(reversed(digits[:11]), start=1)
    )
    rest = weighted % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)
