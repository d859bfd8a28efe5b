"""Contract → Great Expectations suite.

Suites come from one contract, which ask everything in few scans: the **schema** (required columns, closed code lists),
which GX bundles into one query, and the **sweeps**, queries that count the violations of every rule: one for the rules that
prove the key, which have to sort out every row and take longest, one for all others, so that the server works on both at once.
When a sweep finds a rule broken, that rule alone is asked again as an expectation of its own, with its failing rows:
what is broken is small, what is sound is large.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import great_expectations as gx
from great_expectations.core import ExpectationSuite
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent import PostgresDatasource
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.datasource.fluent.sql_datasource import TableAsset
from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet
from great_expectations.expectations.core.expect_column_values_to_not_be_null import (
    ExpectColumnValuesToNotBeNull,
)
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.metadata_types import FailureSeverity

from kpi_warehouse.contract import Contract, FileSource, Rule
from kpi_warehouse.errors import ContractError
from kpi_warehouse.gate.rules import named_rule, rule_query
from kpi_warehouse.gate.rules.named_rule import NamedRule
from kpi_warehouse.warehouse.tables import stage_name

_PLACEHOLDER = re.compile(r"\{([a-z_0-9:]+)\}")
# Great Expectations has no word for a question; what came of a rule is decided by the verdict, not by this.
SEVERITIES = {
    "critical": FailureSeverity.CRITICAL,
    "question": FailureSeverity.WARNING,
    "warning": FailureSeverity.WARNING,
    "info": FailureSeverity.INFO,
}
# A rule that looks at one row at a time. What may reach beyond the row, or end the condition, is asked by itself.
_ROW_RULE = re.compile(
    r"\s*select \* from \{batch\}\s+where\s"
    r"(?P<condition>(?:(?!\b(?:select|group|having|window|order|limit|offset|fetch|for|union|except|intersect)\b|--|/\*|[{;]).)+)",
    re.IGNORECASE | re.DOTALL,
)
MARKS_KNOWN = "marks_known"
ACCEPTED_KEPT = "accepted_value_kept"


class ExpectNoRuleBroken(UnexpectedRowsExpectation):  # type: ignore[misc]
    """No rule of the contract finds a violation; the unexpected rows are (rule, violations).

    A row that `said` something instead names what a rule could not judge, and breaks nothing.
    Unlike its parent it asks once: the parent runs the query a second time to count rows that it already holds.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = [dict(row) for row in metrics["unexpected_rows_query.table"]]
        broken = [row for row in rows if row["violations"]]
        said = [row for row in rows if not row["violations"]]
        return {
            "success": not broken,
            "result": {"observed_value": len(broken), "details": {"broken": broken, "not_judged": said}},
        }


@dataclass(frozen=True)
class Compiled:
    """The rules of a contract with their SQL resolved; `{batch}` is left for GX, which puts the changed rows there.

    `named` holds the rules that the contract names instead of stating their SQL.
    """

    schema_expectations: list[Expectation]
    queries: dict[str, str]
    rules: dict[str, Rule]
    named: dict[str, NamedRule]
    sweep_queries: tuple[str, ...]

    def schema(self) -> ExpectationSuite:
        """What each column must be."""
        return ExpectationSuite(name="schema", expectations=self.schema_expectations)

    def sweeps(self) -> list[ExpectationSuite]:
        """One expectation over all rules of a sweep; the longest comes first."""
        return [
            ExpectationSuite(
                name="sweep",
                expectations=[
                    ExpectNoRuleBroken(unexpected_rows_query=query, severity=FailureSeverity.CRITICAL)
                ],
            )
            for query in self.sweep_queries
        ]

    def single(self, names: list[str]) -> ExpectationSuite:
        """One expectation for each of these rules."""
        expectations = [
            UnexpectedRowsExpectation(
                unexpected_rows_query=self.queries[name],
                severity=SEVERITIES[self.rules[name].severity],
                meta={"rule": name},
            )
            for name in names
        ]
        return ExpectationSuite(name="single", expectations=expectations)


def compile_contract(contract: Contract, load_id: int = 0) -> Compiled:
    """Make the suite of a contract for one load.

    Raises:
        ContractError: a rule uses an expectation or a placeholder that does not exist.
    """
    implied = [_marks_known(contract)]
    if isinstance(contract.source, FileSource) and contract.source.revisions == "ask":
        implied.append(_accepted_kept(contract))
    rules = {rule.name: rule for rule in (*contract.rules, *implied)}
    text = _Text(contract, rules, load_id)
    queries = {name: text.standalone(name) for name in rules}
    sweeps = tuple(_sweep_query(text, part) for part in _swept_together(text))
    return Compiled(_schema_expectations(contract), queries, rules, text.named, sweeps)


