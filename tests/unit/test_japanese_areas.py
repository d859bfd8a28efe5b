"""Names and codes of areas: what is taken comes back the same, what is not is refused with the text and what was expected."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.japanese.areas import Areas, areas, check_digit, with_check_digit, without_check_digit
from kpi_warehouse.japanese.widths import Unreadable
from kpi_warehouse.settings import PROJECT

PREFECTURES, MUNICIPALITIES = areas(PROJECT, "prefectures"), areas(PROJECT, "municipalities")
LISTS = st.sampled_from([PREFECTURES, MUNICIPALITIES])
WIDE = {ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}


def test_the_lists_are_whole() -> None:
    assert len(PREFECTURES.names) == 47 and len(MUNICIPALITIES.names) == 45
    kinds = [name[-1] for name in MUNICIPALITIES.names.values()]
    assert [kinds.count(kind) for kind in "市町村"] == [14, 23, 8]


@given(st.data(), LISTS)
def test_code_and_name_are_each_other_s_inverse_in_any_width(data: st.DataObject, listed: Areas) -> None:
    code, name = data.draw(st.sampled_from(sorted(listed.names.items())))
    six = with_check_digit(code)
    forms = [
        name,
        f" {name}\u3000",
        unicodedata.normalize("NFKD", name),
        code,
        code.translate(WIDE),
        six,
        f"{code} {name}",
        f"{six}：{name}",
    ]
    for form in forms:
        assert listed.code(form) == code
    assert listed.name(code) == listed.name(six) == name
    assert without_check_digit(six) == code


@given(st.from_regex(r"[0-9]{5}", fullmatch=True), st.integers(1, 9))
def test_one_wrong_check_digit_is_told_with_the_right_one(code: str, off: int) -> None:
    right = check_digit(code)
    wrong = code + str((int(right) + off) % 10)
    with pytest.raises(Unreadable, match=f"検査数字 {right}（見つかったもの {wrong[5]}）"):
        without_check_digit(wrong)


@given(st.from_regex(r"[0-9]{5}", fullmatch=True), st.integers(0, 4), st.integers(1, 9))
def test_a_slip_in_one_digit_is_mostly_seen(code: str, place: int, off: int) -> None:
    slipped = code[:place] + str((int(code[place]) + off) % 10) + code[place + 1 :]
    # 11 is prime and no weight is a multiple of it; only the two remainders that both become 0 or 1 hide a slip.
    if check_digit(code) == check_digit(slipped):
        assert check_digit(code) in "01"


@pytest.mark.parametrize(
    ("listed", "text", "code"),
    [
        (MUNICIPALITIES, "阿蘇郡小国町", "43424"),
        (MUNICIPALITIES, "熊本県阿蘇郡南小国町", "43423"),
        (MUNICIPALITIES, "小国町", "43424"),
        (MUNICIPALITIES, "上益城郡 御船町", "43441"),
        (MUNICIPALITIES, "球磨郡あさぎり町", "43514"),
        (MUNICIPALITIES, "八代郡氷川町", "43468"),
        (MUNICIPALITIES, "熊本県熊本市", "43100"),
        (MUNICIPALITIES, "４３２０２", "43202"),
        (PREFECTURES, "東京", "13000"),
        (PREFECTURES, "熊本", "43000"),
        (PREFECTURES, "北海道", "01000"),
        (PREFECTURES, "京都", "26000"),
        # The zero that a spreadsheet dropped, with and without the check digit.
        (PREFECTURES, "1000", "01000"),
        (PREFECTURES, "10006", "01000"),
    ],
)
def test_spellings_that_people_use(listed: Areas, text: str, code: str) -> None:
    assert listed.code(text) == code


@pytest.mark.parametrize(
    ("listed", "text", "expected"),
    [
        (MUNICIPALITIES, "八代", "熊本県の市町村の名称（近いもの：八代市）"),
        (MUNICIPALITIES, "熊本市中央区", "熊本市の区は市町村ではない"),
        (MUNICIPALITIES, "長野県高森町", "長野県の同じ名前ではない"),
        (MUNICIPALITIES, "宮城県美里町", "宮城県の同じ名前ではない"),
        (MUNICIPALITIES, "43202 人吉市", "コード 43202 の名称「八代市」"),
        (MUNICIPALITIES, "432025", "検査数字 4（見つかったもの 5）"),
        (MUNICIPALITIES, "城南町", "熊本県の市町村の名称"),
        (MUNICIPALITIES, "43999", "熊本県の市町村のコード"),
        (MUNICIPALITIES, "", "熊本県の市町村の名称"),
        (PREFECTURES, "北海", "都道府県の名称（近いもの：北海道）"),
        (PREFECTURES, "東京圏", "都道府県の名称"),
        (PREFECTURES, "432", "都道府県のコード"),
        (PREFECTURES, "全国", "都道府県の名称"),
    ],
)
def test_what_is_no_area_or_two_is_refused_with_what_was_expected(
    listed: Areas, text: str, expected: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        listed.code(text)
    assert expected in refused.value.expected_ja and refused.value.text == text


@given(st.text(max_size=12), LISTS)
def test_any_other_text_is_refused_with_itself(text: str, listed: Areas) -> None:
    try:
        code = listed.code(text)
    except Unreadable as refused:
        assert refused.text == text and refused.expected_ja
    else:
        assert code in listed.names
