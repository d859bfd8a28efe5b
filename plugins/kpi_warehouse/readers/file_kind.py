"""What a file is, judged by its bytes: the name says what the sender meant, the bytes say what was sent."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from kpi_warehouse.errors import UnreadableFile

# Divisions send at most about 20 MB; a file above this is a mistake (pictures pasted in) or an attack.
MAX_WORKBOOK = 50 << 20

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|table|meta|div)\b", re.IGNORECASE)
_OTHER = {
    b"%PDF": "PDF",
    b"{\\rtf": "リッチテキスト（RTF）",
    b"MIME-Version:": "Web アーカイブ（MHT）",
    b"\x89PNG": "画像（PNG）",
    b"\xff\xd8\xff": "画像（JPEG）",
    b"7z\xbc\xaf": "7-Zip の圧縮ファイル",
    b"Rar!": "RAR の圧縮ファイル",
    b"\x1f\x8b": "gzip の圧縮ファイル",
}
_SAVE_AS = "Excel で開き「名前を付けて保存」で Excel ブック（.xlsx）を選んで出し直してください。"


def guard_name(body: bytes, name: str) -> None:
    """Refuse what is no delivery whatever it holds.

    Raises:
        UnreadableFile: Excel's lock file, an empty file.
    """
    if PurePosixPath(name.replace("\\", "/")).name.startswith("~$"):
        raise UnreadableFile(
            f"{name}：Excel が編集中に作る一時ファイル（~$）で、表ではありません。"
            "Excel を閉じて、元のファイルを出してください。",
            "file.lock",
        )
    if not body:
        raise UnreadableFile(
            f"{name}：中身が 0 バイトです。保存または送信に失敗しています。もう一度出し直してください。",
            "file.empty",
        )


def guard_size(body: bytes, name: str, limit: int) -> None:
    """Refuse a file above the limit (bytes) before anything looks inside."""
    if len(body) > limit:
        raise UnreadableFile(
            f"{name}：ファイルが大きすぎます（見つかったもの：{len(body) / 1e6:,.1f} MB、期待：{limit / 1e6:,.0f} MB 以下）。"
            "画像や不要なシートを除いて出し直してください。",
            "file.too_large",
        )


def container_of(body: bytes, name: str) -> str:
    """`zip` or `ole`, the two containers a workbook comes in.

    Raises:
        UnreadableFile: anything else, named: a CSV renamed to xlsx, HTML saved as xls, PDF and so on.
    """
    if body.startswith(ZIP):
        return "zip"
    if body.startswith(OLE):
        return "ole"
    raise wrong_kind(name, kind_of(body))


def guard_text(body: bytes, name: str) -> None:
    """Refuse bytes that are neither a workbook nor a text that may hold a table.

    Raises:
        UnreadableFile: a picture, a PDF, an archive, a web page, named as what it is.
    """
    beginning = body[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if beginning.startswith(tuple(_OTHER)) or beginning.startswith(b"<"):
        raise wrong_kind(name, kind_of(body))


def kind_of(body: bytes) -> str:
    """What bytes that are no workbook are, in the words of the person who sent them."""
    head = body[:4096]
    plain = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    kinds = [kind for magic, kind in _OTHER.items() if body.startswith(magic)]
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        kinds.append("文字だけのファイル（Unicode テキスト）")
    if b"urn:schemas-microsoft-com:office:spreadsheet" in head:
        kinds.append("XML スプレッドシート 2003")
    if _HTML.search(head):
        kinds.append("ウェブページ（HTML）")
    if plain.startswith(b"<?xml"):
        kinds.append("XML")
    if b"\x00" in head or not plain:
        kinds.append("表計算の形式ではないデータ（壊れている可能性があります）")
    return kinds[0] if kinds else "文字だけのファイル（CSV やテキスト）"


def wrong_kind(name: str, kind: str) -> UnreadableFile:
    """The bytes are something else than the name says."""
    shown = PurePosixPath(name).suffix or "拡張子なし"
    advice = "拡張子を .csv に戻すか、" + _SAVE_AS if "文字だけ" in kind else _SAVE_AS
    return UnreadableFile(
        f"{name}：名前は{shown}ですが中身が違います（見つかったもの：{kind}、期待：Excel ブック（.xlsx など））。{advice}",
        "file.wrong_kind",
    )


def password(name: str) -> UnreadableFile:
    """The file opens with a password only."""
    return UnreadableFile(
        f"{name}：パスワードで保護されていて開けません。パスワードを外して再提出してください"
        "（［ファイル］→［情報］→［ブックの保護］→［パスワードを使用して暗号化］を空にして保存）。",
        "file.password",
    )
