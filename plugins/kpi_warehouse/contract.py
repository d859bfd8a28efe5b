"""The contract model: one ODCS file is the single home of everything known about a feed.

`load_contract` reads `expectations/<feed>.odcs.yaml`, checks it against the Open Data Contract Standard (the schema and
model of the standard's own package) and against what this product needs on top, and returns a `Contract`. Every error
names file, line and key, what was found and what was expected.

Source: Open Data Contract Standard 3.2, https://bitol-io.github.io/open-data-contract-standard/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from kpi_warehouse.contract_form import Form
from kpi_warehouse.contract_layout import Layout
from kpi_warehouse.errors import ContractError
from kpi_warehouse.japanese.areas import Areas
from kpi_warehouse.readers.estat_time import Cycle

# The column of a departmental feed that closes the period of a value; e-Stat's periods end by their kind.
PERIOD_END = "period_end"
# `question`, of the whole delivery alone: nothing of it is published until a person answers.
Severity = Literal["critical", "question", "warning", "info"]
Scope = Literal["table", "rows"]


@dataclass(frozen=True)
class Column:
    """One column of the feed: its name here and in the source, its type, and the closed lists that bound it."""

    name: str
    label_ja: str
    source_name: str | None
    sql_type: str
    required: bool
    is_key: bool
    description_ja: str
    unit: str | None
    codes: dict[str, str]
    marks: dict[str, str]
    axis_name: str | None
    synonyms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mark_status: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    seed_ids: dict[str, str] = field(default_factory=dict)
    areas: Areas | None = None


@dataclass(frozen=True)
class Rule:
    """One expectation beyond what the schema itself says: a Great Expectations configuration with severity and reason.

    `proves_key`: no key comes twice where this rule holds, so no index needs to be built to see it.
    """

    name: str
    severity: Severity
    scope: Scope
    reason_ja: str
    expectation: str
    kwargs: dict[str, Any]
    proves_key: bool = False


@dataclass(frozen=True)
class FixedAxis:
    """An axis that the table may have: recognised by a code it holds, narrowed to one code."""

    holds: str
    code: str


@dataclass(frozen=True)
class EstatSource:
    """Where an e-Stat feed comes from.

    `cycle` is what one period of the table is, `first_period` the first day of the first one. `reread_months` says how far
    before the newest period known the table is read again for revisions, `published_after_days` how long after the end of a
    period it is published at the earliest.
    """

    table_id: str
    stats_code: str
    title_holds: tuple[str, ...]
    cycle: Cycle
    first_period: date
    reread_months: int
    published_after_days: int
    fixed_axes: tuple[FixedAxis, ...]
    place_columns: ClassVar[dict[str, str]] = {"source_page": "integer not null"}


@dataclass(frozen=True)
class SmallCells:
    """Counts of people that are not shown: values below `below` of these measures, told apart by the codes of `axis`."""

    below: int
    axis: str
    measures: tuple[str, ...]


@dataclass(frozen=True)
class FileSource:
    """How the file of a division is recognised and read.

    `url` None means that the file is dropped into the inbox. `revisions` says what happens to a changed value that was
    accepted as actual: ``ask`` holds it until it is released, ``accept`` takes it as a new version. `covers` says what a
    delivery speaks of: of all there is of its ``periods``, or of its ``rows`` alone. `form` is what its template prints; None where none is handed out. `not_personal`: headings that look like personal data and are none.
    """

    file_names: tuple[str, ...]
    format: Literal["workbook", "delimited", "json"]
    encoding: str | None
    delimiter: str | None
    records: str
    url: str | None
    revisions: Literal["ask", "accept"]
    covers: Literal["periods", "rows"]
    layout: Layout
    form: Form | None = None
    not_personal: tuple[str, ...] = ()
    small_cells: SmallCells | None = None
    place_columns: ClassVar[dict[str, str]] = {
        "source_page": "integer not null",
        "source_cell": "text not null",
    }


@dataclass(frozen=True)
class Sla:
    """When the feed is due: a cron line in Asia/Tokyo, and how many days a month may be waited for after it."""

    cron: str
    wait_days: int
    timezone: str = "Asia/Tokyo"
    poke_minutes: int = 360


@dataclass(frozen=True)
class Embargo:
    """Until when the feed's figures are not shown: until `time` (`HH:MM`, Japan) of a day.

    The day is the one that the delivery says (`public_on`), else day `day` of the month `months_after` the month in which a
    figure's period ends, in a shorter month its last day; None: a figure of which the delivery says no day is shown at once.
    """

    time: str
    months_after: int | None = None
    day: int | None = None


@dataclass(frozen=True)
class Contract:
    """A feed as its contract declares it. `sha256` is of the file's bytes: it tells which text was in force."""

    feed: str
    title_ja: str
    version: str
    status: str
    tags: tuple[str, ...]
    description: str
    licence: str
    credit: str
    api_credit: str
    owner: str
    source: EstatSource | FileSource
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    gate_views: dict[str, str]
    sla: Sla
    embargo: Embargo | None
    path: Path
    sha256: str

    @property
    def key(self) -> tuple[Column, ...]:
        """Key columns in the contract's order; the first is always the period."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def period(self) -> Column:
        """The column that says on which day the period of a row begins."""
        return self.key[0]

    @property
    def period_names(self) -> tuple[str, str]:
        """The columns that hold the first and the last day of a row's period; the same one twice where only its start is said."""
        return self.period.name, PERIOD_END if PERIOD_END in self.key_names else self.period.name

    @property
    def axes(self) -> tuple[Column, ...]:
        """Key columns with a closed code list, that is every axis of the source but time."""
        return tuple(column for column in self.key if column.codes)

    @property
    def value(self) -> Column:
        """The measured column (the one that has a dictionary of missing marks)."""
        return next(column for column in self.columns if column.marks)

    @property
    def mark(self) -> Column:
        """The column that keeps the source's mark where the value is no number."""
        return next(column for column in self.columns if column.name == f"{self.value.name}_mark")

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(column.name for column in self.key)

    @property
    def attributes(self) -> tuple[Column, ...]:
        """Columns that say more about a value: neither key nor value nor mark."""
        return tuple(
            column for column in self.columns if not column.is_key and column not in (self.value, self.mark)
        )

    @property
    def said_columns(self) -> tuple[Column, ...]:
        """Columns that say something about a key; a row is another version when one of them differs."""
        return (self.value, self.mark, *self.attributes)

    @property
    def stage_columns(self) -> tuple[str, ...]:
        """Columns that a reader fills: key, what is said of it, and where the row came from."""
        return (*self.key_names, *(column.name for column in self.said_columns), *self.source.place_columns)


