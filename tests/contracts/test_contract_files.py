"""Every contract is a valid ODCS document, says what the product needs, and a wrong one says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from kpi_warehouse.contract import Contract, contracts, file_source, load_contract
from kpi_warehouse.derived import check_derived
from kpi_warehouse.errors import ContractError
from kpi_warehouse.settings import settings

FEEDS = ["estat_migration_flow_monthly", "estat_migration_monthly"]
KNOWN = {contract.feed: contract for contract in contracts(settings().contracts)}
MONTHLY = KNOWN["estat_migration_monthly"]


def test_the_feeds_are_exactly_these() -> None:
    assert [feed for feed in sorted(KNOWN) if feed.startswith("estat_")] == FEEDS
    assert len(KNOWN) == len(FEEDS) + 13


@pytest.mark.parametrize("feed", sorted(KNOWN))
def test_any_odcs_tool_can_read_it(feed: str) -> None:
    document = OpenDataContractStandard.from_file(str(KNOWN[feed].path))
    assert document.id == feed
    assert document.apiVersion == "v3.2.0"


@pytest.mark.parametrize("feed", FEEDS)
def test_it_is_described_in_both_languages_with_its_credit(feed: str) -> None:
    contract = KNOWN[feed]
    assert "(EN)" in contract.description
    assert "e-Stat" in contract.credit and "加工して作成" in contract.credit
    assert "国によって保証されたものではありません" in contract.api_credit
    assert contract.licence


@pytest.mark.parametrize("feed", FEEDS)
def test_every_rule_has_a_reason_and_compiles(feed: str) -> None:
    from kpi_warehouse.gate.suite import compile_contract  # seconds, for the one process that has this test

    contract = KNOWN[feed]
    compiled = compile_contract(contract)
    assert len(contract.rules) >= 5
    assert all(len(rule.reason_ja) > 10 for rule in contract.rules)
    assert {rule.name for rule in contract.rules} < set(compiled.queries)


def test_prefecture_codes_are_47_and_text() -> None:
    area = next(column for column in MONTHLY.columns if column.name == "area_code")
    assert len(area.codes) == 48
    assert area.codes["00000"] == "全国"
    assert area.codes["43000"] == "熊本県"
    flow = KNOWN["estat_migration_flow_monthly"]
    assert all(len(axis.codes) == 47 for axis in flow.axes if axis.name.endswith("area_code"))


def test_the_monthly_flow_table_has_the_origin_in_cat01() -> None:
    """The annual tables have it the other way round; carrying the mapping over would turn every flow about."""
    axes = {axis.source_name: axis for axis in KNOWN["estat_migration_flow_monthly"].axes}
    assert axes["cat01"].name == "origin_area_code" and axes["cat01"].axis_name == "移動前"
    assert axes["area"].name == "destination_area_code"


def test_files_made_from_contracts_are_current() -> None:
    check_derived()


def broken(tmp_path: Path, old: str, new: str, contract: Contract = MONTHLY) -> tuple[Path, int]:
    """A copy of a contract with one text replaced; returns its path and the line of the replacement."""
    text = contract.path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, old
    path = tmp_path / contract.path.name
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path, text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("severity: critical", "severity: critcal", "severity", "critical / question / warning / info"),
        ("logicalType: date", "logicalType: dat", "logicalType", "date"),
        ("physicalType: integer", "physicalType: float", "physicalType", "integer / bigint"),
        ('value: "02", label', "value: 02, label", "enum", "引用符"),
        ("  - property: frequency", "  - proprety: frequency", "slaProperties", "property"),
        (
            'firstPeriod\n        value: "2018-01"',
            'firstPeriod\n        value: "2018"',
            "customProperties",
            "YYYY-MM",
        ),
        ("scope, value: table", "scope, value: cells", "customProperties", "table / rows"),
        ("apiVersion: v3.2.0", "apiVersion: v9.9.9", "apiVersion", "v3.2.0"),
        ("engine: greatExpectations", "engine: soda", "quality", "greatExpectations"),
        ("team:\n  name: 企画振興部 地域振興課", "team:\n  name:", "team", "string"),
    ],
)
def test_a_typo_is_reported_with_file_line_key_and_expectation(
    tmp_path: Path, old: str, new: str, key: str, expected: str
) -> None:
    path, line = broken(tmp_path, old, new)
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    message = caught.value.message_ja
    assert str(path) in message
    assert key in message
    assert expected in message
    reported = {int(part.split(":")[1]) for part in message.splitlines()}
    assert any(abs(number - line) <= 3 for number in reported), (line, message)


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    path, line = broken(tmp_path, "status: active", "status: active\nstatus: draft")
    with pytest.raises(ContractError, match=f":{line + 1}: status") as caught:
        load_contract(path)
    assert "二度" in caught.value.message_ja


def test_a_contract_in_force_has_nothing_left_to_be_checked(tmp_path: Path) -> None:
    path, line = broken(tmp_path, "tags: [e-Stat", "tags: [（要確認）, e-Stat")
    with pytest.raises(ContractError, match=f":{line}: .*要確認"):
        load_contract(path)


def test_yaml_that_does_not_parse_names_the_line(tmp_path: Path) -> None:
    path, line = broken(tmp_path, "status: active", "status: active\n  : : broken")
    with pytest.raises(ContractError, match=f":{line + 1}:"):
        load_contract(path)


def test_a_file_name_that_is_not_the_id_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "another_name.odcs.yaml"
    path.write_text(MONTHLY.path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ContractError, match="ファイル名と同じ id"):
        load_contract(path)


def test_a_rule_over_an_unknown_table_names_the_choices(tmp_path: Path) -> None:
    from kpi_warehouse.gate.suite import compile_contract  # seconds, for the one process that has this test

    path, _ = broken(tmp_path, "from {moves}", "from {movements}")
    with pytest.raises(ContractError, match=r"\{movements\}.*batch.*history"):
        compile_contract(load_contract(path))


def test_an_empty_folder_is_an_error_not_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="ひとつもありません"):
        contracts(tmp_path)


def test_codes_survive_yaml(tmp_path: Path) -> None:
    """An unquoted 01000 is 512 to YAML 1.1: the contracts must be free of such codes."""
    for contract in KNOWN.values():
        document = yaml.safe_load(contract.path.read_text(encoding="utf-8"))
        for column in document["schema"][0]["properties"]:
            assert all(isinstance(entry["value"], str) for entry in column.get("enum", []))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("- {property: notPersonal, value: {講師氏名: 公人の名}}\n      - {property: format", ""),
        ("- {property: notPersonal, value: {講師氏名: ''}}\n      - {property: format", "個人情報でない理由"),
        ("- {property: notPersonal, value: [講師氏名]}\n      - {property: format", "個人情報でない理由"),
    ],
)
def test_a_heading_is_vouched_for_with_a_reason(tmp_path: Path, new: str, expected: str) -> None:
    path = tmp_path / "uij_turn.odcs.yaml"
    path.write_text(KNOWN["uij_turn"].path.read_text("utf-8").replace("- {property: format", new, 1), "utf-8")
    if expected:
        with pytest.raises(ContractError, match=expected):
            load_contract(path)
    else:
        assert file_source(load_contract(path)).not_personal == ("講師氏名",)


@pytest.mark.parametrize(("kind", "count"), [("municipalities", 45), ("prefectures", 47), ("villages", 0)])
def test_a_column_may_take_its_codes_from_the_list_of_areas(tmp_path: Path, kind: str, count: int) -> None:
    text = KNOWN["company_contacts"].path.read_text("utf-8")
    listed = text[
        text.index("        enum:\n          - value: job_fair") : text.index("      - name: measure_code")
    ]
    path = tmp_path / "company_contacts.odcs.yaml"
    areas = f"        customProperties:\n          - {{property: areas, value: {kind}}}\n"
    path.write_text(text.replace(listed, areas), "utf-8")
    if count:
        (column,) = [each for each in load_contract(path).columns if each.name == "activity_code"]
        assert len(column.codes) == count and column.areas is not None
    else:
        with pytest.raises(ContractError, match="prefectures / municipalities"):
            load_contract(path)
