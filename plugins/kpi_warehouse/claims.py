"""Prose with numbers against the marts: each claim of an annotated file is right, wrong with the true value, or open.

A file binds every number to one query on `marts`::

    claims:
      - id: C12
        quote: R4→R5は約1,300人の拡大        # the prose, as it stands
        number: 約1,300人                    # the number in it
        query: select … from marts.fct_kpi_value …
      - id: C19
        quote: 264組427名（R5年度比 約1.2倍）
        number: 約1.2倍
        open: R5年度の値が届いていません      # no query: what is missing

A number without a qualifier must be met exactly. 約 allows what rounds to the number at its last written digit that is not
zero: 約1,300 is 1,250 to 1,349. 以上 is a lower bound, `a～b` a range that every row of the query must keep to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import psycopg
import yaml

from kpi_warehouse.errors import KpiError
from kpi_warehouse.japanese.numbers import read_number
from kpi_warehouse.japanese.widths import Unreadable, fold
from kpi_warehouse.warehouse.connection import connect

Verdict = Literal["✓", "✗", "要確認"]
KEYS = {"id", "quote", "number", "query", "open"}
RANGE = re.compile(r"[～〜~]")
QUERY_TIMEOUT = "30s"


@dataclass(frozen=True)
class Claim:
    """One number of the prose and the query that answers it; `open_reason` stands where no query can."""

    claim_id: str
    quote: str
    number: str
    query: str | None
    open_reason: str


@dataclass(frozen=True)
class Checked:
    """A claim with its verdict; `found_ja` is what the marts say, or what is missing."""

    claim: Claim
    verdict: Verdict
    found_ja: str


@dataclass(frozen=True)
class _Bounds:
    """The values that the words allow: from `low` (included) to `high` (included only when the number is exact)."""

    low: Decimal
    high: Decimal | None
    exact: bool

    def hold(self, value: Decimal) -> bool:
        if value < self.low or self.high is None:
            return value >= self.low
        return value <= self.high if self.exact else value < self.high


def check(path: Path) -> list[Checked]:
    """Check every claim of a file against the marts in use, in the order of the file.

    Raises:
        KpiError: the file cannot be read, a claim lacks a part, or a query fails; the message names the claim.
    """
    claims = read(path)
    with connect("kpi_transformer", autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = on")
        connection.execute(f"set statement_timeout = '{QUERY_TIMEOUT}'")
        return [_check(connection, path, claim) for claim in claims]


def read(path: Path) -> list[Claim]:
    """The claims of an annotated file.

    Raises:
        KpiError: see `check`.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KpiError(f"{path} を読めません：{error}", "claims.unreadable") from error
    entries = document.get("claims") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise KpiError(f"{path}：`claims:` の並びがありません。", "claims.empty")
    return [_claim(path, position, entry) for position, entry in enumerate(entries, start=1)]


def _claim(path: Path, position: int, entry: Any) -> Claim:
    where = f"{path} の {position} 件目"
    if not isinstance(entry, dict) or not {"id", "quote", "number"} <= set(entry) <= KEYS:
        raise KpiError(
            f"{where}：id・quote・number と、query 又は open が必要です（見つかったもの：{entry}）。",
            "claims.parts",
        )
    if ("query" in entry) == ("open" in entry):
        raise KpiError(
            f"{where}（{entry['id']}）：query と open のどちらか一方を書いてください。", "claims.parts"
        )
    claim = Claim(
        str(entry["id"]),
        str(entry["quote"]),
        str(entry["number"]),
        entry.get("query"),
        str(entry.get("open", "")),
    )
    if fold(claim.number) not in fold(claim.quote):
        raise KpiError(
            f"{where}（{claim.claim_id}）：number「{claim.number}」が quote「{claim.quote}」の中にありません。",
            "claims.not_in_quote",
        )
    return claim


def _check(connection: psycopg.Connection, path: Path, claim: Claim) -> Checked:
    if claim.query is None:
        return Checked(claim, "要確認", claim.open_reason)
    try:
        bounds = _bounds(claim.number)
    except Unreadable as error:
        raise KpiError(f"{path} の {claim.claim_id}：{error}", "claims.number") from error
    try:
        rows = connection.execute(claim.query.encode()).fetchall()
    except psycopg.Error as error:
        raise KpiError(
            f"{path} の {claim.claim_id}：query を実行できません。\n{str(error).strip()}", "claims.query"
        ) from error
    values = [row[0] for row in rows if row[0] is not None]
    if not values or len(values) < len(rows):
        return Checked(claim, "要確認", "マートに値がありません")
    try:
        numbers = [Decimal(value) for value in values]
    except (TypeError, ArithmeticError):
        raise KpiError(
            f"{path} の {claim.claim_id}：query の最初の列は数値にしてください（見つかったもの：{values[0]!r}）。",
            "claims.query",
        ) from None
    found = "、".join(f"{number.normalize():,f}" for number in numbers)
    return Checked(claim, "✓" if all(bounds.hold(number) for number in numbers) else "✗", found)


def _bounds(number: str) -> _Bounds:
    ends = [read_number(part) for part in RANGE.split(number)]
    qualifiers = "・".join(end.qualifier or "" for end in ends)
    half = (
        max(_last_place(end.value) for end in ends) / 2
        if re.search("約|およそ|程度|概ね", qualifiers)
        else Decimal(0)
    )
    low, high = min(end.value for end in ends), max(end.value for end in ends)
    return _Bounds(low - half, None if "以上" in qualifiers else high + half, exact=not half)


def _last_place(value: Decimal) -> Decimal:
    """The weight of the last digit that is not zero: 100 for 1,300, 0.1 for 1.2."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent)
