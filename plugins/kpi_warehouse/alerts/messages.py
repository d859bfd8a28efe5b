"""What a notification says: subject and body in Japanese, made when it is sent from what is known then.

The order of a body is fixed: 何が、どこ、どれだけ、影響KPI、現在の表示、推定原因と修正案、手順、担当、期限、問い合わせ番号. A division gets
no codes and no table names; an engineer gets the code, the load and where to look. No rows and no secrets: cells by address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import fsspec
import psycopg

from kpi_warehouse.alerts.channels import Message
from kpi_warehouse.alerts.incidents import Incident
from kpi_warehouse.alerts.kpi_changes import KpiChange, changes_of
from kpi_warehouse.alerts.links import acknowledge_link
from kpi_warehouse.alerts.office_hours import JAPAN, add_business_days
from kpi_warehouse.readers.places import places_in_words
from kpi_warehouse.settings import settings

# 開庁日 within which somebody should have acted.
DAYS = {"重大": 0, "要対応": 3, "注意": 5, "情報": 10}
RUNBOOK, FEEDS = "docs/runbooks/README.md", "docs/runbooks/feeds.md"
MANY = 8
# Mail servers of offices refuse more than ten or twenty megabytes, and base64 adds a third.
ATTACHED_BYTES = 5 * 2**20


@dataclass(frozen=True)
class Facts:
    """What is read beside the incident for its message."""

    file_name: str | None
    places: list[str]
    amounts: list[str]
    proposals: list[str]
    shown_since: datetime | None
    kpi_names: dict[str, str]
    kpi_changes: list[KpiChange]
    changed_cells: list[str]
    slips: tuple[tuple[str, bytes], ...]
    slips_elsewhere: tuple[str, ...] = ()
    # Of a question: what is unusual, with its evidence; the load to answer for, and whether the answer was no.
    evidence: tuple[str, ...] = ()
    asked_load_id: int | None = None
    is_answered_no: bool = False


def key_of(notification: dict[str, Any]) -> str:
    """The key receivers drop doubles by: of every try the same, and of no other warehouse, or one that was set up again."""
    return f"{notification['idempotency_key']}/{notification['created_at'].astimezone(UTC):%Y%m%dT%H%M%SZ}"


def bare_message(incident: Incident, notification: dict[str, Any]) -> Message:
    """What is left to say when nothing but the incident itself can be read."""
    kind = str(notification["kind"])
    label = "復旧" if kind == "resolve" else f"KPI取込エラー／{incident.severity}"
    lines = [
        incident.resolution_ja or "" if kind == "resolve" else incident.summary_ja,
        f"問い合わせ番号：{incident.reference}",
    ]
    return _message(incident, notification, f"【{label}】{headline(incident)}", "\n".join(lines), ())


def message_of(connection: psycopg.Connection, incident: Incident, notification: dict[str, Any]) -> Message:
    """The message of one row of `ops.notification`."""
    facts = facts_of(connection, incident, notification)
    kind, plain = str(notification["kind"]), notification["audience"] == "division"
    if kind == "resolve":
        subject, body = _recovered(incident, facts)
    elif incident.cause == "asked" and not facts.is_answered_no:
        subject, body = _question(incident, facts, kind, plain=plain)
    else:
        subject, body = _broken(incident, facts, kind, plain=plain)
    return _message(incident, notification, subject, body, facts.slips if kind != "resolve" else ())


def _message(
    incident: Incident,
    notification: dict[str, Any],
    subject: str,
    body: str,
    attachments: tuple[tuple[str, bytes], ...],
) -> Message:
    return Message(
        key=key_of(notification),
        thread=incident.reference,
        started_at=incident.opened_at,
        kind=str(notification["kind"]),
        severity=incident.severity,
        # A file may be named with a line break; a subject has none.
        subject=" ".join(subject.split()),
        body=body,
        created_at=notification["created_at"],
        facts={
            "cause": incident.cause,
            "code": incident.code,
            "feed": incident.feed,
            "feeds": incident.feeds,
            "period": incident.period and f"{incident.period:%Y-%m}",
            "kpis": incident.kpis,
            "owner": incident.owner_ja,
            "occurrences": incident.occurrences,
            "opened_at": incident.opened_at.isoformat(),
            "resolved_at": incident.resolved_at and incident.resolved_at.isoformat(),
        },
        attachments=attachments,
        resolved_at=incident.resolved_at,
    )


def digest(entries: list[tuple[Incident, str]], flagged: list[str], day: date) -> tuple[str, str]:
    """Subject and body of the day's digest: incidents nobody was rung for, and what gates marked on the way."""
    lines = [f"・{incident.reference} {headline(incident)}（{kind}）" for incident, kind in entries]
    marks = [f"・{text}" for text in flagged]
    body = "\n".join(
        [
            f"{day:%Y年%-m月%-d日} のまとめです。急ぎの対応は要りません。",
            "",
            f"■ お知らせ {len(lines)} 件",
            *(lines or ["・ありません"]),
            "",
            f"■ 検査で注意のついた取込 {len(marks)} 件",
            *(marks or ["・ありません"]),
        ]
    )
    return f"【KPI取込／まとめ】{day:%Y-%m-%d} お知らせ{len(lines)}件・注意{len(marks)}件", body