class _Text:
    """The SQL of a contract's rules, with tables where the placeholders stand.

    `{batch}` becomes the CTE `changed`, so that GX fills it in once; `{staged}` is the whole delivery, changed or not.
    """

    def __init__(self, contract: Contract, rules: dict[str, Rule], load_id: int) -> None:
        self.contract, self.rules, self.load_id = contract, rules, load_id
        self.named = {name: named for name, rule in rules.items() if (named := named_rule(contract, rule))}
        self.views = dict(contract.gate_views)
        for named in self.named.values():
            self.views.update(named.views(contract))

    def query(self, name: str) -> str:
        """The unexpected rows of a rule, placeholders and all."""
        return rule_query(self.contract, self.rules[name])

    def not_judged(self, name: str) -> str | None:
        """The periods that a rule cannot judge, placeholders and all."""
        return self.named[name].not_judged(self.contract) if name in self.named else None

    def used(self, text: str) -> list[str]:
        """The shared views that a text needs, those that others are made of first."""
        names: list[str] = []
        for name, query in self.views.items():
            if f"{{{name}}}" in text and name not in names:
                names += [each for each in (*self.used(query), name) if each not in names]
        return names

    def standalone(self, name: str) -> str:
        """A rule's query by itself."""
        return f"{self.clause(self.query(name))} select * from ({self.resolved(name, self.query(name))}) as q"

    def clause(self, text: str) -> str:
        """The `with` clause: the changed rows, and those shared views that the text uses, each computed once."""
        views = [
            f"{name} as materialized ({self.resolved(name, self.views[name])})" for name in self.used(text)
        ]
        return "with " + ", ".join(["changed as not materialized (select * from {batch})", *views])

    def resolved(self, name: str, query: str) -> str:
        """A query with tables in the place of placeholders; `name` is of the rule or view that states it."""

        def table(match: re.Match[str]) -> str:
            place, _, feed = match[1].partition(":")
            if place == "batch":
                return "changed"
            if place in self.views:
                return place
            if place == "staged":
                return f'stage."{stage_name(self.contract, self.load_id)}"'
            if place == "checks" and isinstance(self.contract.source, FileSource):
                return _stated_totals(self.contract, self.load_id)
            if place == "history" or (place == "accepted" and feed):
                return f"(select * from raw.{feed or self.contract.feed} where known_to = 'infinity')"
            raise ContractError(
                f"{self.contract.path.name}: 規則 {name} の {{{match[1]}}} は決められた表ではありません。"
                "期待：batch（変わった行）、staged（届いた行すべて）、history、checks（ファイルの計）、accepted:<フィード>、"
                f"{'、'.join(self.contract.gate_views)}",
                "contract.placeholder",
            )

        return _PLACEHOLDER.sub(table, query)


def _swept_together(text: _Text) -> list[dict[str, Rule]]:
    """The rules that prove the key and all others, or all in one where both need the same intermediate table."""
    parts = [
        {name: rule for name, rule in text.rules.items() if rule.proves_key is proves}
        for proves in (True, False)
    ]
    used = [{view for name in part for view in text.used(text.query(name))} for part in parts]
    return [text.rules] if used[0] & used[1] else [part for part in parts if part]


def _sweep_query(text: _Text, rules: dict[str, Rule]) -> str:
    """The broken rules and how often each is: one scan for all rules about single rows, and what each other rule needs.

    A named rule also says which periods it could not judge.
    """
    by_row: dict[str, str] = {}
    counts: list[str] = []
    needed: list[str] = []
    for name in rules:
        query = text.query(name)
        needed.append(query)
        if match := _ROW_RULE.fullmatch(query):
            by_row[name] = f'count(*) filter (where {match["condition"]}) as "{name}"'
            continue
        counts.append(
            f"select '{name}' as rule, count(*) as violations, null::text as said from ({text.resolved(name, query)}) as q"
        )
        if unknown := text.not_judged(name):
            needed.append(unknown)
            counts.append(
                f"select '{name}', 0, why || '：' || count(*) || ' 期間（' || min(period) || '〜' || max(period) || '）'"
                f" from ({text.resolved(name, unknown)}) as q group by why"
            )
    if by_row:
        counted_names = ", ".join(f"('{name}', \"{name}\")" for name in by_row)
        counts.append(
            f"select c.rule, c.violations, null::text as said from (select {', '.join(by_row.values())} from changed) as r"
            f" cross join lateral (values {counted_names}) as c (rule, violations)"
        )
    counted = "\nunion all\n".join(counts)
    return (
        f"{text.clause(' '.join(needed))} select rule, violations, said from ({counted}) as counted"
        " where violations > 0 or said is not null"
    )


