"""The parts of a zipped workbook (xlsx, xlsm, ods), inflated only within limits.

A zip's directory says how large its parts are, and a hostile one lies: the directory is judged first because that is
cheap, then every part is inflated once and counted, so nothing after this can be surprised by the same bytes.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from kpi_warehouse.errors import UnreadableFile

# The largest real workbooks of a division are about 20 MB; a sheet of the 5 million cells we take inflates to 400 MB.
MAX_INFLATED = 1 << 30
# Text of a sheet shrinks 10 to 60 times; above 250 the bytes are one pattern repeated, made to grow.
MAX_RATIO = 250
# Small files may shrink more (a million empty formatted rows are one pattern too) and can do no harm.
RATIO_FROM = 128 << 20
# Excel writes a handful of parts a sheet; each part costs a look-up in the directory.
MAX_PARTS = 10_000

_BLOCK = 1 << 20
# A document type is where entity bombs and outside files come from; no spreadsheet program writes one.
_DOCUMENT_TYPE = re.compile(rb"<!(?:DOCTYPE|doctype|ENTITY|entity)")
# What zipfile raises of a damaged part; NotImplementedError of a compression that it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, ValueError)


class ZipParts:
    """Parts of a zip by name.

    Args:
        body: the bytes of the file.
        name: file name for messages.

    Raises:
        UnreadableFile: cut off, too large, too many parts, a part's name that leaves the archive, a password.
    """

    def __init__(self, body: bytes, name: str) -> None:
        self.name = name
        self.left = MAX_INFLATED
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(body))
            entries = self._zip.infolist()
        except (*_BROKEN, UnicodeDecodeError, IndexError, OverflowError, RuntimeError) as error:
            raise UnreadableFile(
                f"{name}：ファイルの終わりが壊れています（見つかったもの：途中で切れた ZIP 形式、{len(body):,} バイト）。"
                "送信の途中で切れた可能性があります。もう一度保存して出し直してください。",
                "file.truncated",
            ) from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._counted: set[str] = set()
        self._judge(entries, len(body))

    def _judge(self, entries: list[zipfile.ZipInfo], size: int) -> None:
        stated = sum(entry.file_size for entry in entries)
        if stated > MAX_INFLATED or (stated > RATIO_FROM and stated > MAX_RATIO * size):
            raise self.too_large(stated, size)
        if len(entries) > MAX_PARTS:
            raise self.unsafe(f"{len(entries):,} 個の部品", f"{MAX_PARTS:,} 個以下")
        for entry in entries:
            path = PurePosixPath(entry.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else True:
                raise self.unsafe(f"部品の名前「{entry.filename[:80]}」", "中だけを指す名前")
            if entry.flag_bits & 0x1:
                raise UnreadableFile(
                    f"{self.name}：パスワード付きの ZIP です。パスワードを外して再提出してください。",
                    "file.password",
                )
            if self._entries.setdefault(str(path), entry) is not entry:
                raise self.unsafe(f"同じ名前の部品が2つ「{str(path)[:80]}」", "1つだけ")

    def __contains__(self, part: str) -> bool:
        return part in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def read(self, part: str) -> bytes:
        """The bytes of one part, proved by its checksum; counted against the limit of the whole file."""
        pieces: list[bytes] = []
        entry = self._entries[part]
        try:
            with self._zip.open(entry) as stream:
                while block := stream.read(_BLOCK):
                    if part not in self._counted:
                        self.left -= len(block)
                    if self.left < 0:
                        raise self.too_large(MAX_INFLATED, None)
                    pieces.append(block)
        except (*_BROKEN, RuntimeError) as error:
            raise UnreadableFile(
                f"{self.name}：中の「{part}」が壊れています（見つかったもの：{error}）。もう一度保存して出し直してください。",
                "file.damaged",
            ) from error
        self._counted.add(part)
        inflated = b"".join(pieces)
        if _DOCUMENT_TYPE.search(inflated) and inflated.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise self.unsafe(f"「{part}」に文書型宣言（DOCTYPE）", "表計算ソフトが書く XML（宣言なし）")
        return inflated

    def too_large(self, inflated: int, size: int | None) -> UnreadableFile:
        times = f"、元の {inflated // max(size, 1):,} 倍" if size else ""
        return UnreadableFile(
            f"{self.name}：展開すると大きすぎます（見つかったもの：{inflated / 1e6:,.0f} MB 以上{times}、"
            f"期待：{MAX_INFLATED / 1e6:,.0f} MB 以下かつ {MAX_RATIO} 倍以下）。表のあるシートだけにして出し直してください。",
            "file.bomb",
        )

    def unsafe(self, found: str, expected: str) -> UnreadableFile:
        return UnreadableFile(
            f"{self.name}：表計算ソフトが書くものではない内容です（見つかったもの：{found}、期待：{expected}）。"
            "Excel で開いて「名前を付けて保存」し、出し直してください。",
            "file.unsafe",
        )