@cache
def contracts(folder: Path) -> tuple[Contract, ...]:
    """Every contract of a folder, in the order of their names.

    Raises:
        ContractError: a file is wrong, or the folder holds none (an empty list would pass every check unseen).
    """
    paths = sorted(folder.glob("*.odcs.yaml"))
    if not paths:
        raise ContractError(f"契約ファイル（*.odcs.yaml）が {folder} にひとつもありません。", "contract.none")
    return tuple(load_contract(path) for path in paths)


def feeds(folder: Path) -> set[str]:
    """The feeds of a folder, by the names of their contracts; none is read."""
    return {path.name.removesuffix(".odcs.yaml") for path in folder.glob("*.odcs.yaml")}


def find_contract(folder: Path, feed: str) -> Contract:
    """The contract of one feed.

    Raises:
        ContractError: no such feed; the message lists those there are.
    """
    path = folder / f"{feed}.odcs.yaml"
    if path.exists():
        return _one(path)
    known = "、".join(contract.feed for contract in contracts(folder))
    raise ContractError(f"フィード「{feed}」の契約がありません。あるもの：{known}", "contract.unknown_feed")


@cache
def _one(path: Path) -> Contract:
    return load_contract(path)


def load_contract(path: Path) -> Contract:
    """Read and check one contract file.

    Raises:
        ContractError: with file, line, key, what was found and what was expected, one line per fault.
    """
    from kpi_warehouse.contract_document import read_contract

    return read_contract(path)


def estat_source(contract: Contract) -> EstatSource:
    """The source of an e-Stat feed.

    Raises:
        ContractError: the feed comes as a file.
    """
    if not isinstance(contract.source, EstatSource):
        raise ContractError(
            f"{contract.feed} は e-Stat ではなくファイルで届くフィードです。", "contract.not_estat"
        )
    return contract.source


def file_source(contract: Contract) -> FileSource:
    """The source of a feed that comes as a file.

    Raises:
        ContractError: the feed comes from e-Stat.
    """
    if not isinstance(contract.source, FileSource):
        raise ContractError(
            f"{contract.feed} はファイルではなく e-Stat から取り込むフィードです。", "contract.not_a_file"
        )
    return contract.source
