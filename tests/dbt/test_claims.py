"""What `kpi claims check` says of the slides' own sentences; expected: `figures/seed_claims.csv`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi_warehouse.claims import check, read
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import PROJECT

OPEN = {"C15", "C18", "C19", "C23", "C38"}
DEPARTMENTAL = {"C14", "C14-2", "C33", "C33-2", "C35", "C36", "C42", "C45", "C48"}
SLIDES = PROJECT / "demo" / "claims" / "slides.yaml"
PUBLISHED = pytest.mark.usefixtures("published")


def write(tmp_path: Path, number: str, query: str = "select 0", quote: str = "") -> Path:
    file = tmp_path / "claims.yaml"
    file.write_text(
        f"claims:\n  - id: X\n    quote: '{quote or number}'\n    number: '{number}'\n    query: {query}\n",
        "utf-8",
    )
    return file


@PUBLISHED
def test_the_sentences_of_the_slides_get_their_known_verdicts() -> None:
    found = {one.claim.claim_id: (one.verdict, one.found_ja) for one in check(SLIDES)}
    assert {name for name, (verdict, _) in found.items() if verdict == "✗"} == {"C09", "C12"}
    assert found["C12"][1] == "1,247"
    assert found["C09"][1] == "165"
    # What divisions report has not arrived here; tests/end_to_end/test_slides.py checks it with their files.
    assert {name for name, (verdict, _) in found.items() if verdict == "要確認"} == OPEN | DEPARTMENTAL
    assert len(found) == 33


@PUBLISHED
@pytest.mark.parametrize(
    ("number", "value", "verdict"),
    [
        ("約1,300人", "1250", "✓"),
        ("約1,300人", "1349", "✓"),
        ("約1,300人", "1350", "✗"),
        ("約1,300人", "1249", "✗"),
        ("1,300人", "1301", "✗"),
        ("約1.2倍", "1.16", "✓"),
        ("約1.2倍", "1.26", "✗"),
        ("▲56人", "-56", "✓"),
        ("▲56人", "56", "✗"),
        ("2,000人以上", "2500", "✓"),
        ("2,000人以上", "1999", "✗"),
        ("約3,000～4,000名", "3900", "✓"),
        ("約3,000～4,000名", "4600", "✗"),
        ("5件", "null::integer", "要確認"),
    ],
)
def test_words_of_rounding_have_their_bounds(tmp_path: Path, number: str, value: str, verdict: str) -> None:
    [one] = check(write(tmp_path, number, f"select {value}"))
    assert one.verdict == verdict


@PUBLISHED
def test_a_query_can_change_nothing(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="X：query を実行できません"):
        check(write(tmp_path, "5件", "delete from marts.dim_status returning 5"))


def test_a_number_that_is_not_in_the_prose_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="の中にありません"):
        read(write(tmp_path, "5件", quote="6件"))