def headline(incident: Incident) -> str:
    """What and where, in one line: `移住定住の状況 2024年5月：検査で差し戻し`."""
    about = incident.feed_ja or incident.subject or "システム"
    if incident.feed_ja is None and incident.cause == "file_refused":
        about = f"「{about.rpartition('/')[2]}」"
    return f"{about}{_period(incident)}：{incident.title_ja}"


def _period(incident: Incident) -> str:
    first, last = incident.period, incident.period_to
    if first is None:
        return ""
    if last is None or last <= first:
        return f" {first.year}年{first.month}月"
    year = f"{last.year}年" if last.year != first.year else ""
    return f" {first.year}年{first.month}月〜{year}{last.month}月"


def _broken(incident: Incident, facts: Facts, kind: str, *, plain: bool) -> tuple[str, str]:
    words = {"update": "再度・", "escalate": "未確認・"}.get(kind, "")
    label = {
        "not_delivered": "未着",
        "asked": "KPI取込／受け入れない",
        "undone": f"KPI公表の取消し／{words}{incident.severity}",
    }.get(incident.cause, f"KPI取込エラー／{words}{incident.severity}")
    first, *rest = incident.summary_ja.splitlines() or [""]
    # Proposals and the slip have lines of their own.
    details = facts.amounts or [
        line for line in rest if line.startswith("・") and not line.startswith("・提案")
    ]
    deadline = add_business_days(incident.opened_at.astimezone(JAPAN).date(), DAYS[incident.severity])
    lines = [
        f"何が　　：{first}",
        f"どこ　　：{_where(incident, facts)}",
    ]
    if details:
        lines += [
            "どれだけ：",
            *(f"　{text if text.startswith('・') else '・' + text}" for text in details[:MANY]),
        ]
        if len(details) > MANY:
            lines.append(f"　・ほか {len(details) - MANY} 件")
    if incident.occurrences > 1:
        lines.append(f"回数　　：{incident.occurrences} 回（最後 {_time(incident.last_seen_at)}）")
    lines += [
        f"影響KPI ：{_kpis(incident, facts)}",
        f"現在の表示：{_shown(incident, facts)}",
        *(_changes(facts) if incident.cause == "undone" else []),
        f"推定原因：{' '.join(facts.proposals) or incident.guess_ja}",
        *(f"差し戻し票：{name}（添付）" for name, _ in facts.slips),
        *(
            f"差し戻し票：{name}（大きいため添付していません。データ担当へ）"
            for name in facts.slips_elsewhere
        ),
        "手順　　：",
        *(f"　{number}. {text}" for number, text in enumerate(incident.steps_ja, start=1)),
        f"担当　　：{incident.owner_ja or 'データ担当'}",
        f"期限　　：{deadline:%Y年%-m月%-d日}",
        f"問い合わせ番号：{incident.reference}",
    ]
    if not plain:
        lines += ["", *_technical(incident)]
    if link := acknowledge_link(incident.incident_id):
        lines += ["", f"確認したことを知らせる：{link}"]
    return f"【{label}】{headline(incident)}", "\n".join(lines)


