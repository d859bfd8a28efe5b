"""Texts of an xlsx whose parts have fonts of their own: those of sharedStrings.xml, and those inside a sheet.

Streamed: a table of shared texts may have a hundred megabytes, and hardly any of them says something by its font.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from kpi_warehouse.readers.shown.text_runs import Level, Run, says_more
from kpi_warehouse.readers.xlsx.tree import not_xml
from kpi_warehouse.readers.zip_parts import ZipParts

_PART = "xl/sharedStrings.xml"
_FONTS_THAT_SAY = re.compile(rb"vertAlign|strike")
# How a character that XML does not take is written: _x000D_.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LEVELS: dict[str, Level] = {"superscript": "raised", "subscript": "lowered"}

Runs = tuple[Run, ...]


def says_by_font(xml: bytes) -> bool:
    """Whether a part has any font that may matter."""
    return _FONTS_THAT_SAY.search(xml) is not None


def shared_runs(parts: ZipParts, part: str = _PART) -> dict[int, Runs]:
    """The shared texts that say something by a font, by their number.

    Raises:
        UnreadableFile: XML that is none.
    """
    if part not in parts:
        return {}
    xml = parts.read(part)
    if not says_by_font(xml):
        return {}
    reading = _SharedTexts()
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.runs.characters
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise not_xml(parts, part, error) from error
    return reading.found


class RunReading:
    """Collects the runs of one text (`si` or `is`) from the events of a parser; readings aloud (furigana) are left out."""

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._text: list[str] | None = None
        self._aloud = False
        self._font = False
        self._struck: bool | None = None
        self._level: Level | None = None

    def begin(self) -> None:
        """A text begins."""
        self.__init__()  # type: ignore[misc]

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag:
            case "r":
                self._struck = self._level = None
            case "rPr":
                self._font, self._struck = True, False
            case "rPh":
                self._aloud = True
            case "t":
                self._text = None if self._aloud else []
            case "strike" if self._font:
                self._struck = attributes.get("val", "1") not in ("0", "false", "off")
            case "vertAlign" if self._font:
                self._level = _LEVELS.get(attributes.get("val", ""))

    def end(self, tag: str) -> None:
        match tag:
            case "t" if self._text is not None:
                text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(self._text))
                self._runs.append(Run(text, self._struck, self._level))
                self._text = None
            case "rPr":
                self._font = False
            case "rPh":
                self._aloud = False
            case "r":
                self._struck = self._level = None

    def characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def finish(self) -> Runs | None:
        """The runs of the text that ends; None where no font in it says anything."""
        return tuple(self._runs) if says_more(self._runs) else None


class _SharedTexts:
    def __init__(self) -> None:
        self.found: dict[int, Runs] = {}
        self.runs = RunReading()
        self._number = -1

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition("}")[2]
        if tag == "si":
            self._number += 1
            self.runs.begin()
        else:
            self.runs.start(tag, attributes)

    def end(self, tag: str) -> None:
        tag = tag.rpartition("}")[2]
        if tag != "si":
            self.runs.end(tag)
        elif runs := self.runs.finish():
            self.found[self._number] = runs
