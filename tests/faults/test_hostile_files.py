"""Damaged and hostile files, two hundred of each kind: read, or refused with a reason, never anything else.

Mutations are drawn from a fixed seed, so a failure names the mutant that shows it again. FUZZ_FILES sets how many each
reader gets (the nightly run takes 100,000); the counts are printed.
"""

from __future__ import annotations

import io
import os
import random
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kpi_warehouse.errors import UnreadableFile
from kpi_warehouse.readers.delimited import read_delimited
from kpi_warehouse.readers.grid import Book
from kpi_warehouse.readers.json_records import read_json
from kpi_warehouse.readers.workbook import read_workbook

sys.path.append(str(Path(__file__).parents[1] / "unit"))
import workbook_files as files
from forking_reader import Used, forking_reader

FILES = int(os.environ.get("FUZZ_FILES", "200"))
# Of processor time, the readers' child processes included: other work on the machine does not count.
SLOWEST_S = 2.0
# Cells looked at in each book: building them must not fail either, and all of a large one would only cost time.
LOOKED_AT = 2000
TOKENS = (
    b"\x00",
    b"\xff" * 4,
    b"<",
    b'"',
    b"999999999",
    b"-1",
    b"\r",
    "㈱".encode("cp932"),
    b"/>",
    b"\x7f\xff\xff\xff",
)

Mutate = Callable[[random.Random, bytes], bytes]


def rich_xlsx() -> bytes:
    def fill(sheet: object) -> None:
        for row in range(12):
            sheet.append(["区分", row, row / 7, f"=B{row + 1}*2", "①㈱"])  # type: ignore[attr-defined]
        sheet.merge_cells("A1:B2")  # type: ignore[attr-defined]
        sheet.row_dimensions[5].hidden = True  # type: ignore[attr-defined]

    return files.xlsx(fill)


CSV = '区分,5月,備考\r\n大阪圏,"1,234","改行\r\nあり"\r\n福岡県,▲５,①㈱髙\r\n'.encode("cp932") * 8
JSON = '{"as_of": "2024-10-31", "records": [{"名": "LINE", "数": 7620, "率": 0.5, "x": {"y": [1, null, true]}}]}'.encode()


def damage(chance: random.Random, body: bytes) -> bytes:
    """One to four of: bits flipped, a piece cut out, doubled, moved, overwritten, the end cut off."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        size = min(chance.choice((1, 2, 8, 64, 512)), len(changed))
        piece = bytes(changed[at : at + size])
        match chance.randrange(7):
            case 0:
                for _ in range(chance.choice((1, 1, 4, 32))):
                    if changed:
                        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = piece * chance.choice((1, 2, 16))
            case 4:
                other = chance.randrange(len(changed) + 1)
                changed[other : other + size] = piece
            case 5:
                changed[at : at + size] = chance.randbytes(size)
            case _:
                changed[at:at] = chance.choice(TOKENS)
    return bytes(changed)


def damage_inside(chance: random.Random, body: bytes) -> bytes:
    """A zip that is whole, with one of its parts damaged: what checksums do not see."""
    with zipfile.ZipFile(io.BytesIO(body)) as made:
        part = chance.choice([name for name in made.namelist() if name.endswith((".xml", ".rels"))])
    return files.repacked(body, {part: lambda content: damage(chance, content)})


def as_csv(body: bytes, name: str) -> Book:
    return read_delimited(body, name, encoding=None, delimiter=None)


def as_json(body: bytes, name: str) -> Book:
    return read_json(body, name, "/records")


@pytest.mark.timeout(FILES * 2 + 60)
@pytest.mark.parametrize(
    ("name", "body", "read", "mutate"),
    [
        pytest.param("壊れた.xlsx", rich_xlsx(), read_workbook, damage, id="xlsx"),
        pytest.param("壊れた.xlsx", rich_xlsx(), read_workbook, damage_inside, id="xlsx-inside"),
        pytest.param("壊れた.xls", files.xls(), read_workbook, damage, id="xls"),
        pytest.param("壊れた.ods", files.ods(), read_workbook, damage, id="ods"),
        pytest.param("壊れた.ods", files.ods(), read_workbook, damage_inside, id="ods-inside"),
        pytest.param("壊れた.xlsx", files.shown_xlsx(), read_workbook, damage_inside, id="xlsx-shown"),
        pytest.param("壊れた.xls", files.shown_xls(), read_workbook, damage, id="xls-shown"),
        pytest.param("壊れた.ods", files.shown_ods(), read_workbook, damage_inside, id="ods-shown"),
        pytest.param("壊れた.csv", CSV, as_csv, damage, id="csv"),
        pytest.param("壊れた.json", JSON, as_json, damage, id="json"),
    ],
)
def test_every_mutant_is_read_or_refused(
    name: str,
    body: bytes,
    read: Callable[[bytes, str], Book],
    mutate: Mutate,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts: Counter[str] = Counter()
    assert read(body, name).sheets  # by a process of its own; the mutants by forks of one
    with forking_reader() as used:
        assert read(body, name).sheets
        assert used.seconds or name.endswith((".csv", ".json"))
        slowest = read_all(body, name, read, mutate, counts, used)
    with capsys.disabled():
        print(f"\n{name}: {FILES} mutants, slowest {slowest * 1000:.0f} ms, {dict(counts.most_common())}")


def read_all(
    body: bytes,
    name: str,
    read: Callable[[bytes, str], Book],
    mutate: Mutate,
    counts: Counter[str],
    used: Used,
) -> float:
    """Read every mutant and count what became of it; seconds of processor time that the slowest took."""
    slowest = 0.0
    for seed in range(FILES):
        mutant = mutate(random.Random(seed), body)
        started = sum(os.times()[:4]) + used.seconds
        try:
            book = read(mutant, name)
            for sheet in book.sheets:
                for row in sheet.rows[: LOOKED_AT // 10]:
                    assert all(
                        cell.place
                        and (cell.text or cell.value in (None, "") or (cell.seen and cell.seen.doubt))
                        for cell in row
                    )
            counts["read"] += 1
        except UnreadableFile as error:
            assert name in error.message_ja and error.code.startswith("file.")
            counts[error.code] += 1
        except BaseException as error:
            pytest.fail(f"mutant {seed}: {type(error).__name__}: {error}")
        taken = sum(os.times()[:4]) + used.seconds - started
        slowest = max(slowest, taken)
        assert taken < SLOWEST_S, f"mutant {seed} took {taken:.1f} s"
    return slowest
