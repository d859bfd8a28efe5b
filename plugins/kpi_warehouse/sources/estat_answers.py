"""What an answer of the e-Stat API says: whether it is whole, what it answers, and the few parts the
client needs.

One element comes as an object, several as an array; TITLE and DESCRIPTION come as text or as an object;
numbers come as numbers or as text. All of that is smoothed here and nowhere else. The values of a page
are not decoded: of 11 MB only the first kilobytes are looked at, the rest is inflated once to prove its
checksum and let go.

Source: e-Stat API 3.0 specification, and answers seen that go beyond it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec
from isal import isal_zlib
from isal.igzip_lib import IsalError

GZIP_WBITS = 31
# RESULT to TABLE_INF take about 2 KB; a long DESCRIPTION or an unasked CLASS_INF still fits.
HEAD_BYTES = 262_144
_STEP_BYTES = 1 << 20
_TAIL_BYTES = 64
_DATA = b'"DATA_INF"'
# Where a page ends in the order served: VALUE, DATA_INF, STATISTICAL_DATA, GET_STATS_DATA and the root close.
# A page cut anywhere cannot end like this, because no other place lies as deep.
_ENDS = (b"]}}}}", b"}}}}}")


class DamagedError(Exception):
    """The bytes are no complete gzip stream, or no complete JSON."""


class ForeignError(Exception):
    """JSON, but not of the e-Stat API."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer as received. A good one has `content_encoding` None or `gzip`; `retry_after` in
    seconds.
    """

    body: bytes
    content_encoding: str | None
    http_status: int
    retry_after: float | None = None

    def text(self) -> bytes:
        """The body, inflated."""
        return inflate(self.body, self.content_encoding)


@dataclass(frozen=True)
class Head:
    """What an answer says of itself; the numbers are those of getStatsData, None or 0 where it has none."""

    status: int = 0
    message: str = ""
    table_id: str = ""
    total_number: int | None = None
    from_number: int = 0
    to_number: int = 0
    next_key: int | None = None
    updated_on: str = ""


@dataclass(frozen=True)
class Code:
    """One code of an axis. `parent` may name a code that the axis does not have."""

    name: str
    level: str = ""
    unit: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Axis:
    """One axis of a table: its name and its codes, in the order served."""

    name: str
    codes: dict[str, Code]


@dataclass(frozen=True)
class TableMeta:
    """A table as it describes itself. `axes` is keyed by axis id (`tab`, `cat01`, `area`, `time`), as
    served.
    """

    table_id: str
    title: str
    stats_code: str
    stats_name: str
    updated_on: date | None
    axes: dict[str, Axis] = field(default_factory=dict)


@dataclass(frozen=True)
class TableEntry:
    """A table in a listing."""

    table_id: str
    title: str
    stats_code: str
    updated_on: date | None


class _Labelled(msgspec.Struct):
    code: str = msgspec.field(name="@code", default="")
    text: str | int = msgspec.field(name="$", default="")


class _Result(msgspec.Struct):
    STATUS: int | str
    ERROR_MSG: str | None = None


class _Numbers(msgspec.Struct):
    TOTAL_NUMBER: int | str | None = None
    FROM_NUMBER: int | str | None = None
    TO_NUMBER: int | str | None = None
    NEXT_KEY: int | str | None = None


class _Table(msgspec.Struct):
    id: str = msgspec.field(name="@id", default="")
    STAT_NAME: _Labelled | str | int | None = None
    TITLE: _Labelled | str | int | None = None
    UPDATED_DATE: str | int | None = None


class _Statistics(msgspec.Struct):
    RESULT_INF: _Numbers | None = None
    TABLE_INF: _Table | None = None


class _Answer(msgspec.Struct):
    RESULT: _Result
    STATISTICAL_DATA: _Statistics | str | None = None


class _AnyAnswer(msgspec.Struct):
    GET_STATS_DATA: _Answer | None = None
    GET_META_INFO: _Answer | None = None
    GET_STATS_LIST: _Answer | None = None


class _Class(msgspec.Struct):
    code: str = msgspec.field(name="@code")
    name: str | int = msgspec.field(name="@name", default="")
    level: str | int = msgspec.field(name="@level", default="")
    unit: str | None = msgspec.field(name="@unit", default=None)
    parent: str | None = msgspec.field(name="@parentCode", default=None)


class _ClassObj(msgspec.Struct):
    id: str = msgspec.field(name="@id")
    name: str | int = msgspec.field(name="@name", default="")
    CLASS: list[_Class] | _Class | None = None


class _ClassInf(msgspec.Struct):
    CLASS_OBJ: list[_ClassObj] | _ClassObj | None = None


class _MetadataInf(msgspec.Struct):
    TABLE_INF: _Table
    CLASS_INF: _ClassInf


class _Metadata(msgspec.Struct):
    METADATA_INF: _MetadataInf


class _MetaInfo(msgspec.Struct):
    GET_META_INFO: _Metadata


class _ListingInf(msgspec.Struct):
    RESULT_INF: _Numbers | None = None
    TABLE_INF: list[_Table] | _Table | None = None


class _Listing(msgspec.Struct):
    DATALIST_INF: _ListingInf | str | None = None


class _StatsList(msgspec.Struct):
    GET_STATS_LIST: _Listing


_HEAD = msgspec.json.Decoder(_AnyAnswer)
_META = msgspec.json.Decoder(_MetaInfo)
_LISTING = msgspec.json.Decoder(_StatsList)


def inflate(body: bytes, content_encoding: str | None) -> bytes:
    """The text behind received bytes; `content_encoding` is None or `gzip`."""
    return isal_zlib.decompress(body, GZIP_WBITS) if content_encoding == "gzip" else body


def both_ends(reply: Reply) -> tuple[bytes, bytes]:
    """The first `HEAD_BYTES` of the text and its last few, after the whole has proved its checksum.

    Raises:
        DamagedError: the gzip stream is cut, fails its checksum, or goes on behind its end.
    """
    if reply.content_encoding != "gzip":
        return reply.body[:HEAD_BYTES], reply.body[-_TAIL_BYTES:]
    stream, coming, head, tail = isal_zlib.decompressobj(GZIP_WBITS), reply.body, b"", b""
    try:
        while not stream.eof:
            text = stream.decompress(coming, _STEP_BYTES)
            coming = stream.unconsumed_tail
            head = head or text[:HEAD_BYTES]
            tail = (tail + text[-_TAIL_BYTES:])[-_TAIL_BYTES:]
            if not text and not stream.eof:
                raise DamagedError("圧縮データが途中で終わっています")
    except IsalError as error:  # type: ignore[misc] # its stub declares an instance
        raise DamagedError(f"圧縮データが壊れています（{error}）") from None
    if stream.unused_data:
        raise DamagedError("圧縮データの後ろに余分なバイトがあります")
    return head, tail


def read_head(start: bytes, end: bytes, whole: Callable[[], bytes]) -> Head:
    """Read the head of an answer from both ends of its text; where these do not suffice, from the whole.

    The order of the keys is a habit of the API, no promise: another order is read too, only slower.

    Raises:
        DamagedError: the text is no whole JSON.
        ForeignError: JSON without e-Stat's RESULT.
        msgspec.ValidationError: e-Stat's JSON with another type than the specification has.
    """
    data_at = start.find(_DATA)
    if data_at > 0 and end.rstrip().endswith(_ENDS):
        try:
            # Close what is open before DATA_INF: STATISTICAL_DATA, GET_STATS_DATA and the root.
            head = _head(start[:data_at].rstrip().rstrip(b",") + b"}}}")
        except (DamagedError, ForeignError, msgspec.ValidationError):
            head = Head()
        if head.from_number and head.updated_on:
            return head
    return _head(whole())


def _head(text: bytes) -> Head:
    try:
        document = _HEAD.decode(text)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"JSON が途中で終わっているか壊れています（{error}）") from None
    answer = document.GET_STATS_DATA or document.GET_META_INFO or document.GET_STATS_LIST
    if answer is None:
        raise ForeignError
    data = answer.STATISTICAL_DATA if isinstance(answer.STATISTICAL_DATA, _Statistics) else _Statistics()
    numbers, table = data.RESULT_INF or _Numbers(), data.TABLE_INF or _Table()
    return Head(
        status=_whole_number(answer.RESULT.STATUS) or 0,
        message=answer.RESULT.ERROR_MSG or "",
        table_id=table.id,
        total_number=_whole_number(numbers.TOTAL_NUMBER),
        from_number=_whole_number(numbers.FROM_NUMBER) or 0,
        to_number=_whole_number(numbers.TO_NUMBER) or 0,
        next_key=_whole_number(numbers.NEXT_KEY),
        updated_on=str(table.UPDATED_DATE or ""),
    )


def read_meta(text: bytes) -> TableMeta:
    """The body of getMetaInfo.

    Raises:
        msgspec.ValidationError: the body is not what the specification has.
    """
    found = _META.decode(text).GET_META_INFO.METADATA_INF
    axes = {
        axis.id: Axis(
            str(axis.name),
            {
                code.code: Code(str(code.name), str(code.level), code.unit, code.parent)
                for code in _several(axis.CLASS)
            },
        )
        for axis in _several(found.CLASS_INF.CLASS_OBJ)
    }
    entry = _entry(found.TABLE_INF)
    return TableMeta(
        entry.table_id,
        entry.title,
        entry.stats_code,
        _text(found.TABLE_INF.STAT_NAME),
        entry.updated_on,
        axes,
    )


def read_listing(text: bytes) -> tuple[list[TableEntry], int | None]:
    """The body of getStatsList: the tables, and the next start position if there are more.

    Raises:
        msgspec.ValidationError: the body is not what the specification has.
    """
    found = _LISTING.decode(text).GET_STATS_LIST.DATALIST_INF
    if not isinstance(found, _ListingInf):
        return [], None
    next_key = _whole_number(found.RESULT_INF.NEXT_KEY) if found.RESULT_INF else None
    return [_entry(table) for table in _several(found.TABLE_INF)], next_key


def _entry(table: _Table) -> TableEntry:
    statistics = table.STAT_NAME
    return TableEntry(
        table_id=table.id,
        title=_text(table.TITLE),
        stats_code=statistics.code if isinstance(statistics, _Labelled) else "",
        updated_on=_day(str(table.UPDATED_DATE or "")),
    )


def _day(text: str) -> date | None:
    """A day that cannot be read is no day: the table then counts as changed, which is the safe side."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _several(value: Any) -> list[Any]:
    """None, one element or a list of them, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: _Labelled | str | int | None) -> str:
    """Text that comes bare or as `{"$": text}`."""
    return str(value.text if isinstance(value, _Labelled) else "" if value is None else value)


def _whole_number(value: int | str | None) -> int | None:
    """A number that may come as text; an empty text is none."""
    if value is None or value == "":
        return None
    try:
        return int(value)
    except ValueError:
        raise msgspec.ValidationError(f"expected a whole number, got `{str(value)[:20]}`") from None
