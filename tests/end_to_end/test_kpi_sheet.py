"""What a division may write into the KPI sheet: the row of a KPI says what its kind allows, or waits with the likely value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from division_files import Drop, rows

from kpi_warehouse import holds, load
from kpi_warehouse.settings import settings
from tests.kpi_sheet import Answer, filled_in

KPI = "kpi_progress"
Sheet = Mapping[str, Answer | list[Answer]]
# Honest figures of the plan's first two years, as divisions would send them in October.
R6: Sheet = {
    "K01": Answer(51.2, "R6年度"),
    "K03": Answer(63.4, "R6年度"),
    "K04": Answer(2110, "R6.4～R7.3", "累計"),
    "K05": Answer(742, "R6年度"),
    "K06": Answer(571, "R6年度"),
    "K07": Answer(2744, "R6年度"),
    "K08": Answer(17.9, "R6年度"),
    "K09": Answer(8, "R7.3月末", note="延長"),
    "K10": Answer(412, "R6年度"),
    "D08": Answer(262, "R3.11～R7.3月末", "累計"),
    "D15": Answer(31, "R7.3月末"),
}


@pytest.fixture
def sent(drop: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Send sheets on given days; the first one is that of R6, and all of it is taken."""
    numbers = iter(range(1, 100))

    def send(answers: Sheet, today: str = "2026-06-10") -> load.Published:
        monkeypatch.setenv("KPI_TODAY", today)
        settings.cache_clear()
        file = tmp_path / f"進捗管理シート{next(numbers)}.xlsx"
        file.write_bytes(filled_in(answers))
        drop(file)
        return load.run(KPI)

    first = send(R6, "2025-06-10")
    assert (first.opened_rows, first.held_rows) == (len(R6), 0)
    yield send
    settings.cache_clear()


def held() -> dict[str, tuple[str, str]]:
    return {one.row["kpi_code"]: (one.expectation, one.reason_ja) for one in holds.held_rows(KPI)}


@pytest.mark.parametrize(
    ("kpi", "answer", "rule", "said"),
    [
        ("K05", Answer("1,800億円", "R6.4～R8.3", "累計"), "period_fits_the_kind", "累計のKPIだけ"),
        ("K10", Answer("2,100万㎥", "R6.4～R8.3", "累計"), "period_fits_the_kind", "年度の値を書いてください"),
        ("K04", Answer(9000, "R3.4～R8.3", "累計"), "period_fits_the_kind", "累計の始まりは 2024年4月 です（見つかったもの：2021年4月）"),
        ("K04", Answer(2300, "R7年度"), "period_fits_the_kind", "累計の始まり"),
        ("K02", Answer(71, "R9年度"), "period_has_ended", "2028年3月31日）がまだ来ていません"),
        ("K06", Answer(590, "R8年度", "速報"), "period_has_ended", "まだ来ていません"),
        ("K07", Answer(2900, "2025年"), "period_fits_the_kind", "年度のKPIです。暦年の値"),
        ("K07", Answer(2900, "令和7年"), "period_fits_the_kind", "年度のKPIです。暦年の値"),
        ("K05", Answer(760, "R8.3月末"), "period_fits_the_kind", "年度のKPIです。時点の値"),
        ("K07", Answer(28_000_000, "R7年度"), "unit_slip", "2,800万人のことですか（前回 2,744、目標 3,000）"),
        ("K05", Answer(93_100_000_000, "R7年度"), "unit_slip", "931億円のことですか"),
        ("K08", Answer(180, "R7年度"), "unit_slip", "18km/hのことですか"),
        ("K03", Answer(0.71, "R7年度"), "unit_slip", "71%のことですか"),
        ("K06", Answer(59, "R7年度"), "unit_slip", "590人/年のことですか"),
        ("K04", Answer(43_500, "R6.4～R8.3", "累計"), "unit_slip", "4,350人のことですか"),
        ("K09", Answer(6, "R8.3月末", note="延長"), "stock_never_falls", "2025年3月31日の 8kmより減っています"),
        ("K04", Answer(2090, "R6.4～R8.3", "累計"), "stock_never_falls", "より減っています"),
        ("K09", Answer(12, "R6.3月末", note="延長"), "stock_never_falls", "より多くなっています"),
        ("K01", Answer(151.2, "R7年度"), "within_bounds", "0〜100%"),
        ("D15", Answer(54, "R8.3月末"), "within_bounds", "0〜45市町村"),
        ("K06", Answer("▲580", "R7年度"), "within_bounds", "0〜人/年"),
        ("K05", Answer(400, "R7年度（10月末現在）", "実績"), "open_year_is_not_final", "10月末までの値です"),
        ("K05", Answer(400, "R7.4～R7.10", "実績"), "period_fits_the_kind", "累計のKPIだけ"),
        ("K05", Answer(400, "R6.4～R7.10", "年度途中"), "period_fits_the_kind", "累計のKPIだけ"),
        ("K05", Answer(760, "R7年度", "年度途中"), "open_year_is_not_final", "いつまでの値か"),
        ("K05", Answer(742, "R7年度"), "not_copied", "前回（2025年3月まで）と同じ値"),
        ("K05", Answer(931, "R7年度"), "not_copied", "目標と同じ値です"),
        ("K03", Answer(36.4, "R7年度"), "like_the_year_before", "前回は 63.4%"),
        ("K05", Answer(2_750, "R7年度"), "like_the_year_before", "前回は 742億円（2025年3月まで）"),
    ],
)  # fmt: skip
def test_what_a_kpi_cannot_be_waits_for_its_owner(
    warehouse: str,
    sent: Callable[..., load.Published],
    kpi: str,
    answer: Answer,
    rule: str,
    said: str,
) -> None:
    honest = {"K08": Answer(18.1, "R7年度")} if kpi != "K08" else {"K06": Answer(588, "R7年度")}
    published = sent({kpi: answer, **honest})
    assert {key: name for key, (name, _) in held().items()} == {kpi: rule}
    assert said in held()[kpi][1]
    # The rows of the other KPIs are taken; of this one nothing but what was known.
    assert published.opened_rows == 1
    assert rows(warehouse, f"select count(*) from raw.{KPI} where kpi_code = '{kpi}'") == [(int(kpi in R6),)]


