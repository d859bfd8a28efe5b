"""Files of the tree that are made from the contracts, and the check that they are current.

`kpi feed check --write` writes them; `make check` fails while one is stale. Nobody edits them.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from kpi_warehouse.contract import Contract, EstatSource, FileSource, contracts
from kpi_warehouse.contract_file import dump_yaml
from kpi_warehouse.errors import ContractError
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.ledger import KPI_TAG

STAGED = "stg_files__"
HEADER = "Made from expectations/*.odcs.yaml by `kpi feed check --write`. Do not edit."


def write_derived() -> list[Path]:
    """Write every derived file that differs, and remove those whose contract is gone; returns those written or removed."""
    written = _orphans()
    for path in written:
        path.unlink()
    for path, text in _derived().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def check_derived() -> None:
    """Raises:
    ContractError: a derived file is missing or stale.
    """
    stale = _orphans() + [
        path
        for path, text in _derived().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if stale:
        names = "、".join(str(path.relative_to(settings().project)) for path in stale)
        raise ContractError(
            f"契約から作ったファイルが古くなっています：{names}。`kpi feed check --write` で作り直してください。",
            "contract.stale",
        )


def _derived() -> dict[Path, str]:
    project, known = settings().project, contracts(settings().contracts)
    staging = project / "dbt_project/models/staging"
    return {
        staging / "_sources.generated.yml": _dbt_sources(known),
        staging / "_files.generated.yml": _staging_descriptions(known),
        **{staging / f"{STAGED}{contract.feed}.sql": _staging_model(contract) for contract in _files(known)},
        staging / f"{STAGED}measures.sql": _all_measures(known),
        staging / f"{STAGED}waiting.sql": _waiting(known),
        project / "dbt_project/seeds/file_feeds.csv": _file_feeds(known),
        project / "dbt_project/seeds/feed_codes.csv": _feed_codes(known),
        project / "dbt_project/seeds/small_cells.csv": _small_cells(known),
        project / "docs/feeds.md": _feeds_page(known),
        project / "docs/runbooks/feeds.md": _runbook_page(known),
    }


def _orphans() -> list[Path]:
    """Staging models of feeds that are no more."""
    made = _derived()
    folder = settings().project / "dbt_project/models/staging"
    return [path for path in sorted(folder.glob(f"{STAGED}*.sql")) if path not in made]


def _dbt_sources(known: tuple[Contract, ...]) -> str:
    tables: list[dict[str, Any]] = [
        {
            "name": contract.feed,
            "description": contract.title_ja,
            # Freshness is of the knowledge, not of the period: when did a load last succeed in looking at the source.
            "config": {
                "loaded_at_field": "known_from",
                "freshness": {"warn_after": {"count": contract.sla.wait_days, "period": "day"}},
            },
            "columns": [
                {"name": column.name, "description": f"{column.label_ja}：{column.description_ja}"}
                for column in contract.columns
            ],
        }
        for contract in known
    ]
    document = {"version": 2, "sources": [{"name": "raw", "schema": "raw", "tables": tables}]}
    return f"# {HEADER}\n{dump_yaml(document)}"


def _staging_model(contract: Contract) -> str:
    return f"-- {HEADER}\n{{{{ {_staged(contract)} }}}}\n"


def _staged(contract: Contract, more: str = "") -> str:
    """The macro call that stages a feed."""
    axes = [column.name for column in contract.axes if column.name not in ("period_kind", "measure_code")]
    listed = ", ".join(f"'{axis}'" for axis in axes)
    return f"staged_measures('{contract.feed}'{f', axes=[{listed}]' if axes else ''}{more})"


def _waiting(known: tuple[Contract, ...]) -> str:
    """The figures under embargo of the feeds that have one; without such a feed, of one that never has any."""
    files = _files(known)
    selects = [
        f"select *\nfrom (\n    {{{{ {_staged(contract, ', waiting=true')} }}}}\n) as {contract.feed}"
        for contract in [contract for contract in files if contract.embargo] or files[:1]
    ]
    return f"-- {HEADER}\n" + "\nunion all\n".join(selects) + "\n"


def _all_measures(known: tuple[Contract, ...]) -> str:
    """Every departmental feed in one: the shape is the same."""
    selects = [f"select * from {{{{ ref('{STAGED}{contract.feed}') }}}}" for contract in _files(known)]
    return f"-- {HEADER}\n" + "\nunion all\n".join(selects) + "\n"


def _staging_descriptions(known: tuple[Contract, ...]) -> str:
    models = [
        {"name": f"{STAGED}{contract.feed}", "description": f"{contract.title_ja}の、受け入れた値。"}
        for contract in _files(known)
    ]
    models.append(
        {"name": f"{STAGED}measures", "description": "部署から届くフィードすべての、受け入れた値。"}
    )
    models.append({"name": f"{STAGED}waiting", "description": "受け入れたが、公表日時の来ていない値。"})
    document = {"version": 2, "models": models}
    return f"# {HEADER}\n{dump_yaml(document)}"


def _file_feeds(known: tuple[Contract, ...]) -> str:
    """The departmental feeds, for the marts: one row per feed."""
    rows = [[contract.feed, contract.title_ja, contract.owner, contract.credit] for contract in _files(known)]
    return _csv(["feed", "feed_name", "owner_name", "credit"], rows)


def _feed_codes(known: tuple[Contract, ...]) -> str:
    """The codes of the departmental feeds in words, for the marts: one row per feed, column and code."""
    rows = []
    for contract in _files(known):
        for column in contract.axes:
            for position, (code, label) in enumerate(column.codes.items(), 1):
                seed_id = column.seed_ids.get(code, "")
                rows.append([contract.feed, column.name, code, label, seed_id, str(position)])
    return _csv(["feed", "column_name", "code", "label_ja", "seed_id", "display_order"], rows)


def _small_cells(known: tuple[Contract, ...]) -> str:
    """Which counts the marts do not show: one row per feed and measure."""
    rows = [
        [contract.feed, measure, source.small_cells.axis, str(source.small_cells.below)]
        for contract in _files(known)
        if isinstance(source := contract.source, FileSource) and source.small_cells
        for measure in source.small_cells.measures
    ]
    return _csv(["feed", "measure_code", "axis", "below"], rows)


def _files(known: tuple[Contract, ...]) -> list[Contract]:
    return [
        contract
        for contract in known
        if isinstance(contract.source, FileSource) and contract.status == "active"
    ]


def _csv(header: list[str], rows: list[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()


def _how_it_comes(contract: Contract) -> str:
    """Where a feed comes from and when, in words."""
    source, sla = contract.source, contract.sla
    if isinstance(source, EstatSource):
        return (
            f"- e-Stat 統計表 {source.table_id}\n"
            f"- 期間の種類：{source.cycle.kind}、取込：cron `{sla.cron}`（{sla.timezone}）、公表を最大 {sla.wait_days} 日待つ\n"
            f"- 最初の期間：{source.cycle.name(source.first_period)}、毎回さかのぼる月数：{source.reread_months}\n"
        )
    place = (
        f"取得先：{source.url}"
        if source.url
        else "受付フォルダーのファイル：" + "、".join(f"`{name}`" for name in source.file_names)
    )
    changed = "保留して所管課に確かめる" if source.revisions == "ask" else "新しい版として受け入れる"
    return f"- {place}\n- 期日：cron `{sla.cron}`（{sla.timezone}）から {sla.wait_days} 日\n- 受け入れ済みの実績値が変わったとき：{changed}\n"


def _feeds_page(known: tuple[Contract, ...]) -> str:
    pages = [f"<!-- {HEADER} -->\n# フィード一覧\n"]
    for contract in known:
        columns = "\n".join(
            f"| `{column.name}` | {column.label_ja} | {column.source_name or ''} | {column.sql_type} |"
            f" {'○' if column.is_key else ''} | {column.description_ja} |"
            for column in contract.columns
        )
        rules = "\n".join(
            f"| `{rule.name}` | {rule.severity} | {'全体' if rule.scope == 'table' else '行'} | {rule.reason_ja} |"
            for rule in contract.rules
        )
        marks = "、".join(f"`{mark}` {meaning}" for mark, meaning in contract.value.marks.items())
        pages.append(
            f"## {contract.title_ja}\n\n"
            f"`{contract.feed}`　版 {contract.version}　所管 {contract.owner}\n\n"
            f"{contract.description}\n\n"
            f"{_how_it_comes(contract)}"
            f"- 記号：{marks}\n"
            f"- ライセンス：{contract.licence}\n"
            f"- {contract.credit}\n\n"
            f"| 列 | 名称 | 元の名前 | 型 | キー | 説明 |\n|---|---|---|---|---|---|\n{columns}\n\n"
            f"| 検査 | 重大度 | 対象 | 理由 |\n|---|---|---|---|\n{rules}\n"
        )
    return "\n".join(pages)


def _runbook_page(known: tuple[Contract, ...]) -> str:
    """What somebody on call must know of each feed: what, whose, what depends on it, the last good value, how to do it again."""
    pages = [f"<!-- {HEADER} -->\n# フィードごとの事実\n"]
    for contract in known:
        kpis = "、".join(tag for tag in contract.tags if KPI_TAG.fullmatch(tag)) or "なし"
        last = f"select * from marts.mart_load_health where feed = '{contract.feed}'"
        if isinstance(contract.source, EstatSource):
            again = (
                f"`kpi load {contract.feed} --period YYYY-MM --force`（その月を取り直す）、"
                f"`airflow backfill create --dag-id {contract.feed} --from-date … --to-date …`（何か月も）"
            )
        else:
            again = (
                f"`kpi replay {contract.feed} --since YYYY-MM-DD`（何が変わるかを見るだけ。`--publish` で公表）、"
                f"`kpi load {contract.feed} --file ファイル`（手渡されたファイル）"
            )
        pages.append(
            f"## {contract.feed}\n\n"
            f"{contract.title_ja}（所管 {contract.owner}、契約 `expectations/{contract.feed}.odcs.yaml` 版 {contract.version}）\n\n"
            f"- 関係するKPI：{kpis}\n"
            f"{_how_it_comes(contract)}"
            f'- 最後に受け入れた値：`kpi db psql -- -c "{last}"`\n'
            f"- 1回の取込のやり直し：`kpi replay 取込番号`（保存した原本から。何度でもよい）\n"
            f"- まとめてやり直す：{again}\n"
        )
    return "\n".join(pages)
