"""The encoding of a text file: declared and verified, or detected and proved by decoding every byte.

Excel in Japan writes CP932, which is not Shift_JIS (`①㈱髙﨑～－` exist only there), UTF-8 with a mark at the start, or
UTF-16 as "Unicode テキスト". UTF-8 is tried first: Japanese in CP932 is practically never valid UTF-8.
"""

from __future__ import annotations

import codecs
import re

from kpi_warehouse.errors import UnreadableFile

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES = {
    **dict.fromkeys(("cp932", "shift_jis", "shiftjis", "sjis", "windows_31j", "ms932", "ms_kanji"), "cp932"),
    **dict.fromkeys(("utf_8", "utf8", "utf_8_sig"), "utf-8"),
    **dict.fromkeys(("utf_16", "utf16", "utf_16_le", "unicode"), "utf-16-le"),
    "utf_16_be": "utf-16-be",
}
_SHOWN = {"cp932": "CP932（Shift_JIS）", "utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
# What Python's cp932 lets through though no character has these bytes (0x80, 0xA0, 0xFD to 0xFF).
_NO_CHARACTER = re.compile("[\x80\xa0\uf8f0-\uf8f3]")
_HALF_KANA = re.compile("[\uff61-\uff9f]")
_JAPANESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uff01-\uffef]")
_GUESSED_FROM = 4096


def canonical_encoding(declared: str, name: str) -> str:
    """The encoding a contract means: `Shift_JIS` is CP932, as every Windows program has it.

    Raises:
        UnreadableFile: an encoding we do not read.
    """
    known = _NAMES.get(declared.strip().lower().replace("-", "_"))
    if known is None:
        raise UnreadableFile(
            f"{name}：契約の文字コード「{declared}」は扱えません（期待：cp932、utf-8、utf-16）。",
            "file.encoding",
        )
    return known


def decode(body: bytes, name: str, declared: str | None) -> tuple[str, str]:
    """Text and encoding of a file; every byte is decoded strictly.

    Args:
        body: the bytes of the file.
        name: file name for messages.
        declared: what the contract says; None to detect.

    Raises:
        UnreadableFile: bytes of no character with line and byte, another encoding than declared, NUL bytes.
    """
    marked = next(((mark, encoding) for mark, encoding in _MARKS if body.startswith(mark)), None)
    wanted = canonical_encoding(declared, name) if declared else None
    if marked:
        mark, encoding = marked
        if wanted and wanted[:6] != encoding[:6]:
            raise _other(name, wanted, encoding, "ファイルの先頭の印（BOM）", 1, 1)
        body = body[len(mark) :]
    else:
        encoding = wanted or ("utf-8" if _is_utf8(body) else "cp932")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(
            body, name, error if wanted or marked else _furthest(body, error), encoding
        ) from error
    if encoding == "cp932":
        _guard_cp932(body, text, name, bool(wanted))
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise UnreadableFile(
            f"{name}：{line}行目に文字ではないデータ（NUL）があります。CSV ではないか、保存が途中で失敗しています。",
            "file.nul",
        )
    if "\x1b$" in text:
        line = text.count("\n", 0, text.index("\x1b$")) + 1
        raise UnreadableFile(
            f"{name}：{line}行目から JIS コード（ISO-2022-JP）です（期待：{_SHOWN['utf-8']} か {_SHOWN['cp932']}）。"
            "Excel で開き「CSV UTF-8」で保存し直してください。",
            "file.encoding",
        )
    return text.removesuffix("\x1a"), encoding


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guard_cp932(body: bytes, text: str, name: str, declared: bool) -> None:
    """What decodes as CP932 without being it: UTF-8 and EUC-JP come out as characters nobody wrote."""
    odd = _NO_CHARACTER.search(text)
    if odd:
        at = len(text[: odd.start()].encode("cp932"))
        raise _undecodable(body, name, UnicodeDecodeError("cp932", body, at, at + 1, ""), "cp932")
    if text.isascii():
        return
    if declared and _is_utf8(body) and _JAPANESE.search(body.decode()):
        beyond_ascii = re.search(rb"[\x80-\xff]", body)
        assert beyond_ascii is not None
        raise _other(name, "cp932", "utf-8", "文字", *_line_and_byte(body, beyond_ascii.start()))
    beyond = [letter for letter in text[:_GUESSED_FROM] if not letter.isascii()]
    if sum(map(bool, map(_HALF_KANA.match, beyond))) * 2 > len(beyond):
        try:
            is_euc = bool(_JAPANESE.search(body.decode("euc_jp")))
        except UnicodeDecodeError:
            return
        if is_euc and not _real_half_kana(beyond):
            raise UnreadableFile(
                f"{name}：文字コードが EUC-JP のようです（期待：{_SHOWN['utf-8']} か {_SHOWN['cp932']}）。"
                "Excel で開き「CSV UTF-8」で保存し直してください。",
                "file.encoding",
            )


def _real_half_kana(letters: list[str]) -> bool:
    """Half-width kana a person wrote are kana; EUC-JP read as CP932 is full of ､ and ･ (hiragana, katakana rows)."""
    return sum(letter in "､･｡｣" for letter in letters) * 5 < len(letters)


def _line_and_byte(body: bytes, at: int) -> tuple[int, int]:
    """Line and byte within the line of an offset, both from 1."""
    return body.count(b"\n", 0, at) + 1, at - body.rfind(b"\n", 0, at)


def _furthest(body: bytes, error: UnicodeDecodeError) -> UnicodeDecodeError:
    """The encoding that got further before it failed is the one the file is in, with one broken place."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as other:
        return max(error, other, key=lambda each: each.start)
    return error


def _undecodable(body: bytes, name: str, error: UnicodeDecodeError, declared: str) -> UnreadableFile:
    """Name line and byte, and the encoding the file is in where that can be told."""
    encoding = error.encoding if error.encoding in _SHOWN else declared
    if encoding.startswith("utf-16"):
        line, byte = body[: error.start].decode(encoding, "replace").count("\n") + 1, error.start + 1
    else:
        line, byte = _line_and_byte(body, error.start)
    other = next(
        (each for each in ("utf-8", "cp932", "euc_jp") if each != encoding and _reads(body, each)), None
    )
    found = f"{_SHOWN.get(other, 'EUC-JP')} のファイルのようです" if other else "壊れた文字があります"
    shown = body[error.start : error.start + 4].hex(" ").upper()
    return UnreadableFile(
        f"{name}：文字コードが違います（見つかったもの：{found}。{line}行目の {byte} バイト目「{shown}」は"
        f" {_SHOWN[encoding]} の文字ではありません、期待：{_SHOWN[declared]}）。保存し直して出してください。",
        "file.encoding",
    )


def _reads(body: bytes, encoding: str) -> bool:
    try:
        return bool(_JAPANESE.search(body.decode(encoding)))
    except UnicodeDecodeError:
        return False


def _other(name: str, wanted: str, found: str, reason: str, line: int, byte: int) -> UnreadableFile:
    return UnreadableFile(
        f"{name}：文字コードが契約と違います（見つかったもの：{_SHOWN[found]}、{line}行目の {byte} バイト目の{reason}、"
        f"期待：{_SHOWN[wanted]}）。",
        "file.encoding",
    )