def _question(incident: Incident, facts: Facts, kind: str, *, plain: bool) -> tuple[str, str]:
    """A question before publication: the evidence first, then how each answer is given."""
    words = {"update": "再度・", "escalate": "未回答・"}.get(kind, "")
    first, *rest = incident.summary_ja.splitlines() or [""]
    evidence = [*facts.evidence] or [line for line in rest if line.startswith(("・", "　"))]
    deadline = add_business_days(incident.opened_at.astimezone(JAPAN).date(), DAYS[incident.severity])
    lines = [
        f"何が　　：{first}",
        f"どこ　　：{_where(incident, facts)}",
        "いつもと違う点：",
        *(f"　{line}" for line in evidence),
        f"影響KPI ：{_kpis(incident, facts)}",
        f"現在の表示：{_shown(incident, facts)}",
        # A rule that knows its likeliest causes has named them in its evidence.
        *([] if any("考えられる" in line for line in evidence) else [f"考えられること：{incident.guess_ja}"]),
        "答え方　：",
        *(f"　{number}. {text}" for number, text in enumerate(incident.steps_ja, start=1)),
    ]
    if facts.asked_load_id is not None:
        given = f"kpi hold release {facts.asked_load_id} --reason '確かめた課・資料・日付'"
        refused = f"kpi hold reject {facts.asked_load_id} --reason '…'"
        lines += [
            f"データ担当の操作：正しいとき {given}",
            f"　　　　　　　　　誤りのとき {refused}（正しい値が届けば不要）",
        ]
    lines += [
        f"担当　　：{incident.owner_ja or 'データ担当'}",
        f"期限　　：{deadline:%Y年%-m月%-d日}（それまで前回の値のまま）",
        f"問い合わせ番号：{incident.reference}",
    ]
    if not plain:
        lines += ["", *_technical(incident)]
    if link := acknowledge_link(incident.incident_id):
        lines += ["", f"確認したことを知らせる：{link}"]
    return f"【KPI公表前の問い合わせ／{words}{incident.severity}】{headline(incident)}", "\n".join(lines)


def _changes(facts: Facts) -> list[str]:
    """The KPI figures that follow from it, before → now."""
    changes = [f"・{one.label}：{one.before or 'なし'} → {one.after or 'なし'}" for one in facts.kpi_changes]
    lines = ["変わったKPI：" + ("" if changes else "ありません"), *changes[:MANY]]
    if len(changes) > MANY:
        lines.append(f"　ほか {len(changes) - MANY} 件")
    return lines


def _recovered(incident: Incident, facts: Facts) -> tuple[str, str]:
    assert incident.resolved_at is not None
    lines = [
        f"何が　　：{headline(incident)}",
        f"結果　　：{incident.resolution_ja}",
        f"停止時間：{_duration(incident)}（{_time(incident.opened_at)} 〜 {_time(incident.resolved_at)}）",
        f"回数　　：{incident.occurrences} 回",
        *(f"差し戻した箇所：{cell}" for cell in facts.changed_cells[:MANY]),
        *_changes(facts),
        f"問い合わせ番号：{incident.reference}",
    ]
    return f"【復旧】{headline(incident)}", "\n".join(lines)


