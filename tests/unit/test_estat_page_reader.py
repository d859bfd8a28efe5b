"""A page of getStatsData is read in pieces; what comes out depends on what it says, not on where it is cut."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from kpi_warehouse.errors import UnreadableValue
from kpi_warehouse.load import contract_of
from kpi_warehouse.readers.estat_json import PageReader

FLOWS = contract_of("estat_migration_flow_monthly")
COMPACT = (",", ":")


def cell(value: str, area: str = "02000", **others: str) -> dict[str, str]:
    return {
        "@cat01": "01000",
        "@cat02": "0",
        "@area": area,
        "@time": "2024000909",
        "@unit": "人",
        **others,
        "$": value,
    }


def page(values: object, separators: tuple[str, str] = COMPACT, **around: object) -> bytes:
    data = {"NOTE": {"@char": "-", "$": "該当なし"}, "VALUE": values, **around}
    answer = {"RESULT": {"STATUS": 0}, "STATISTICAL_DATA": {"RESULT_INF": {}, "DATA_INF": data}}
    return json.dumps({"GET_STATS_DATA": answer}, separators=separators).encode()


def read(text: bytes, size: int) -> tuple[str, int]:
    """The rows as COPY text, and their number, of a page that comes in pieces of `size` bytes."""

    def pieces() -> Iterator[bytes]:
        return (text[at : at + size] for at in range(0, len(text), size))

    blocks = list(PageReader(FLOWS, [date(2024, 9, 1)]).read(pieces, 7))
    return b"".join(block.copy_text for block in blocks).decode(), sum(block.rows for block in blocks)


THREE = [cell("32"), cell("-", "01000"), cell("1204", "03000")]
THREE_ROWS = (
    "20240901\t01000\t0\t02000\t32\t\\N\t7\n"
    "20240901\t01000\t0\t01000\t\\N\t-\t7\n"
    "20240901\t01000\t0\t03000\t1204\t\\N\t7\n"
)


@pytest.mark.parametrize("size", [1, 7, 64, 200, 100_000])
def test_rows_do_not_depend_on_where_the_text_is_cut(size: int) -> None:
    assert read(page(THREE), size) == (THREE_ROWS, 3)


@pytest.mark.parametrize(
    "text",
    [
        page(THREE, (", ", ": ")),
        page(THREE, INF={"after": [{"the": "rows"}]}),
        page(THREE).replace(b'"DATA_INF":', b'"OTHER":{"VALUE":[{"a":1},{"a":2}]},"DATA_INF":'),
        page(THREE) + b"\n",
    ],
    ids=["spaces", "more behind the rows", "another VALUE before", "a line end"],
)
@pytest.mark.parametrize("size", [50, 100_000])
def test_another_layout_of_the_same_page_gives_the_same_rows(text: bytes, size: int) -> None:
    assert read(text, size) == (THREE_ROWS, 3)


def test_a_single_element_comes_as_an_object() -> None:
    assert read(page(cell("32")), 100) == ("20240901\t01000\t0\t02000\t32\t\\N\t7\n", 1)


@pytest.mark.parametrize("values", [[], THREE[:0]])
def test_a_page_without_rows_gives_none(values: list[dict[str, str]]) -> None:
    assert read(page(values), 100) == ("", 0)
    assert read(b'{"GET_STATS_DATA":{"RESULT":{"STATUS":1},"STATISTICAL_DATA":{"RESULT_INF":{}}}}', 9) == (
        "",
        0,
    )


@pytest.mark.parametrize("size", [1, 60, 100_000])
def test_a_mark_that_looks_like_the_border_of_two_rows_stays_a_mark(size: int) -> None:
    text, rows = read(page([cell("1"), cell('},{"$":"2"}]}'), cell("3")]), size)
    assert rows == 3
    assert [line.split("\t")[4:6] for line in text.splitlines()] == [
        ["1", "\\N"],
        ["\\N", '},{"$":"2"}]}'],
        ["3", "\\N"],
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (cell("5", "99000"), "移動後の住所地（@area）：見つかったもの「99000」"),
        (cell("5", **{"@unit": "世帯"}), "単位（@unit）：見つかったもの「世帯」"),
        (
            {name: code for name, code in cell("5").items() if name != "@cat02"},
            "性別（@cat02）：見つかったもの「（なし）」",
        ),
    ],
)
def test_a_row_that_the_contract_does_not_know_is_named_with_its_place(
    wrong: dict[str, str], said: str
) -> None:
    rows = [cell(str(number)) for number in range(50)]
    with pytest.raises(UnreadableValue, match=r"ページ7の42件目") as error:
        read(page([*rows[:41], wrong, *rows[42:]]), 300)
    assert said in error.value.message_ja


@pytest.mark.parametrize("kept", [30, 400, 600])
def test_a_page_cut_off_is_no_page(kept: int) -> None:
    text = page([cell(str(number)) for number in range(20)])
    with pytest.raises(UnreadableValue, match="JSON として読めません"):
        read(text[:kept], 100)


def test_rows_behind_a_second_list_are_refused() -> None:
    text = page(THREE).replace(b"]}}}}", b'],"VALUE":[' + json.dumps(cell("9")).encode() + b"]}}}}")
    assert read(text, 100_000)[1] == 1, "of two lists of one name JSON takes the last"
    with pytest.raises(UnreadableValue):
        read(text, 150)


def test_a_decimal_is_a_number_where_the_contract_says_so_and_a_mark_where_it_counts_persons() -> None:
    numeric = replace(
        FLOWS, columns=tuple(replace(c, sql_type="numeric") if c.marks else c for c in FLOWS.columns)
    )
    for contract, cells in ((numeric, "1.60\t\\N"), (FLOWS, "\\N\t1.60")):
        (block,) = PageReader(contract, [date(2024, 9, 1)]).read(lambda: iter([page([cell("1.60")])]), 1)
        assert cells in block.copy_text.decode()


def test_a_unit_that_belongs_to_a_code_is_held_against_that_code() -> None:
    columns = tuple(
        replace(c, units={"02000": "千人"}) if c.source_name == "area" else replace(c, unit=None)
        for c in FLOWS.columns
    )
    reader = PageReader(replace(FLOWS, columns=columns), [date(2024, 9, 1)])
    fine = [cell("1", **{"@unit": "千人"}), cell("2", area="03000", **{"@unit": "世帯"})]
    assert sum(block.rows for block in reader.read(lambda: iter([page(fine)]), 1)) == 2
    with pytest.raises(UnreadableValue, match=r"area_code 02000 の単位.*「人」.*「千人」"):
        list(reader.read(lambda: iter([page([cell("1")])]), 1))
