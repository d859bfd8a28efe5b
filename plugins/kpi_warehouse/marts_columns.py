"""The published columns of the marts, kept in the tree: what BI reads changes by a decision, never by the way.

`dbt_project/published_columns.csv` lists every relation of the schema `marts` with its columns in order, their types and their
comments, as the dbt project declares them (and dbt enforces them, `contract: {enforced: true}`). `kpi marts columns` compares;
`--write` writes what has changed, unless it would break a reader: a column or relation gone, moved, of another type or under
another heading. Such a change needs a new version of the model, and the old one stays beside it for one whole 年度.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kpi_warehouse import clock
from kpi_warehouse.errors import ContractError
from kpi_warehouse.japanese.periods import fiscal_year
from kpi_warehouse.marts_swap import heading
from kpi_warehouse.settings import settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.contracts.graph.nodes import ModelNode

ROOMS = ("core", "marts")
OLD_VERSION = re.compile(r"(?P<name>.+)_v\d+")


@dataclass(frozen=True)
class Published:
    """A relation (`position` 0, no column) or a column of it. `until`: last day of a version that has a successor, else empty."""

    relation: str
    position: int
    column: str
    type: str
    comment: str
    until: str

    @property
    def binding(self) -> tuple[int, str, str, str]:
        """What a reader builds on: order, name, type and heading. The explanation behind the heading may change."""
        return self.position, self.column, self.type, heading(self.comment)


HEADER = list(Published.__annotations__)


def check_columns(project: Manifest, today: date | None = None) -> int:
    """Compare the tree's list with what the project (`marts_dbt.parse`) declares; returns the number of relations.

    Raises:
        ContractError: they differ, a model is without an enforced contract or a reader, or an old version is over.
    """
    declared, listed = _declared(project), _listed()
    if declared != listed:
        raise ContractError(
            f"公開している列の一覧（{_path().name}）が dbt の宣言と違います：\n{_differences(listed, declared)}\n"
            "`kpi marts columns --write` で書き直してください。",
            "columns.stale",
        )
    over = {one.relation for one in listed if one.until and one.until < f"{today or clock.today()}"}
    if over:
        raise ContractError(
            f"旧版の期限が過ぎています：{'、'.join(sorted(over))}。モデルの versions から除いてください。",
            "columns.version_over",
        )
    read = {name for exposure in project.exposures.values() for name in exposure.depends_on.nodes}
    unread = sorted(
        node.alias for node in _models(project) if node.unique_id not in read and not node.deprecation_date
    )
    if unread:
        raise ContractError(
            f"読み手の書かれていない表：{'、'.join(unread)}。誰が読むかを models/marts/_exposures.yml に書いてください。",
            "columns.no_reader",
        )
    return len({one.relation for one in declared})


def write_columns(project: Manifest, today: date | None = None) -> bool:
    """Write the list anew; returns whether it changed.

    Raises:
        ContractError: a change would break readers and the version they read is not kept.
    """
    declared, listed = _declared(project), _listed()
    broken = list(_broken(listed, declared, today or clock.today()))
    if broken:
        raise ContractError(
            "読み手を壊す変更です。何も書いていません。\n" + "\n".join(f"・{each}" for each in broken),
            "columns.breaking",
        )
    if declared == listed:
        return False
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([getattr(one, name) for name in HEADER] for one in declared)
    _path().write_text(text.getvalue(), encoding="utf-8")
    return True


def _path() -> Path:
    return settings().project / "dbt_project" / "published_columns.csv"


def _listed() -> list[Published]:
    if not _path().exists():
        return []
    with _path().open(encoding="utf-8", newline="") as lines:
        return [
            Published(
                row["relation"],
                int(row["position"]),
                row["column"],
                row["type"],
                row["comment"],
                row["until"],
            )
            for row in csv.DictReader(lines)
        ]


def _models(project: Manifest) -> list[ModelNode]:
    """The models that become relations of the schema `marts`."""
    return [
        node
        for node in project.nodes.values()
        if node.resource_type == "model" and node.fqn[1] in ROOMS and node.config.materialized != "ephemeral"
    ]


def _declared(project: Manifest) -> list[Published]:
    found: list[Published] = []
    loose: list[str] = []
    for node in _models(project):
        if not node.config.contract.enforced:
            loose.append(node.alias)
        deprecated = node.deprecation_date
        until = f"{deprecated:%Y-%m-%d}" if isinstance(deprecated, datetime) else ""
        if node.version is not None and not node.is_latest_version and not until:
            loose.append(f"{node.alias}（旧版には deprecation_date が要ります）")
        found.append(Published(node.alias, 0, "", "", _one_line(node.description), until))
        found += [
            Published(
                node.alias, at, column.name, column.data_type or "", _one_line(column.description), until
            )
            for at, column in enumerate(node.columns.values(), 1)
        ]
    if loose:
        raise ContractError(
            f"列の契約（contract: {{enforced: true}}）がないモデル：{'、'.join(sorted(loose))}",
            "columns.no_contract",
        )
    return sorted(found, key=lambda one: (one.relation, one.position))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _by_relation(published: Iterable[Published]) -> dict[str, list[Published]]:
    found: dict[str, list[Published]] = {}
    for one in published:
        found.setdefault(one.relation, []).append(one)
    return found


def _broken(listed: list[Published], declared: list[Published], today: date) -> Iterable[str]:
    """What a reader would miss, each in words."""
    before, after = _by_relation(listed), _by_relation(declared)
    kept = {name: [one.binding for one in lines] for name, lines in after.items()}
    # The 年度 that begins next, to its end.
    earliest = f"{fiscal_year(today) + 2}-03-31"
    for name, lines in after.items():
        if lines[0].until and name not in before and lines[0].until < earliest:
            yield f"{name}：旧版は少なくとも {earliest} まで残します（deprecation_date：{lines[0].until}）"
    for name, lines in before.items():
        wanted = [one.binding for one in lines]
        versions = [other for other in kept if (m := OLD_VERSION.fullmatch(other)) and m["name"] == name]
        if name not in after and lines[0].until and lines[0].until < f"{today}":
            continue
        missing = [one for one in lines if one.binding not in kept.get(name, [])]
        if missing and not any(kept[other] == wanted for other in versions):
            for one in missing:
                what = f"{name}.{one.column}" if one.column else name
                yield (
                    f"{what}（{one.position} 番目、{one.type or '表'}、見出し「{heading(one.comment)}」）がなくなるか変わります。"
                    f"新しい版（versions）を作り、いまの列を {name}_v… として残してください"
                )


def _differences(listed: list[Published], declared: list[Published]) -> str:
    lines = [f"・− {_said(one)}" for one in listed if one not in declared]
    lines += [f"・＋ {_said(one)}" for one in declared if one not in listed]
    return "\n".join(lines[:20] + ([f"・ほか {len(lines) - 20} 行"] if len(lines) > 20 else []))


def _said(one: Published) -> str:
    return f"{one.relation}.{one.column or '（表）'} {one.position} {one.type}「{one.comment}」{one.until}"
