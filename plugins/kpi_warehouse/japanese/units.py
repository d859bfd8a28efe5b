"""Units: different writings of one unit are one; different counters (人, 名) stay what they are."""

from __future__ import annotations

import re

from kpi_warehouse.japanese.widths import fold

# ㎥ does not exist in CP932 and folds to m3, so it comes in many dresses.
_SAME = {
    "m2": "㎡",
    "平方メートル": "㎡",
    "平米": "㎡",
    "m3": "㎥",
    "立方メートル": "㎥",
    "立米": "㎥",
    "パーセント": "%",
    "km/時": "km/h",
    "キロメートル": "km",
    "キログラム": "kg",
    "トン": "t",
    "ヘクタール": "ha",
    "パーミル": "‰",
}


def canonical_unit(text: str) -> str:
    """One writing of a unit: `m3` and `立方メートル` are `㎥`, `％` is `%`; blanks are dropped."""
    unit = fold(text).replace(" ", "")
    for written, meant in _SAME.items():
        if unit.casefold().endswith(written):
            return unit[: len(unit) - len(written)] + meant
    return unit


_SCALED_IN_BRACKETS = re.compile(r"[(\[〔【]([十百千万億兆][^\s()\[\]〔〕【】]*)[)\]〕】]")
_HINT = re.compile("位|[(（\\[［〔【][十百千万億兆]|[でに]表[示記]")
# Blanks that only spread a word over the cell: 単 位 ： 千 件.
_SPREAD = re.compile(r"(?<=[\s:;=(\[〔【][^\s]) (?=[^\s](?:[\s)\]〕】]|$))")
_POLITE = re.compile(r"(?:です|とする|である|となります|で表示|表示)$")
_SCALED = "|".join(("百万", "十億", "百億", "千億", "十", "百", "千", "万", "億", "兆"))
_COUNTED = (
    "人|名|者|件|社|者数|校|組|戸|世帯|棟|台|回|日|日間|時間|分|秒|円|ドル|ユーロ|%|‰|㎡|㎥|m|km|cm|mm|ha|a|t|g|kg|mg|l|ml|kl|kw|kwh|mw"
    "|°c|℃|箇所|か所|カ所|ヶ所|ケ所|ヵ所|個所|市町村|市|町|村|県|都道府県|団体|事業所|事業者|企業|店|店舗|冊|点|本|枚|個|隻|艘|頭|羽|匹|床"
    "|室|部屋|学級|クラス|園|施設|倍|ポイント|pt|歳|才|年|年度|か月|ヶ月|カ月|月|週|泊|人泊|人日|人時|便|往復|路線|区画|区|筆|株|口|着|足|票|議席|講座"
    "|コース|テーマ|ブース|プロジェクト|案件|事業|会|種|種類|品目|作品|局|基|機|両|艇|丁|束|箱|袋|俵|貫|坪|割|割合|比率|指数|率|位|番|度|級|段"
)
_UNIT = re.compile(
    rf"(?:延べ?)?(?:{_SCALED})*(?:{_COUNTED})(?:[・/](?:[0-9]*(?:{_SCALED})*)?(?:{_COUNTED}))*", re.IGNORECASE
)

_SAID = re.compile(
    r"(?<![一-龠])単 ?位[は ](?P<spoken>[^\s()、。]+)"
    r"|単 ?位 ?[:;=] ?(?P<plain>[^\s()\[\]{}<>〔〕【】〈〉《》「」。;]+)"
    r"|[(\[{<〔【〈《「] ?単 ?位 ?(?P<bare>[^\s()\[\]{}<>〔〕【】〈〉《》「」:;。]+) ?[)\]}>〕】〉》」]"
    r"|[(\[{<〔【〈《「] ?単 ?位 ?[)\]}>〕】〉》」] ?[:;]? ?(?P<behind>[^\s()\[\]{}<>〔〕【】〈〉《》「」:;。]+)"
    r"|単 ?位 ?[:;=]? ?[(\[{<〔【〈《「] ?(?P<inside>[^\s()\[\]{}<>〔〕【】〈〉《》「」:;。]+) ?[)\]}>〕】〉》」]"
    # ※数値は千人単位, 人数は千人で表示: with a scale only, since 市町村単位で集計 counts nothing.
    rf"|(?<![0-9数一二三四五六七八九])(?P<scaled>(?:{_SCALED})+(?:{_COUNTED})) ?(?:単 ?位(?!:)|[でに](?:表示|表記))",
    re.IGNORECASE,
)


def looks_like_unit(text: str) -> bool:
    """Whether a text is a unit as tables are counted in, alone or with a scale: 人, 千人, 億円, 件/月; never 男, 速報, 再掲."""
    return _UNIT.fullmatch(canonical_unit(text)) is not None


def stated_units(text: str) -> tuple[str, ...]:
    """The units a line of words states, canonical: `（単位：人、％）` → 人, %; none where it speaks of no unit.

    Any bracket, any separator, blanks inside 単位, and text around it are allowed (`移住者数 単位：千人`, `単位は千人`).
    """
    if _HINT.search(text) is None:
        return ()
    found: list[str] = []
    for match in _SAID.finditer(_SPREAD.sub("", fold(text))):
        said = next(text for text in match.groups() if text)
        if match["spoken"] and not looks_like_unit(_POLITE.sub("", said)):
            continue
        found.extend(canonical_unit(_POLITE.sub("", each)) for each in re.split("[,、]", said) if each)
    # 移住者数（千人）: a scale is never part of a name.
    scaled = map(canonical_unit, _SCALED_IN_BRACKETS.findall(fold(text)))
    return tuple(dict.fromkeys([*filter(None, found), *filter(looks_like_unit, scaled)]))
