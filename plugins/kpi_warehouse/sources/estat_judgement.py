"""What an answer of the e-Stat API amounts to: a good one, trouble that can pass, or a no that a person
must act on.

What the body says counts before the HTTP status. A body that is not e-Stat's (maintenance page, firewall,
gateway) is told apart and quoted by its title.

Source: e-Stat API 3.0 specification, status codes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import msgspec

from kpi_warehouse.errors import KpiError, SourceChanged, SourceRefused, SourceUnavailable
from kpi_warehouse.sources.estat_answers import DamagedError, ForeignError, Head, Reply, both_ends, read_head

_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(rb"charset=[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
QUOTED = 80


class Unavailable(SourceUnavailable):
    """Trouble that can pass; `retry_after` is the wait the server asked for, in seconds."""

    def __init__(self, message_ja: str, code: str, retry_after: float | None = None) -> None:
        super().__init__(message_ja, code)
        self.retry_after = retry_after


def judge(reply: Reply, what: str, hide: Callable[[str], str]) -> Head:
    """The head of a good answer (STATUS 0, or 1: no data); anything else is raised.

    Args:
        what: what was asked for, in Japanese.
        hide: takes secrets out of a text of the server before it is quoted.

    Raises:
        SourceUnavailable: cut or foreign answer, trouble of the server.
        SourceRefused: wrong key, parameter or table.
        SourceChanged: an answer of another shape than the specification has.
    """
    if reply.content_encoding and reply.content_encoding != "gzip":
        raise changed(what, f"頼んでいない圧縮形式 {reply.content_encoding[:QUOTED]}")
    trouble: KpiError
    try:
        start, end = both_ends(reply)
        if start.lstrip().startswith(b"{"):
            head = read_head(start, end, reply.text)
            return _judge_status(reply, head, what, hide(head.message))
        trouble = _not_json(reply, start, what, hide)
    except DamagedError as error:
        reason = f"応答が途中で切れています：{hide(str(error))}"
        trouble = _unavailable(reply, what, reason, "estat.truncated")
    except ForeignError:
        trouble = _not_estat(reply, what, "e-Stat の形ではない JSON", "中継装置の応答の可能性があります")
    except msgspec.ValidationError as error:
        trouble = changed(what, hide(str(error)))
    # Raised here, so that no other error comes along as its context.
    raise trouble


def changed(what: str, found: str) -> SourceChanged:
    """The answer is e-Stat's but not what the specification, or the question, lets expect."""
    return SourceChanged(
        f"e-Stat（{what}）：応答の内容が仕様と違います（{found}）。API の変更がないか確認してください。",
        "estat.changed",
    )


def _judge_status(reply: Reply, head: Head, what: str, said: str) -> Head:
    status, http = head.status, reply.http_status
    if status in (0, 1) and http < 400:
        return head
    quoted = f"STATUS {status}「{said}」"
    if status == 100:
        raise SourceRefused(
            f"e-Stat（{what}）：認証に失敗しました（{quoted}）。ESTAT_APP_ID を確認してください。",
            "estat.auth",
        )
    if status == 105:
        raise SourceRefused(
            f"e-Stat（{what}）：一度に指定できる数を超えています（{quoted}）。条件を分けてください。",
            "estat.too_many",
        )
    if 101 <= status <= 104:
        raise SourceRefused(
            f"e-Stat（{what}）：指定に誤りがあります（{quoted}）。契約の軸とコードを確認してください。",
            "estat.parameter",
        )
    if status == 300:
        raise SourceRefused(
            f"e-Stat（{what}）：統計表がありません（{quoted}）。契約の統計表IDを確認してください。",
            "estat.unknown_table",
        )
    if 200 <= status <= 299 or http >= 500 or http == 429:
        raise _unavailable(reply, what, f"提供元の異常です（HTTP {http}、{quoted}）", _code(http))
    raise SourceRefused(f"e-Stat（{what}）：想定外の応答です（HTTP {http}、{quoted}）。", "estat.status")


def _not_json(reply: Reply, start: bytes, what: str, hide: Callable[[str], str]) -> KpiError:
    """A page of a firewall, a proxy or the maintenance; or nothing at all."""
    found = _TITLE.search(start)
    if found is None:
        shown = "空の応答" if not start.strip() else "JSON ではない応答"
        return _not_estat(reply, what, shown, "提供元の混雑または障害の可能性があります")
    charset = _CHARSET.search(start)
    text = html.unescape(_decoded(found[1], charset[1].decode() if charset else "utf-8"))
    shown = f"「{hide(' '.join(text.split()))[:QUOTED]}」というページ"
    return _not_estat(reply, what, shown, "メンテナンス中か、通信が遮断されています", page=True)


def _not_estat(reply: Reply, what: str, shown: str, guess: str, *, page: bool = False) -> KpiError:
    http = reply.http_status
    if http == 404:
        return SourceRefused(
            f"e-Stat（{what}）：この接続先に API はありません（HTTP 404、{shown}）。"
            "ESTAT_BASE_URL を確認してください。",
            "estat.no_api",
        )
    code = "estat.not_json" if page or http < 429 or 430 <= http < 500 else _code(http)
    return _unavailable(reply, what, f"{shown}が返りました（HTTP {http}）。{guess}", code)


def _code(http: int) -> str:
    return "estat.too_often" if http == 429 else "estat.server"


def _unavailable(reply: Reply, what: str, reason: str, code: str) -> Unavailable:
    return Unavailable(f"e-Stat（{what}）：{reason}", code, reply.retry_after)


def _decoded(text: bytes, charset: str) -> str:
    try:
        return text.decode(charset, "replace")
    except LookupError:
        return text.decode("utf-8", "replace")
