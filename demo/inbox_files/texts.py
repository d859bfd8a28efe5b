"""Text files of the divisions: CP932 with 和暦 columns, UTF-8 with BOM and full-width digits, tabs, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from demo.inbox_files.figures import Figure, figure

WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
PARTIAL = "R6 (10月末現在)"


def _table(rows: Sequence[Sequence[str]], *, encoding: str, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(encoding)


def uij_turn() -> bytes:
    """UIJターン・奨学金返還: CP932 as Excel saves it; ①～③ are in CP932 and not in Shift_JIS."""
    years = ("R2", "R3", "R4", "R5", PARTIAL)
    lines = (
        ("①", "UIJターン就職支援　就職決定者数", "F09", ""),
        ("②", "奨学金返還等支援　支援対象者数", "F10", "県内企業等に就職し、1年間勤務を継続した者"),
        ("③", "（うち県外からの支援対象者）", "F11", "②の内数"),
    )
    rows = [
        ["UIJターン就職支援・奨学金返還等支援　取組実績", *[""] * 7],
        ["番号", "区分", "Ｒ２年度", "Ｒ３年度", "Ｒ４年度", "Ｒ５年度", "Ｒ６年度（10月末現在）", "備考"],
        *(
            [number, label, *(figure(metric, year).written for year in years), note]
            for number, label, metric, note in lines
        ),
        ["※ 支援財源は、県と参加企業が1/2ずつ負担", *[""] * 7],
    ]
    return _table(rows, encoding="cp932")


def professional_matching() -> bytes:
    """プロフェッショナル人材: UTF-8 with BOM, full-width digits, one cumulative period from R3.11."""
    period = "R3.11-R6.10月末"
    written = "Ｒ３.11～Ｒ６.10月末"
    rows = [
        ["期間", "区分", "成約件数"],
        [written, "マッチング成約件数（累計）", _wide(figure("F12-1", period))],
        [written, "うち半導体関連企業", _wide(figure("F12-2", period))],
    ]
    return _table(rows, encoding="utf-8-sig")


def _wide(number: Figure) -> str:
    return number.written.translate(WIDE)


def company_support() -> bytes:
    """伴走型支援: separated by tabs; the open year has no number of hires yet and says 支援中."""
    closed, hired, opened = figure("F13-1", "R5"), figure("F13-2", "R5"), figure("F13-1", "R6")
    rows = [
        ["年度", "支援企業数", "採用決定者数", "状況"],
        ["R5年度", closed.written, hired.written, "実績"],
        ["R6年度", opened.written, "", opened.qualifier],
    ]
    return _table(rows, encoding="utf-8", delimiter="\t")


def line_subscribers() -> bytes:
    """LINE登録者: what the sending service answers over HTTP, one record a number."""
    subscribers = figure("F04-1", "R6.10月末")
    sendings, videos = figure("F04-2", "R6"), figure("F04-3", "R6")
    records = [
        {
            "期間": "R6.10月末",
            "項目": "登録者数",
            "値": subscribers.number,
            "単位": subscribers.unit,
            "状況": "実績",
        },
        {"期間": "R6年度", "項目": "配信回数", "値": sendings.number, "単位": sendings.unit, "状況": "予定"},
        {"期間": "R6年度", "項目": "ショート動画", "値": videos.number, "単位": videos.unit, "状況": "予定"},
    ]
    return (
        json.dumps({"title": "県内高校卒業生LINE", "records": records}, ensure_ascii=False, indent=2) + "\n"
    ).encode()
