"""Numbers as divisions write them: what is read says exactly what was written, what is not read says where."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_warehouse.japanese.numbers import read_number, read_numbers
from kpi_warehouse.japanese.units import canonical_unit
from kpi_warehouse.japanese.widths import Unreadable, fold, search_key

WRITTEN = {
    "１，２３４": ("1234", None, None),
    "1,234人": ("1234", "人", None),
    "▲1,234": ("-1234", None, None),
    "△1,234": ("-1234", None, None),
    "(1,234)": ("-1234", None, None),
    "－1,234": ("-1234", None, None),
    "−1,234": ("-1234", None, None),
    "約200": ("200", None, "約"),
    "700人以上": ("700", "人", "以上"),
    "1,000人程度": ("1000", "人", "程度"),
    "多い月で約9,000件": ("9000", "件", "多い月で・約"),
    "平均7,000件／月": ("7000", "件/月", "平均"),
    "延べ２，１５５社": ("2155", "社", "延べ"),
    "４，７７０人（延べ）": ("4770", "人", "延べ"),
    "78人（予定）": ("78", "人", "予定"),
    "28.5億円": ("28.5", "億円", None),
    "3,000 万人": ("3000", "万人", None),
    "1,000 万㎥": ("1000", "万㎥", None),
    "1/2": ("0.5", None, None),
    "50％": ("50", "%", None),
    "３．５倍": ("3.5", "倍", None),
    "618人/年": ("618", "人/年", None),
    "8,300人/4年": ("8300", "人/4年", None),
    "２９８社・団体": ("298", "社・団体", None),
    "6市町村": ("6", "市町村", None),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_what_the_slides_write_is_read(text: str) -> None:
    value, unit, qualifier = WRITTEN[text]
    read = read_number(text)
    assert (read.value, read.unit, read.qualifier) == (Decimal(value), unit, qualifier)


def test_two_quantities_in_one_cell_keep_their_units() -> None:
    assert [(q.value, q.unit) for q in read_numbers("264組427名")] == [(264, "組"), (427, "名")]
    with pytest.raises(Unreadable, match="ひとつの数"):
        read_number("264組427名")


def test_large_units_are_kept_and_can_be_scaled() -> None:
    assert read_number("28.5億円").scaled == (Decimal("2850000000"), "円")
    assert read_number("3,000 万人").scaled == (Decimal("30000000"), "人")


NO_NUMBER = [
    "",
    " ",
    "12,34",
    "--5",
    "1.2.3",
    "abc",
    "約",
    "※",
    "1/0",
    "(5",
    "5)",
    "▲(5)",
    "1,2345",
    "0,123",
    "(5〕",
]
TWO_NUMBERS = [
    f"12{blank}345" for blank in (" ", "\n", "\t", "\u00a0", "\u2009", "\u202f", "\u3000", "\u200b", "\u2060")
]
MARKED = ["234①", "56²", "75⑴", "12₂", "3½", "Ⅳ", "12Ⅳ", "⒈5", "❸", "٣٤", "1⁄2"]


@pytest.mark.parametrize("text", [*NO_NUMBER, *TWO_NUMBERS, *MARKED])
def test_what_is_no_number_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_numbers(text)
    assert caught.value.text == text
    assert 0 <= caught.value.position <= max(0, len(text) - 1)
    assert caught.value.expected_ja


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["", "人", "市町村", "件/月"]), st.sampled_from("-▲△－−")
)
def test_every_written_number_comes_back(number: int, unit: str, minus: str) -> None:
    written = f"{minus if number < 0 else ''}{abs(number):,}{unit}"
    wide = written.translate(str.maketrans("0123456789,", "０１２３４５６７８９，"))
    for text in (written, wide):
        read = read_number(text)
        assert (read.value, read.unit) == (number, unit or None)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        assert read_numbers(text)
    except Unreadable as error:
        assert error.text == text
        assert 0 <= error.position <= max(0, len(text) - 1)


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_one_unit_in_its_many_dresses() -> None:
    assert {canonical_unit(text) for text in ("㎥", "m3", "ｍ３", "立方メートル")} == {"㎥"}
    assert canonical_unit("万㎥") == "万㎥"
    assert canonical_unit("％") == "%"
    assert canonical_unit("名") != canonical_unit("人")


def test_spellings_of_one_word_are_one_key() -> None:
    assert search_key("空き家の取り組み") == search_key("空家 の取組み")
    assert search_key("インターシップ") == search_key("インターンシップ")
