"""Personal data is found and named without being repeated, and what offices publish of themselves passes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.sources.inbox_personal_patterns import is_my_number, name_score
from kpi_warehouse.sources.inbox_reading import read_content
from kpi_warehouse.sources.personal_data import find_personal_data, refusal

# Made-up people; the numbers have a right check digit and belong to the law's own form of example.
PEOPLE = ["山田太郎", "佐藤花子", "鈴木一郎", "緒方美咲", "坂本健太", "松本あかり", "古閑蓮", "田上陽菜"]


@dataclass(frozen=True)
class Cell:
    value: object
    place: str


@dataclass(frozen=True)
class Sheet:
    rows: list[list[Cell]]


def sheet(*rows: list[object]) -> Sheet:
    width = max(len(row) for row in rows)
    return Sheet(
        [
            [
                Cell(row[column] if column < len(row) else None, f"表!{chr(65 + column)}{at + 1}")
                for column in range(width)
            ]
            for at, row in enumerate(rows)
        ]
    )


def found(*rows: list[object], allowed: tuple[str, ...] = ()) -> list[str]:
    return [finding.what_ja for finding in find_personal_data([sheet(*rows)], allowed=allowed)]


def with_check_digit(eleven: str) -> str:
    return next(eleven + str(digit) for digit in range(10) if is_my_number(eleven + str(digit)))


NUMBER = with_check_digit("12345678901")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([["番号", "氏名", "件数"], [1, "山田太郎", 2]], "氏名の列"),
        ([["番号", "氏　名"], [1, "Taro Yamada"]], "氏名の列"),
        ([["参加者名", "組"], ["ア　イ", 1]], "氏名の列"),
        ([["※申請者氏名（漢字）", "組"], ["髙﨑", 1]], "氏名の列"),
        ([["生年月日", "件数"], [date(1990, 4, 1), 1]], "生年月日の列"),
        ([["生年月日", "件数"], ["昭和元年12月30日", 1]], "生年月日の列"),
        ([["区分", "現住所"], ["転入", "熊本市中央区水前寺6丁目18-1"]], "住所の列"),
        ([["区分", "住所"], ["転入", "熊本県熊本市中央区水前寺6-18-1"]], "住所の列"),
        ([["区分", "電話番号"], ["転入", "0963831111"]], "電話番号の列"),
        ([["区分", "TEL"], ["転入", "９０１２３４５６７８"]], "電話番号の列"),
        ([["区分", "個人番号"], ["転入", "1111"]], "個人番号・口座番号などの列"),
        ([["区分", "備考"], ["転入", "番号は" + NUMBER]], "個人番号"),
        ([["区分", "値"], ["転入", int(NUMBER)]], "個人番号"),
        ([["区分", "値"], ["転入", f"{NUMBER[:4]}-{NUMBER[4:8]}-{NUMBER[8:]}"]], "個人番号"),
        ([["区分", "備考", "a", "b", "c", "d", "e"], ["転入", "090-1234-5678", 1, 2, 3, 4, 5]], "携帯電話の番号"),
        ([["区分", "備考"], ["転入", "０９０－１２３４－５６７８"]], "携帯電話の番号"),
        ([["区分", "備考"], ["転入", "taro@gmail.com に返信"]], "個人のメールアドレス"),
        ([["区分", "備考"], ["転入", "taro.yamada@example.co.jp"]], "メールアドレス"),
        ([["区分", "値"], *[[name, at] for at, name in enumerate(PEOPLE)]], "人の名前と思われる列"),
        ([["", "値"], *[[f"{name[:2]}　{name[2:]}", at] for at, name in enumerate(PEOPLE)]], "人の名前と思われる列"),
        ([["備考"], ["氏名：山田太郎、件数 1"]], "氏名・生年月日・個人番号・住所の記載"),
        ([["氏名", "山田太郎"], ["件数", 3]], "氏名"),
        ([["区分", "備考"], *[[at, f"096-{300 + at}-11{at:02}"] for at in range(4)]], "電話番号"),
    ],
)  # fmt: skip
def test_personal_data_is_found(rows: list[list[object]], what: str) -> None:
    assert any(entry.startswith(what) for entry in found(*rows)), found(*rows)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([["担当：企画課 山田（内線 1234、TEL 096-333-2000）"], ["区分", "R6"], ["東京圏", 165]], id="contact"),
        pytest.param([["区分", "R6"], ["計", 5], ["問合せ先", "移住促進課", "096-333-2000", "iju@pref.kumamoto.lg.jp"]], id="footer"),
        pytest.param([["記入者"], ["氏名", "山田太郎"], ["電話", "096-333-2000"], ["区分", "R6"], ["計", 5]], id="form of the sender"),
        pytest.param([["担当者氏名", "件数"], ["山田太郎", 1], ["佐藤花子", 2]], id="staff"),
        pytest.param([["市町村", "担当者"], *[["熊本市", name] for name in PEOPLE]], id="column of staff"),
        pytest.param([["会場", "会場住所", "電話"], ["くまもと県民交流館", "熊本市中央区手取本町8-9", "096-355-4300"]], id="venues"),
        pytest.param([["施設名", "住所", "電話番号"], *[[f"第{at}園", f"熊本市{at}-1", f"096-35{at}-4300"] for at in range(5)]], id="facilities"),
        pytest.param([["企業名", "所在地", "人数"], *[[f"{name[:2]}製作所", "合志市1-1", 3] for name in PEOPLE]], id="companies"),
        pytest.param([["指標", "実績"], ["参加者数", "427名"], ["相談", "264組427名"], ["移住者", "78人（予定）"]], id="名 counts"),
        pytest.param([["都道府県", "転入"], *[[f"{name}県", 1] for name in ("山口", "福島", "石川", "宮崎", "長野", "千葉", "秋田")]], id="prefectures"),
        pytest.param([["市町村", "転入"], *[[name, 1] for name in ("菊池市", "山鹿市", "荒尾市", "合志市", "高森町", "大津町", "西原村", "南小国町")]], id="municipalities"),
        pytest.param([["区分", "転入"], *[[name, 1] for name in ("東京圏", "大阪圏", "福岡県", "製造業", "建設業", "情報通信業", "医療福祉")]], id="categories"),
        pytest.param([["区 分", "値"], *[[name, 1] for name in ("合　計", "男　性", "女　性", "県　内", "県　外", "総　数")]], id="spaced words"),
        pytest.param([["予算額（円）", "年度"], [int(NUMBER), "R6"]], id="money with a right digit"),
        pytest.param([["製造品出荷額", "年度"], ["312345678903円", "R6"]], id="money as text"),
        pytest.param([["値", "年度"], [800000000000, "R6"]], id="rounded"),
        pytest.param([["値"], *[[with_check_digit("33333333333")[:11] + str((int(with_check_digit("33333333333")[11]) + 1) % 10)]]], id="wrong digit"),
        pytest.param([["作成日時", "値"], ["202410021530", 1]], id="moment"),
        pytest.param([["氏名", "件数"], ["非公開", 1], ["＊＊＊", 2], ["－", 3]], id="masked"),
        pytest.param([["氏名", "生年月日", "電話番号"], [None, None, None]], id="empty form"),
        pytest.param([["※氏名、住所、生年月日など個人が分かる項目は書かないでください。"], ["区分", "R6"], ["計", 3]], id="advice"),
        pytest.param([["マイナンバーカード交付枚数", "LINE登録者"], [1234567, 4770]], id="cards"),
        pytest.param([["法人番号", "件数"], ["1234567890123", 1], [1234567890123, 2]], id="company numbers"),
        pytest.param([["フリーダイヤル", "件数"], *[[f"0120-000-{at:03}", at] for at in range(5)]], id="free calls"),
        pytest.param([["期間", "件数"], ["2024-10-02〜2024-10-31", 5], [datetime(2024, 10, 2), 3]], id="dates"),
        pytest.param([["番号", "名称", "世帯主の年齢"], [1, "移住相談会", "30代"]], id="statistics"),
    ],
)  # fmt: skip
def test_what_is_no_personal_data_passes(rows: list[list[object]]) -> None:
    assert found(*rows) == []


def test_a_refusal_names_cells_and_never_what_stands_in_them() -> None:
    rows: list[list[object]] = [["番号", "参加者氏名", "携帯電話", "メール", "備考"]]
    rows += [[at, name, f"090-1234-56{at:02}", f"{at}@gmail.com", NUMBER] for at, name in enumerate(PEOPLE)]
    message = refusal(find_personal_data([sheet(*rows)]))
    assert "表!B1" in message and "保存していません" in message
    for secret in (*PEOPLE, NUMBER, "gmail", "1234-56", "山田"):
        assert secret not in message


def test_a_heading_that_the_contract_vouches_for_passes() -> None:
    rows: list[list[object]] = [["講師氏名", "回数"], *[[name, 1] for name in PEOPLE]]
    assert found(*rows) != [] and found(*rows, allowed=("講師氏名",)) == []


def test_nothing_vouches_for_a_my_number() -> None:
    assert found(["整理番号"], [NUMBER], allowed=("整理番号",)) != []
    assert found(["整理番号"], ["123456789012"], allowed=("整理番号",)) == []


def test_a_column_of_many_twelve_digit_numbers_is_judged_as_a_whole() -> None:
    random.seed(7)
    codes: list[list[object]] = [[f"{random.randrange(10**11, 10**12)}"] for _ in range(300)]
    codes = [row for row in codes if not str(row[0]).endswith("000")]
    assert any(is_my_number(str(row[0])) for row in codes) and found(["コード"], *codes) == []
    people: list[list[object]] = [
        [with_check_digit(f"{random.randrange(10**10, 10**11)}")] for _ in range(30)
    ]
    assert found(["コード"], *people) != []


def test_hidden_sheets_count_as_any_other() -> None:
    clean, people = sheet(["区分", "値"], ["計", 1]), sheet(["氏名"], ["山田太郎"])
    assert len(find_personal_data([clean, people])) == 1


@given(st.text(alphabet="0123456789", min_size=11, max_size=11))
def test_one_digit_makes_a_my_number_right(eleven: str) -> None:
    assert sum(is_my_number(eleven + str(digit)) for digit in range(10)) == 1


@given(
    st.lists(
        st.lists(st.none() | st.text() | st.integers() | st.floats() | st.dates(), max_size=3),
        min_size=1,
    )
)
def test_any_sheet_is_looked_through(rows: list[list[object]]) -> None:
    ragged = Sheet([[Cell(value, "表!A1") for value in row] for row in [["氏名", "TEL", "電話"], *rows]])
    for finding in find_personal_data([ragged]):
        assert finding.count >= 1 and finding.places


@pytest.mark.parametrize(
    ("text", "score"), [("山田太郎", 2), ("山田　太郎", 3), ("東京圏", 0), ("熊本高校", 0), ("山口県", 0)]
)
def test_names_of_people_are_told_from_names_of_places(text: str, score: int) -> None:
    assert name_score(text) == score


def test_what_divisions_really_send_passes() -> None:
    folder = Path(__file__).parents[2] / "demo" / "inbox"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, "the demo's files of the divisions are gone"
    for path in files:
        assert find_personal_data(read_content(path.read_bytes(), path.name).sheets) == [], path.name
