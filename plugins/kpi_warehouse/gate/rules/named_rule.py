"""What every named rule is: parameters that are checked, a query, and words for what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kpi_warehouse.contract import Column, Contract, Rule, Scope
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.rules.slices import Slice

Row = Mapping[str, Any]
# Shown of what is unusual, most unusual first; the rest is a number.
SHOWN = 5


class NamedRule(BaseModel, ABC):
    """A plausibility rule with its parameters.

    Subclasses say what they find in SQL over the placeholders that the suite resolves: `{staged}` all rows of the delivery,
    `{history}` the accepted ones, and the names of their own `views`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: ClassVar[str]
    scopes: ClassVar[tuple[Scope, ...]] = ("table",)
    # What usually lies behind it, the likeliest first.
    likely_ja: ClassVar[tuple[str, str]]

    def check(self, contract: Contract) -> None:
        """Raises:
        ValueError: a parameter does not fit the columns of the contract; says what is expected.
        """

    def views(self, contract: Contract) -> dict[str, str]:
        """Intermediate tables by name, each computed once for all rules that use it."""
        return {}

    @abstractmethod
    def query(self, contract: Contract) -> str:
        """The unexpected rows, the most unusual first."""

    def not_judged(self, contract: Contract) -> str | None:
        """The delivered periods (`period`) that cannot be judged, and `why`; None where every one can be."""
        return None

    @abstractmethod
    def finding_ja(self, contract: Contract, row: Row) -> str:
        """One unexpected row in words: what is unusual, and how unusual against what."""

    def evidence_ja(self, contract: Contract, rows: Sequence[Row], count: int) -> str:
        """What was found, in words for the owner: at most five rows, then the two likeliest explanations."""
        lines = [f"・{self.finding_ja(contract, row)}" for row in rows[:SHOWN]]
        if count > SHOWN:
            lines.append(f"・ほか {count - SHOWN:,} 件")
        first, second = self.likely_ja
        return "\n".join([*lines, f"考えられる原因：①{first}　②{second}"])


class SliceRule(NamedRule):
    """A rule about one slice of a feed: the rows whose key columns have certain codes.

    Args:
        where: key column → code or codes; empty means every row.
        recent_months: look only at so many months before the newest one delivered (for tables of millions of rows); None: all.
    """

    where: dict[str, str | list[str]] = Field(default_factory=dict)
    recent_months: int | None = Field(default=None, ge=1)

    def check(self, contract: Contract) -> None:
        keys = {column.name: column for column in contract.key}
        for name, codes in self.where.items():
            column = keys.get(name)
            if column is None:
                raise ValueError(f"where の {name}：キー列（{'、'.join(keys)}）のひとつ")
            unknown = set([codes] if isinstance(codes, str) else codes) - set(column.codes)
            if column.codes and unknown:
                raise ValueError(f"where の {name}：契約にあるコード（{'、'.join(sorted(unknown))} はない）")

    def slice(self, contract: Contract) -> Slice:
        """The rows that the rule is about."""
        return Slice.of(contract, self.where, self.recent_months)

    def views(self, contract: Contract) -> dict[str, str]:
        part = self.slice(contract)
        return {part.view: part.query}


def rule_of(kind: type[NamedRule], contract: Contract, rule: Rule) -> NamedRule:
    """A rule with the parameters of a quality entry.

    Raises:
        ContractError: a parameter is missing, unknown or of the wrong kind, or does not fit the contract's columns.
    """
    here = f"{contract.path.name}: 規則 {rule.name}（{kind.name}）"
    try:
        named = kind(**rule.kwargs)
        named.check(contract)
    except ValidationError as error:
        faults = "\n".join(
            f"{here} の kwargs.{'.'.join(map(str, fault['loc']))}：見つかったもの：{fault['input']!r}、期待：{fault['msg']}"
            for fault in error.errors()
        )
        raise ContractError(faults, "contract.rule_parameter") from error
    except ValueError as error:
        raise ContractError(f"{here} の kwargs：期待：{error}", "contract.rule_parameter") from error
    if rule.scope not in kind.scopes:
        raise ContractError(
            f"{here} の scope：見つかったもの：{rule.scope}、期待：{'、'.join(kind.scopes)}",
            "contract.rule_scope",
        )
    return named


def column_of(contract: Contract, name: str) -> Column | None:
    """A column by its name."""
    return next((column for column in contract.columns if column.name == name), None)


def period_ja(row: Row, name: str = "period", end: str = "period_end") -> str:
    """The period of a row, short: a month that starts on its first day and says no end is named by the month."""
    first, last = row[name], row.get(end)
    if last is None or last == first:
        return f"{first:%Y-%m}" if isinstance(first, date) and first.day == 1 else f"{first}"
    return f"{first}〜{last}"


def cell_ja(contract: Contract, row: Row) -> str:
    """The codes of a row in the words of the contract, leaving out totals and the period."""
    said = []
    for column in contract.axes:
        code = row.get(column.name)
        if code is not None and column.name != "period_kind":
            label = str(column.codes.get(code, code))
            if label not in ("総数", "移動者"):
                said.append(label)
    return "・".join(said) or "全体"


def number_ja(value: Any, contract: Contract) -> str:
    """A value with its unit where the contract has one for all."""
    shown = f"{float(value):,.10g}" if value is not None else "値なし"
    unit = contract.value.unit or ""
    return f"{shown}{unit}" if value is not None else shown