def test_a_part_of_a_year_may_be_written_as_divisions_do(
    warehouse: str, sent: Callable[..., load.Published]
) -> None:
    sheet = {
        "K05": Answer(400, "R7.4～R7.10", "年度途中"),
        "K06": Answer(310, "R7年度（10月末現在）", "年度途中"),
        "K07": Answer(1650, "R7.10月末", "年度途中"),
        "K10": Answer(200, "R7年度（10月末）"),
        "K01": Answer(53.0, "R7.10.31"),
        "K02": Answer(66, "R9年度", "予定"),
    }
    sent(sheet, "2025-11-10")
    assert set(held()) == {"K10"}  # a part that the sheet calls 実績


def test_two_targets_in_one_sheet_are_no_coincidence(sent: Callable[..., load.Published]) -> None:
    assert sent({"K08": Answer(20, "R7年度")}).held_rows == 0
    sent({"K07": Answer(3000, "R7年度"), "K10": Answer(1000, "R7年度"), "K06": Answer(580, "R7年度")})
    assert {kpi: rule for kpi, (rule, _) in held().items()} == {"K07": "not_copied", "K10": "not_copied"}


def test_a_value_in_the_row_of_another_kpi_is_named(sent: Callable[..., load.Published]) -> None:
    sent({"K05": Answer(575, "R7年度"), "K06": Answer(760, "R7年度"), "K10": Answer(430, "R7年度")})
    assert held() == {}  # two rows a third apart: nobody can tell
    sent({"K05": Answer(425, "R7年度"), "K10": Answer(751, "R7年度")}, "2026-07-10")
    said = held()
    assert set(said) == {"K05", "K10"}


def test_the_second_years_sheet_is_simply_taken(warehouse: str, sent: Callable[..., load.Published]) -> None:
    r7: Sheet = {
        "K01": Answer(52.8, "R7年度"),
        "K03": Answer(65.1, "R7年度"),
        "K04": Answer(4302, "R6.4～R8.3", "累計"),
        "K05": Answer(789, "R7年度"),
        "K06": Answer(590, "R7年度", "速報"),
        "K07": Answer(2801, "R7年度"),
        "K09": Answer(11, "R8.3月末", note="延長"),
        "D08": Answer(331, "R3.11～R8.3月末", "累計"),
        "D15": Answer(36, "R8.3月末"),
    }
    published = sent(r7)
    assert held() == {}
    assert (published.opened_rows, published.closed_rows) == (len(r7), 0)
    path = f"select value::integer from raw.{KPI} where kpi_code = 'K04' order by period_end"
    assert rows(warehouse, path) == [(2110,), (4302,)]

    # The same sheet with last year's rows repeated below changes nothing of them.
    both = {kpi: [answer, R6[kpi]] if kpi in R6 else answer for kpi, answer in r7.items()}
    assert sent(both, "2026-06-20").state == "unchanged"
    # A correction of last year waits for a word, and is a revision of that year only.
    corrected = sent({"K07": [Answer(2801, "R7年度"), Answer(2750, "R6年度")]}, "2026-07-01")
    assert (corrected.opened_rows, corrected.held_rows) == (0, 1)
    (waiting,) = holds.held_rows(KPI)
    assert waiting.expectation == "accepted_value_kept"
    holds.release(waiting.held_id, "交通政策課に確認した")
    known = f"select value::integer from raw.{KPI} where kpi_code = 'K07' and known_to = 'infinity' order by period"
    assert rows(warehouse, known) == [(2750,), (2801,)]
    # 速報 becomes final without a question, and no other row is touched.
    final = sent({"K06": Answer(596, "R7年度")}, "2026-08-01")
    assert (final.opened_rows, final.closed_rows, final.held_rows) == (1, 1, 0)


def test_a_question_ends_with_the_row_that_is_sent_instead(sent: Callable[..., load.Published]) -> None:
    sent({"K02": Answer(61, "R9年度"), "K07": Answer(2900, "2025年"), "K05": Answer(99_999, "R7年度")})
    assert set(held()) == {"K02", "K07", "K05"}
    sent({"K02": Answer(61, "R7年度"), "K07": Answer(2900, "R7年度"), "K06": Answer(580, "R7年度")})
    assert set(held()) == {"K05"}
