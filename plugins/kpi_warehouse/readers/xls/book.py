"""What the sheets of an xls share: styles of cells, texts of several fonts, the day that serials count from.

Source: [MS-XLS] 2.4.77 Date1904, 2.4.122 Font, 2.4.126 Format, 2.4.265 SST, 2.4.353 XF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import date

from kpi_warehouse.readers.grid import DAY_ZERO, DAY_ZERO_1904
from kpi_warehouse.readers.shown.built_in import BUILT_IN
from kpi_warehouse.readers.shown.cell_style import CellStyle
from kpi_warehouse.readers.shown.number_format import number_format
from kpi_warehouse.readers.shown.text_runs import Level, Run, says_more
from kpi_warehouse.readers.xls.records import (
    BIFF8,
    BOF,
    CONTINUE,
    PHONETIC,
    RICH,
    Continued,
    records,
    short_text,
)

_DATE1904, _CODEPAGE, _FONT, _FORMAT, _XF, _SST = 0x0022, 0x0042, 0x0031, 0x041E, 0x00E0, 0x00FC
_STRUCK = 0x0008
_LEVELS: dict[int, Level] = {1: "raised", 2: "lowered"}
# There is no font 4: it is left out of the numbers, by a mistake that is older than the format.
_NO_FONT = 4
_ENCODINGS = {932: "cp932", 1200: "utf-16-le", 1252: "cp1252", 65001: "utf-8"}


@dataclass(frozen=True)
class Font:
    """What a font says of the text it is used for."""

    struck: bool = False
    level: Level | None = None


@dataclass
class XlsBook:
    """What all sheets share.

    Args:
        styles: by the number that cells give.
        runs: of the shared texts in which a font says something, by the number of the text.
    """

    biff8: bool = True
    encoding: str = "cp932"
    day_zero: date = DAY_ZERO
    fonts: list[Font] = field(default_factory=list)
    styles: list[CellStyle] = field(default_factory=list)
    runs: dict[int, tuple[Run, ...]] = field(default_factory=dict)

    def font(self, number: int) -> Font:
        """The font that a style or a text names."""
        at = number - 1 if number > _NO_FONT else number
        return self.fonts[at] if 0 <= at < len(self.fonts) else Font()

    def runs_of(self, text: str, borders: list[tuple[int, int]]) -> tuple[Run, ...] | None:
        """A text cut where another font begins; None where no font in it says anything.

        Args:
            borders: where a font begins, in letters, and its number, in order.
        """
        if all(self.font(number) == Font() for _, number in borders):
            return None
        cuts = [(at, number) for at, number in borders if at < len(text)]
        parts = [Run(text[: cuts[0][0]])] if cuts and cuts[0][0] else []
        for position, (at, number) in enumerate(cuts):
            end = cuts[position + 1][0] if position + 1 < len(cuts) else len(text)
            font = self.font(number)
            parts.append(Run(text[at:end], font.struck, font.level))
        return tuple(parts) if says_more(parts) else None


def read_book(stream: bytes) -> XlsBook:
    """Read the first part of the stream.

    Raises:
        struct.error: a record ends in the middle.
    """
    found, codes = XlsBook(), dict(BUILT_IN)
    formats: list[tuple[int, int]] = []
    shared: list[bytes] = []
    previous = 0
    for kind, start, length in records(stream):
        data = stream[start : start + length]
        if kind == BOF:
            found.biff8 = struct.unpack_from("<H", data)[0] == BIFF8
        elif kind == _CODEPAGE:
            found.encoding = _ENCODINGS.get(struct.unpack_from("<H", data)[0], "cp932")
        elif kind == _DATE1904 and struct.unpack_from("<H", data)[0]:
            found.day_zero = DAY_ZERO_1904
        elif kind == _FONT:
            flags, level = struct.unpack_from("<2xH4xH", data)
            found.fonts.append(Font(bool(flags & _STRUCK), _LEVELS.get(level)))
        elif kind == _FORMAT:
            (number,) = struct.unpack_from("<H", data)
            codes[number], *_ = short_text(
                data, 2, biff8=found.biff8, encoding=found.encoding, count_bytes=2 if found.biff8 else 1
            )
        elif kind == _XF:
            formats.append(struct.unpack_from("<HH", data))
        elif kind == _SST or (kind == CONTINUE and previous == _SST):
            shared.append(data)
        previous = previous if kind == CONTINUE else kind
    found.styles = [_style(found, codes.get(code, ""), font) for font, code in formats]
    if shared:
        found.runs = _shared_runs(found, shared)
    return found


def _style(found: XlsBook, code: str, number: int) -> CellStyle:
    font = found.font(number)
    plain = code.strip().casefold() in ("", "general", "@")
    return CellStyle(None if plain else number_format(code), font.struck, font.level is not None)


def _shared_runs(found: XlsBook, pieces: list[bytes]) -> dict[int, tuple[Run, ...]]:
    """Texts that say something by a font, by number. Nothing else of the table is kept."""
    if not any(font != Font() for font in found.fonts):
        return {}
    reading, runs = Continued(pieces), {}
    reading.number("I")
    for number in range(reading.number("I")):
        count, flags = reading.number("H"), reading.number("B")
        borders = reading.number("H") if flags & RICH else 0
        phonetic = reading.number("I") if flags & PHONETIC else 0
        text = reading.letters(count, flags)
        cuts = [(reading.number("H"), reading.number("H")) for _ in range(borders)]
        reading.take(phonetic)
        if borders and (cut := found.runs_of(text, cuts)):
            runs[number] = cut
    return runs