def _schema_expectations(contract: Contract) -> list[Expectation]:
    expectations: list[Expectation] = []
    for column in contract.columns:
        if column.required:
            expectations.append(
                ExpectColumnValuesToNotBeNull(column=column.name, severity=FailureSeverity.CRITICAL)
            )
        if column.codes:
            expectations.append(
                ExpectColumnValuesToBeInSet(
                    column=column.name, value_set=list(column.codes), severity=FailureSeverity.CRITICAL
                )
            )
    return expectations


def _marks_known(contract: Contract) -> Rule:
    """Follows from the dictionary of marks: a cell that is no number must carry a mark whose meaning is known."""
    marks = ", ".join("'" + mark.replace("'", "''") + "'" for mark in contract.value.marks)
    return Rule(
        name=MARKS_KNOWN,
        severity="critical",
        scope="rows",
        reason_ja=f"数値でないセルは、意味の分かっている記号（{'、'.join(contract.value.marks)}）だけであること。",
        expectation="unexpected_rows_expectation",
        kwargs={
            "unexpected_rows_query": f"select * from {{batch}} where {contract.value.name} is null"
            f" and {contract.mark.name} not in ({marks})"
        },
    )


def _accepted_kept(contract: Contract) -> Rule:
    """Two deliveries of one period that differ are a question to the owner, not an overwrite."""
    key = ", ".join(f"h.{name}" for name in contract.key_names)
    mine = ", ".join(f"r.{name}" for name in contract.key_names)
    value = contract.value.name
    return Rule(
        name=ACCEPTED_KEPT,
        severity="critical",
        scope="rows",
        reason_ja="一度受け入れた実績値が変わっていないこと。変わった値は、所管課が確かめて承認するまで保留する。",
        expectation="unexpected_rows_expectation",
        kwargs={
            "unexpected_rows_query": f"select r.*, h.{value} as accepted_value from {{batch}} as r"
            f" join {{history}} as h on ({key}) = ({mine})"
            f" where h.value_status = 'actual' and h.{value} is distinct from r.{value}"
        },
    )


def _stated_totals(contract: Contract, load_id: int) -> str:
    """The file's own totals beside the sum of the cells they speak of; a total over a cell without number says nothing."""
    return (
        "(select c.name, c.place, c.label, c.stated, t.computed from ops.stated_total as c cross join lateral"
        f" (select sum(s.{contract.value.name}) as computed, count(s.{contract.value.name}) as numbers"
        f' from stage."{stage_name(contract, load_id)}" as s where s.source_cell = any(c.members)'
        " and (c.measure_code is null or c.measure_code = s.measure_code)) as t"
        f" where c.load_id = {load_id} and t.numbers = cardinality(c.members))"
    )


def accepted_feeds(contract: Contract) -> set[str]:
    """Other feeds whose accepted history the rules compare with."""
    return {
        match.removeprefix("accepted:")
        for rule in contract.rules
        for match in _PLACEHOLDER.findall(str(rule.kwargs))
        if match.startswith("accepted:")
    }


@contextmanager
def open_batch(url: str, table: str) -> Iterator[Batch]:
    """A table or view of the schema `stage` as a batch of GX's SQL engine; nothing of it is read yet.

    Context and connections are its own, so batches may be validated by threads at once.
    """
    for name in ("great_expectations", "great_expectations.core.batch_definition"):
        logging.getLogger(name).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.config.progress_bars = ProgressBarsConfig(globally=False)
    # Added whole: with each part that is added to it later, GX writes out its whole configuration once more.
    asset = TableAsset(name="batch", table_name=table, batch_definitions=[BatchDefinition(name="batch")])
    source = context.data_sources.add_postgres(
        PostgresDatasource(name="warehouse", connection_string=url, create_temp_table=False, assets=[asset])
    )
    try:
        yield source.get_asset("batch").get_batch_definition("batch").get_batch()
    finally:
        source.get_engine().dispose()


def validate(suite: ExpectationSuite, batch: Batch) -> list[Any]:
    """Run a suite; returns GX validation results, one per expectation (those that could not be evaluated come first)."""
    # A sweep says more than yes or no and costs the same. Of a column, listing the unexpected values costs a scan each, so it is
    # asked for only when something is broken.
    if suite.name == "sweep":
        return list(batch.validate(suite, result_format="COMPLETE").results)
    results = batch.validate(suite, result_format="BOOLEAN_ONLY")
    if not results.success:
        results = batch.validate(suite, result_format="COMPLETE")
    return list(results.results)