def _where(incident: Incident, facts: Facts) -> str:
    parts = [f"「{facts.file_name}」"] if facts.file_name else []
    parts += [f"セル {places_in_words('、'.join(facts.places[:MANY]))}"] if facts.places else []
    if len(incident.feeds) > 1:
        parts.append(f"{len(incident.feeds)} フィード（{'、'.join(incident.feeds)}）")
    return "　".join(parts) or incident.subject or incident.feed_ja or "システム"


def _kpis(incident: Incident, facts: Facts) -> str:
    return "、".join(f"{kpi} {facts.kpi_names.get(kpi, '')}".strip() for kpi in incident.kpis) or "なし"


def _shown(incident: Incident, facts: Facts) -> str:
    if incident.feed is None:
        return "公表済みの値のまま"
    if facts.shown_since is None:
        return "まだ公表した値はありません"
    return f"前回までに受け付けた値（{_time(facts.shown_since)} 公表）"


def _technical(incident: Incident) -> list[str]:
    lines = [f"符号：{incident.code or '—'}　原因：{incident.cause}"]
    if incident.load_id is not None:
        lines.append(f"取込番号：{incident.load_id}（やり直し `kpi replay {incident.load_id}`）")
    base = settings().web_url
    served = f"{base.rstrip('/')}/kpi/runbook" if base else None
    lines.append(f"手引き：{served or RUNBOOK}#{quote(incident.cause)}")
    if incident.feed is not None:
        lines.append(f"フィード：{served or FEEDS}#{quote(incident.feed)}")
    return lines


def _time(instant: datetime) -> str:
    return f"{instant.astimezone(JAPAN):%Y-%m-%d %H:%M}"


def _duration(incident: Incident) -> str:
    assert incident.resolved_at is not None
    minutes = round((incident.resolved_at - incident.opened_at).total_seconds() / 60)
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    said = [f"{days}日" if days else "", f"{hours}時間" if hours else "", f"{minutes}分"]
    return "".join(said)


def facts_of(connection: psycopg.Connection, incident: Incident, notification: dict[str, Any]) -> Facts:
    """Read what the message names: the file, the cells, the proposals, what is shown, and what changed."""
    load = incident.load_id
    question = _question_of(connection, incident) if incident.cause == "asked" else None
    if question is not None:
        load = question[0]
    delivery = connection.execute(
        "select delivery_id, file_name from ops.delivery where load_id = %s order by delivery_id desc limit 1",
        [load],
    ).fetchone()
    broken = connection.execute(
        "select reason_ja, unexpected_count, observed from ops.gate_result where load_id = %s and not success"
        " and severity = 'critical' order by expectation",
        [load],
    ).fetchall()
    proposals = connection.execute(
        "select place, found, proposed, message_ja from ops.repair_proposal where load_id = %s order by proposal_id",
        [load],
    ).fetchall()
    held = connection.execute(
        "select distinct source_ref from ops.held_row where load_id = %s and state = 'held' order by 1 limit %s",
        [load, MANY],
    ).fetchall()
    shown = connection.execute(
        # What the marts leave out is published, and not shown.
        "select case when exists (select from ops.set_aside as s where s.feed = %(feed)s and s.state in ('in_force', 'retrying'))"
        " then (select max(shown_until) from ops.set_aside where feed = %(feed)s and state in ('in_force', 'retrying'))"
        " else (select max(published_at) from ops.load where feed = %(feed)s and state = 'published') end",
        {"feed": incident.feed},
    ).fetchone()
    names = connection.execute(
        "select row_key, row ->> 'kpi_name' from ops.published_row where relation = 'mart_kpi_board'"
        " and published_to = 'infinity' and row_key = any(%s)",
        [incident.kpis],
    ).fetchall()
    places = [str(place) for place, *_ in proposals if place] or [
        str(example["source_cell"])
        for _, _, observed in broken
        for example in observed or []
        if isinstance(example, dict) and example.get("source_cell")
    ]
    slips, elsewhere = (
        _slips(delivery[0]) if delivery and notification["audience"] == "division" else ((), ())
    )
    return Facts(
        file_name=str(delivery[1]) if delivery else None,
        places=list(dict.fromkeys(places or [ref for (ref,) in held])),
        amounts=[_amount(str(reason), int(count), observed or []) for reason, count, observed in broken],
        proposals=[_asked(place, found, proposed, str(text)) for place, found, proposed, text in proposals],
        shown_since=shown[0] if shown else None,
        kpi_names={str(kpi): str(name) for kpi, name in names},
        kpi_changes=changes_of(connection, incident)
        if notification["kind"] == "resolve" or incident.cause == "undone"
        else [],
        changed_cells=[
            f"{place}（提案 {found} → {proposed}）"
            for place, found, proposed, _ in proposals
            if place is not None
        ],
        slips=slips,
        slips_elsewhere=elsewhere,
        evidence=_evidence(connection, load) if question else (),
        asked_load_id=question[0] if question and question[1] == "asked" else None,
        is_answered_no=question is not None and question[1] == "rejected",
    )


