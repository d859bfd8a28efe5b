"""Named plausibility rules: what a careful statistician would stop at before publishing.

A contract names a rule by `implementation.type` and gives its parameters as `kwargs`; there is no SQL in it. Each rule is one
class, listed in `NAMED` below under its name. It compiles to a query of unexpected rows, which Great Expectations runs with
all other rules of the suite, and to a query of the periods that it cannot judge, because the history is too short.

A rule looks at the state as it will be when the delivery is published: every delivered row, and the accepted rows that the
delivery does not speak of. It judges what is new in it: cells that were never accepted, and accepted ones that the delivery
changes by more than 2 %. So a figure that a person has released is part of what is known, and is not asked about again.
"""

from __future__ import annotations

from kpi_warehouse.contract import Contract, Rule
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.rules.kpi_sheet import RULES as KPI_SHEET
from kpi_warehouse.gate.rules.named_rule import NamedRule, rule_of
from kpi_warehouse.gate.rules.order import NeverFalls
from kpi_warehouse.gate.rules.other_period import CopyOfOtherPeriod, SameAsOtherPeriod
from kpi_warehouse.gate.rules.presence import EmptyPeriod, NotAfterToday, PartsKeepComing
from kpi_warehouse.gate.rules.revisions import NumberBecomesMark, RevisionSize
from kpi_warehouse.gate.rules.units import NotRounded, UnitSlip
from kpi_warehouse.gate.rules.whole_and_parts import ShareWithin, SumsWith
from kpi_warehouse.gate.rules.year_before import LikeTheYearBefore

SQL = "unexpected_rows_expectation"
NAMED: dict[str, type[NamedRule]] = {
    rule.name: rule
    for rule in (
        CopyOfOtherPeriod,
        EmptyPeriod,
        LikeTheYearBefore,
        NeverFalls,
        NotAfterToday,
        NotRounded,
        NumberBecomesMark,
        PartsKeepComing,
        RevisionSize,
        SameAsOtherPeriod,
        ShareWithin,
        SumsWith,
        UnitSlip,
    )
}


def named_rule(contract: Contract, rule: Rule) -> NamedRule | None:
    """The rule that a quality entry names, with its parameters; None for one that is SQL already (`rule_query`).

    Raises:
        ContractError: there is no rule of that name, or a parameter is wrong; names the parameter, what was found and expected.
    """
    if rule.expectation == SQL or rule.expectation in KPI_SHEET:
        return None
    if rule.expectation not in NAMED:
        raise ContractError(
            f"{contract.path.name}: 規則 {rule.name} の implementation.type「{rule.expectation}」は使えません。"
            f"期待：{SQL}（違反する行を返す SQL）か、名前のある規則（{'、'.join((*NAMED, *KPI_SHEET))}）",
            "contract.expectation",
        )
    return rule_of(NAMED[rule.expectation], contract, rule)


def rule_query(contract: Contract, rule: Rule) -> str:
    """The SQL of a rule: as the contract writes it, or made by the rule that it names.

    Raises:
        ContractError: as `named_rule`.
    """
    if rule.expectation in KPI_SHEET:
        try:
            return KPI_SHEET[rule.expectation](**rule.kwargs)
        except TypeError as error:
            raise ContractError(
                f"{contract.path.name}: 規則 {rule.name} の kwargs が {rule.expectation} のものではありません：{error}",
                "contract.rule_kwargs",
            ) from error
    named = named_rule(contract, rule)
    return named.query(contract) if named else str(rule.kwargs["unexpected_rows_query"])
