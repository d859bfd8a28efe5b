"""The stream of records of an xls (kind, length, bytes), and the texts in it.

Source: [MS-XLS] 2.1.4 Record, 2.5.293 XLUnicodeRichExtendedString, 2.5.294 XLUnicodeString.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

BOF, EOF, CONTINUE = 0x0809, 0x000A, 0x003C
BIFF8 = 0x0600
# Of a text: two bytes a letter, a phonetic part behind it, fonts of its own.
WIDE, PHONETIC, RICH = 0x01, 0x04, 0x08


def records(stream: bytes, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Kind, start and length of each record up to the end of this part of the stream."""
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, at + 4, length
        if kind == EOF:
            return
        at += 4 + length


def short_text(
    data: bytes, at: int, *, biff8: bool, encoding: str, count_bytes: int = 2
) -> tuple[str, int, bool, int]:
    """A text inside one record: the text, where it ends, whether runs follow, and how many (0 where none do).

    Args:
        count_bytes: how many bytes its length takes.

    Raises:
        struct.error: it ends beyond the record.
    """
    (count,) = struct.unpack_from("<H" if count_bytes == 2 else "<B", data, at)
    at += count_bytes
    if not biff8:
        return data[at : at + count].decode(encoding, "replace"), at + count, False, 0
    (flags,) = struct.unpack_from("<B", data, at)
    at += 1
    runs = 0
    if flags & RICH:
        (runs,) = struct.unpack_from("<H", data, at)
        at += 2
    if flags & PHONETIC:
        at += 4
    size = count * (2 if flags & WIDE else 1)
    text = data[at : at + size].decode("utf-16-le" if flags & WIDE else "latin-1", "replace")
    return text, at + size, bool(flags & RICH), runs


class Continued:
    """A record and those that continue it, read as one; a text that is cut begins again with its flags.

    Raises:
        struct.error: what is read lies beyond the last of them.
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces, self._piece, self._at = pieces, 0, 0

    def _left(self) -> int:
        return len(self._pieces[self._piece]) - self._at

    def _forward(self) -> None:
        self._piece += 1
        self._at = 0
        if self._piece >= len(self._pieces):
            raise struct.error("a text ends beyond its record")

    def take(self, count: int) -> bytes:
        """The next bytes, wherever they are cut."""
        taken = b""
        while len(taken) < count:
            if not self._left():
                self._forward()
            piece = self._pieces[self._piece][self._at : self._at + count - len(taken)]
            self._at += len(piece)
            taken += piece
        return taken

    def number(self, form: str) -> int:
        """The next number, little-endian."""
        (found,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(found)

    def letters(self, count: int, flags: int) -> str:
        """The next letters; behind a cut the first byte says anew whether they take two bytes."""
        wide, text = flags & WIDE, ""
        while count:
            if not self._left():
                self._forward()
                wide = self.number("B") & WIDE
            each = 2 if wide else 1
            some = min(count, self._left() // each)
            if not some:
                raise struct.error("half a letter")
            raw = self.take(some * each)
            text += raw.decode("utf-16-le" if wide else "latin-1", "replace")
            count -= some
        return text