def _question_of(connection: psycopg.Connection, incident: Incident) -> tuple[int, str] | None:
    """The load that an incident asks about, with its state: the newest that is open, else the newest."""
    row = connection.execute(
        "select load_id, state from ops.incident_load join ops.load using (load_id) where incident_id = %s"
        " order by state = 'asked' desc, load_id desc limit 1",
        [incident.incident_id],
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def _evidence(connection: psycopg.Connection, load_id: int | None) -> tuple[str, ...]:
    """What is unusual about a delivery, as lines: the rule's reason, and below it what was found."""
    rows = connection.execute(
        "select reason_ja, evidence_ja, unexpected_count, observed from ops.gate_result where load_id = %s and not success"
        " and severity = 'question' order by expectation",
        [load_id],
    ).fetchall()
    lines: list[str] = []
    for reason, evidence, count, observed in rows:
        if evidence:
            lines += [f"・{reason}", *(f"　{line}" for line in str(evidence).strip().splitlines())]
        else:
            lines.append(f"・{_amount(str(reason), int(count), observed or [])}")
    return tuple(lines)


def _asked(place: str | None, found: str | None, proposed: str | None, message_ja: str) -> str:
    """A proposal as a question: only who has the original can say."""
    if place is None or found is None or proposed is None:
        return message_ja
    return f"{place} の「{found}」は「{proposed}」の誤りではありませんか。（{message_ja.rstrip('。')}）"


def _amount(reason_ja: str, count: int, observed: list[Any]) -> str:
    """What does not hold, in figures where the finding has them, else by what was expected."""
    first = observed[0] if observed and isinstance(observed[0], dict) else {}
    more = f"　ほか {count - 1:,} 件" if count > 1 else ""
    if first.get("stated") is not None and first.get("computed") is not None:
        stated, computed = Decimal(str(first["stated"])), Decimal(str(first["computed"]))
        label = f"{first['label']}（{first['place']}）" if first.get("place") else "計"
        return (
            f"{label}：書かれた値 {stated:,} ≠ 内訳の合計 {computed:,}（差 {abs(stated - computed):,}）{more}"
        )
    return f"{reason_ja.split('。', maxsplit=1)[0]} → 合わない値 {count:,} 件"


def _slips(delivery_id: int) -> tuple[tuple[tuple[str, bytes], ...], tuple[str, ...]]:
    """The return slip of a delivery, if one was written: to attach, and by name what is too large for that."""
    files, path = fsspec.core.url_to_fs(f"{settings().returns_url}/{delivery_id}")
    if not files.exists(path):
        return (), ()
    written = [name for name in sorted(files.ls(path, detail=False)) if not name.endswith(".part")]
    large = {name for name in written if files.size(name) > ATTACHED_BYTES}
    return (
        tuple((name.rsplit("/", 1)[-1], files.cat_file(name)) for name in written if name not in large),
        tuple(name.rsplit("/", 1)[-1] for name in written if name in large),
    )
