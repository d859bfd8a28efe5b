"""One page of e-Stat getStatsData JSON → typed, located rows in PostgreSQL's COPY text format.

The axis codes of the contract become closed lists of the decoder, so an unknown code, a changed unit or a missing axis
is found while decoding, with its place in the page, at no extra cost. Values are strings in e-Stat (`"$": "1234"`); each
distinct text is looked at once per page: a number becomes the value, anything else stays as its mark.

A page is decoded in pieces of a few hundred rows that stay in the processor's cache; as a whole its 11 MB of text and as
much again of objects cost half of the time in page faults. A page whose text is laid out in another way than e-Stat's is
decoded as a whole.

Handled: the axes of the contract, `@time`, `@unit`, `$`. Ignored by name: `@annotation` (it repeats the NOTE of the mark)
and `@tab` where the contract names no such axis (tables with one 表章項目).

Source: e-Stat API 3.0 specification, getStatsData.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import msgspec

from kpi_warehouse.contract import Contract, estat_source
from kpi_warehouse.errors import UnreadableValue

# A longer number does not fit the column: it is kept as text and held by the gate, not cut.
NUMBER = {
    "integer": re.compile(r"-?[0-9]{1,9}"),
    "bigint": re.compile(r"-?[0-9]{1,18}"),
    "numeric": re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?"),
}
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
# What msgspec says: "Object missing required field `@area` - at `$.….VALUE[1]`", "Invalid … - at `$.….VALUE[1].@area`".
_PLACE = re.compile(r"(?:field `(?P<missing>[^`]+)`.*)?VALUE(?:\[(?P<row>\d+)\])?(?:\.(?P<name>[^`]+))?`")

# How the rows of a page begin and how two of them meet, as e-Stat writes JSON: without spaces.
_ROWS, _BETWEEN = b'"VALUE":[', b"},{"
# What closes a page behind its rows: VALUE, DATA_INF, STATISTICAL_DATA, GET_STATS_DATA and the root.
_CLOSED = b"]}}}}"


@dataclass(frozen=True)
class RowBlock:
    """Some rows of a page, in the order served, as COPY text (columns of `Contract.stage_columns`)."""

    copy_text: bytes
    rows: int


class PageReader:
    """Reads the pages of one pull. Build it once per load: the decoder is compiled from contract and periods.

    Args:
        contract: the feed's contract.
        periods: first days of the periods asked for; any other time code in the answer is an error.
    """

    def __init__(self, contract: Contract, periods: Iterable[date]) -> None:
        self.contract = contract
        cycle = estat_source(contract).cycle
        # Without dashes the server reads a date in two thirds of the time.
        self._dates = {cycle.code(period): f"{period:%Y%m%d}" for period in periods}
        self._names = {"@time": contract.period.label_ja, "@unit": "単位", "$": contract.value.label_ja}
        fields: list[tuple[str, Any, Any]] = [
            ("time", Literal[tuple(self._dates)], msgspec.field(name="@time")),
            ("value", str, msgspec.field(name="$")),
        ]
        for axis in contract.axes:
            source = f"@{axis.source_name}"
            self._names[source] = axis.label_ja
            fields.append((axis.name, Literal[tuple(axis.codes)], msgspec.field(name=source)))
        self._units = {axis.name: axis.units for axis in contract.axes if axis.units}
        if contract.value.unit or self._units:
            unit = Literal[contract.value.unit] if contract.value.unit else str
            fields.append(("unit", unit | None, msgspec.field(name="@unit", default=None)))
        # gc=False: values hold no references that could form a cycle, and tracking 100,000 of them costs a third.
        value: Any = msgspec.defstruct("Value", fields, gc=False)
        data = msgspec.defstruct(
            "DataInf", [("VALUE", list[value] | value, msgspec.field(default_factory=list))]
        )
        body = msgspec.defstruct("StatisticalData", [("DATA_INF", data | None, None)])
        root = msgspec.defstruct("GetStatsData", [("STATISTICAL_DATA", body | None, None)])
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Page", [("GET_STATS_DATA", root)])
        )
        self._rows_decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[value])
        self._number = NUMBER[contract.value.sql_type]
        self._format = _row_formatter([axis.name for axis in contract.axes])

    def read(self, text: Callable[[], Iterable[bytes]], page: int) -> Iterator[RowBlock]:
        """Decode one page.

        Args:
            text: gives the JSON text of the page (inflated) in pieces of any size, as often as it is called.
            page: number of the page within the load, from 1; kept with every row.

        Raises:
            UnreadableValue: not JSON, an unknown code, a changed unit, a missing axis; with page, row and text.
        """
        done, last, fragments = 0, None, _Fragments(self._number, page)
        try:
            for values in self._pieces(text()):
                yield self._block(values, fragments)
                done, last = done + len(values), values[-1]
        except (msgspec.DecodeError, UnicodeDecodeError, _OtherLayoutError):
            # Either the page is wrong, which the whole says with its place, or it is only laid out in another way.
            values = self._whole(b"".join(text()), page)
            if done and (len(values) < done or values[done - 1] != last):
                raise UnreadableValue(
                    f"{self.contract.title_ja}：ページ{page}には VALUE が二つあります。", "reader.shape"
                ) from None
            if values[done:]:
                yield self._block(values[done:], fragments)

    def _block(self, values: list[Any], fragments: _Fragments) -> RowBlock:
        for axis, units in self._units.items():
            # Each pair once: a table has few codes with a unit of their own.
            for code, unit in {(getattr(value, axis), value.unit) for value in values}:
                if unit is not None and unit != units.get(code, unit):
                    raise UnreadableValue(
                        f"{self.contract.title_ja}：{axis} {code} の単位（@unit）：見つかったもの「{unit}」、"
                        f"期待「{units[code]}」（{self.contract.path.name}）。",
                        "reader.unit",
                    )
        return RowBlock(self._format(values, self._dates, fragments).encode(), len(values))

    def _pieces(self, text: Iterable[bytes]) -> Iterator[list[Any]]:
        """The rows of a page, piece by piece. No row is given before the head proves that the rows belong to VALUE.

        Raises:
            _OtherLayoutError: the rows, or their end, are not where e-Stat has them.
            msgspec.DecodeError: a piece is no list of rows.
        """
        coming, head = iter(text), b""
        while (at := head.find(_ROWS)) < 0:
            piece = next(coming, None)
            if piece is None:
                raise _OtherLayoutError
            head += piece
        begun = at + len(_ROWS)
        head, left = head[: begun - 1], head[begun:]
        self._prove_frame(head + b"[" + _CLOSED)
        for piece in coming:
            border = piece.rfind(_BETWEEN)
            if border < 0:
                left += piece
                continue
            yield self._rows_decoder.decode(b"".join((b"[", left, piece[: border + 1], b"]")))
            left = piece[border + 2 :]
        end = left.rfind(b"}]") + 1
        if not end:
            raise _OtherLayoutError
        values = self._rows_decoder.decode(b"".join((b"[", left[:end], b"]")))
        self._prove_frame(head + b"[" + left[end:])
        yield values

    def _prove_frame(self, text: bytes) -> None:
        """What stands around the rows must be a whole page whose VALUE is where the rows were taken from."""
        answer = self._decoder.decode(text).GET_STATS_DATA.STATISTICAL_DATA
        if answer is None or answer.DATA_INF is None or answer.DATA_INF.VALUE != []:
            raise _OtherLayoutError

    def _whole(self, body: bytes, page: int) -> list[Any]:
        """Every row of a page, whatever its layout."""
        try:
            answer = self._decoder.decode(body).GET_STATS_DATA.STATISTICAL_DATA
        except msgspec.ValidationError as error:
            raise self._unreadable(body, page, str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableValue(
                f"{self.contract.title_ja}：ページ{page}が JSON として読めません（{error}）。途中で切れた可能性があります。",
                "reader.not_json",
            ) from error
        if answer is None or answer.DATA_INF is None:
            return []
        values = answer.DATA_INF.VALUE
        return values if isinstance(values, list) else [values]  # a single element comes as an object

    def _unreadable(self, body: bytes, page: int, problem: str) -> UnreadableValue:
        """Name the row and text that the decoder stumbled over; only now is the page read a second time."""
        place = _PLACE.search(problem)
        if place is None:
            return UnreadableValue(
                f"{self.contract.title_ja}：ページ{page}の形が e-Stat の仕様と違います（{problem}）。",
                "reader.shape",
            )
        row, name = int(place["row"] or 0), place["missing"] or place["name"] or ""
        values = json.loads(body)["GET_STATS_DATA"]["STATISTICAL_DATA"]["DATA_INF"]["VALUE"]
        cell = (values if isinstance(values, list) else [values])[row]
        found = cell.get(name)
        return UnreadableValue(
            f"{self.contract.title_ja}：ページ{page}の{row + 1}件目 {self._names.get(name, name)}（{name}）："
            f"見つかったもの「{'（なし）' if found is None else found}」、期待：契約に挙げた値"
            f"（{self.contract.path.name}）。行全体：{json.dumps(cell, ensure_ascii=False)}",
            "reader.unknown_code" if found is not None else "reader.missing_axis",
        )


class _OtherLayoutError(Exception):
    """The text of a page is not laid out as e-Stat does it; it may be sound all the same."""


class _Fragments(dict[str, str]):
    """Text of a value → its COPY fragment `value, mark, page`; each distinct text is judged once."""

    def __init__(self, number: re.Pattern[str], page: int) -> None:
        super().__init__()
        self._number, self._page = number, page

    def __missing__(self, text: str) -> str:
        if self._number.fullmatch(text):
            fragment = f"{text}\t\\N\t{self._page}"
        else:
            fragment = f"\\N\t{text.translate(_COPY_ESCAPES)}\t{self._page}"
        self[text] = fragment
        return fragment


def _row_formatter(axes: list[str]) -> Any:
    """A function that writes rows of this shape; one f-string per row is the fastest way Python has."""
    cells = "\\t".join(["{dates[v.time]}", *(f"{{v.{axis}}}" for axis in axes), "{fragments[v.value]}"])
    # The names are column names of a checked contract ([a-z0-9_]+), never text of a source.
    return eval(f"lambda values, dates, fragments: ''.join([f'{cells}\\n' for v in values])")  # noqa: S307
