"""dbt in this process: one build of the project in `dbt_project` into one schema, and what each node said."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict

from kpi_warehouse.errors import BuildFailed
from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import warehouse_url

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

# What dbt appends to a message for the author of a macro; of no use to a reader of the message.
_TRACES = ("\n  > in macro", "\n  compiled code at")
# Nothing that dbt commits has to outlive a crash before the swap commits, and that commit waits for all before it. Compiling a
# query costs more than it saves here, on a server that would do so.
_SESSION = "-c synchronous_commit=off -c jit=off"


@dataclass(frozen=True)
class Node:
    """One seed, model or test of a build. `status` is dbt's word; `message` is empty when all is well. Of a test that failed,
    `words_ja` is its description and `query` gives the failing rows, as long as what it read is there."""

    name: str
    kind: str
    status: str
    seconds: float
    message: str
    words_ja: str = ""
    query: str = field(default="", repr=False)

    @property
    def failed(self) -> bool:
        """Whether this node itself failed (not merely skipped because another did)."""
        return self.status in {"error", "fail", "runtime error"}


def build_into(
    schema: str,
    as_of: datetime | None,
    code_version: str,
    *,
    seeded: bool,
    left_out: Iterable[str] = (),
    only: Iterable[str] = (),
) -> tuple[Node, ...]:
    """Build and test every node into `schema`; dbt's unit tests run with the tests of the code, not here.

    Args:
        code_version: what the project's files are; as long as they stay, dbt need not parse them again.
        seeded: the seeds are there already.
        left_out: feeds whose history is read from the schema `<schema>_history`, where some of its steps are missing.
        only: names of nodes; these and what they are made of are built, and no other test runs.

    Raises:
        BuildFailed: dbt could not run at all (the project does not parse, no connection).
    """
    command = ["build", "--exclude-resource-types", "unit_test", "exposure", *(["seed"] if seeded else [])]
    if wanted := [f"+{name}" for name in only]:
        command += ["--indirect-selection", "empty", "--select", *wanted]
    variables: dict[str, Any] = {}
    if as_of is not None:
        variables["as_of"] = as_of.isoformat()
    if feeds := sorted(set(left_out)):
        variables["left_out"] = feeds
    return invoke(schema, *command, parsed=_parsed(schema, code_version), variables=variables)


def feeds_behind(schema: str, code_version: str, names: Iterable[str]) -> set[str]:
    """The feeds whose accepted history these nodes are made of, directly or not.

    Raises:
        BuildFailed: the project does not parse.
    """
    from dbt.contracts.graph.manifest import Manifest

    parsed = _parsed(schema, code_version)
    with _scratch() as scratch, connected(schema):
        outcome = _dbt(scratch, *_parsing(parsed), "--no-write-json", "parse")
    if not isinstance(outcome.result, Manifest):
        raise _not_run(outcome)
    nodes, wanted = outcome.result.nodes, set(names)
    waiting = [node for node in nodes.values() if _name(node) in wanted]
    found, visited = set(), set()
    while waiting:
        for above in waiting.pop().depends_on_nodes:
            if (source := outcome.result.sources.get(above)) is not None and source.source_name == "raw":
                found.add(source.name)
            elif above in nodes and above not in visited:
                visited.add(above)
                waiting.append(nodes[above])
    return found


def _parsed(schema: str, code_version: str) -> Path:
    return settings().home / "dbt" / f"{schema} {code_version}.msgpack"


def _parsing(parsed: Path | None) -> list[str]:
    """Options for a project that was parsed before, or not."""
    if parsed is not None and parsed.exists():
        return ["--partial-parse", "--partial-parse-file-path", str(parsed)]
    return ["--no-partial-parse"]


def invoke(
    schema: str, *command: str, parsed: Path | None = None, variables: Mapping[str, Any] | None = None
) -> tuple[Node, ...]:
    """Run one dbt command that ends in nodes (build, run, test) with `schema` as its target.

    Args:
        parsed: where the parsed project is kept between processes; None parses it anew. What dbt does not recognise as
            its own (another version or profile) it passes over.
        variables: the project's variables when the models are compiled. The project is parsed without them, so that no
            instant costs a parse of its own: what nodes there are, and how they hang together, must not depend on them.

    Raises:
        BuildFailed: see `build_into`.
    """
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.contracts.graph.manifest import Manifest

    with _scratch() as scratch, connected(schema):
        before = (*_parsing(parsed), "--no-write-json")
        if not variables:
            outcome = _dbt(scratch, *before, *command)
        else:
            outcome = _dbt(scratch, *before, "parse")
            if isinstance(outcome.result, Manifest):
                said = ("--vars", json.dumps(dict(variables)))
                outcome = _dbt(scratch, *before, *command, *said, project=outcome.result)
        if parsed is not None:
            _keep(Path(scratch, "target", "partial_parse.msgpack"), parsed)
    if not isinstance(outcome.result, RunExecutionResult):
        raise _not_run(outcome)
    return tuple(
        Node(
            name=_name(result.node),
            kind=str(result.node.resource_type),
            status=str(result.status),
            seconds=round(result.execution_time, 3),
            message=_explain(result),
            words_ja=result.node.description.strip(),
            query=_query(result),
        )
        for result in outcome.result.results
    )


def parse() -> Manifest:
    """The project as dbt understands it: every node with its configuration and resolved descriptions. Needs no database.

    Raises:
        BuildFailed: the project does not parse.
    """
    from dbt.contracts.graph.manifest import Manifest

    with _scratch() as scratch:
        outcome = _dbt(scratch, "--no-partial-parse", "--no-write-json", "parse")
    if not isinstance(outcome.result, Manifest):
        raise _not_run(outcome)
    return outcome.result


def docs_page(schema: str) -> str:
    """dbt's documentation of the project, with what is built in `schema`, as one HTML page.

    Raises:
        BuildFailed: see `build_into`.
    """
    with _scratch() as scratch, connected(schema):
        outcome = _dbt(scratch, "--no-partial-parse", "docs", "generate", "--static")
        if not outcome.success:
            raise _not_run(outcome)
        return Path(scratch, "target", "static_index.html").read_text(encoding="utf-8")


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Artifacts of a run are neither shared between processes nor kept: what matters of them goes to `ops`.

    A file that a thread of dbt still writes while the folder goes away costs no build.
    """
    return tempfile.TemporaryDirectory(prefix="kpi-dbt-", ignore_cleanup_errors=True)


def _dbt(scratch: str, *command: str, project: Manifest | None = None) -> dbtRunnerResult:
    """Run one dbt command; `project` is the parsed one, where it need not be parsed again."""
    from dbt.cli.main import dbtRunner

    folder = str(settings().project / "dbt_project")
    with _few_collections():
        return dbtRunner(project).invoke(
            [
                *("--log-level", "none", "--log-level-file", "none"),
                *command,
                *("--project-dir", folder, "--profiles-dir", folder),
                *("--target-path", f"{scratch}/target", "--log-path", f"{scratch}/logs"),
            ]
        )


@contextmanager
def _few_collections() -> Iterator[None]:
    """dbt keeps nearly all it makes until it ends; to look through that for garbage again and again took a quarter of a build."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _not_run(outcome: dbtRunnerResult) -> BuildFailed:
    failed = BuildFailed(f"dbt を実行できませんでした：{outcome.exception}", "marts.dbt")
    failed.__cause__ = outcome.exception
    return failed


def _keep(made: Path, kept: Path) -> None:
    """Put the parsed project in place whole, and take away those of earlier code. A full disk costs only the time saved."""
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in kept.parent.iterdir():
            if old != kept:
                old.unlink()
        shutil.copyfile(made, partial := kept.with_suffix(".part"))
        partial.replace(kept)


def _name(node: Any) -> str:
    """A node's name; versions of one model have theirs in it."""
    version = getattr(node, "version", None)
    return f"{node.name}.v{version}" if version else str(node.name)


def _explain(result: Any) -> str:
    """What a failing node means (its Japanese description), then what dbt or the database said."""
    if str(result.status) in {"success", "pass"}:
        return ""
    said = result.message or ""
    for trace in _TRACES:
        said = said.partition(trace)[0]
    return "\n".join(part.strip() for part in (result.node.description, said) if part.strip())


def _query(result: Any) -> str:
    """The statement of a failed test; dbt's own limits and counts are not in it."""
    failed = str(result.status) == "fail" and str(result.node.resource_type) == "test"
    return (result.node.compiled_code or "") if failed else ""


@contextmanager
def connected(schema: str) -> Iterator[None]:
    """The environment in which dbt, or a tool that reads its profile, works on `schema` of the warehouse."""
    with _environment(_connection_settings(schema)):
        yield


def _connection_settings(schema: str) -> dict[str, str]:
    """Environment that `dbt_project/profiles.yml` and libpq read. dbt hides variables with its secret prefix."""
    parts = conninfo_to_dict(warehouse_url())
    wanted = {
        "KPI_DBT_HOST": parts.get("host"),
        "KPI_DBT_PORT": parts.get("port"),
        "KPI_DBT_DATABASE": parts.get("dbname"),
        "KPI_DBT_USER": parts.get("user"),
        "KPI_DBT_SSLMODE": parts.get("sslmode"),
        "DBT_ENV_SECRET_KPI_PASSWORD": parts.get("password"),
        "KPI_DBT_SCHEMA": schema,
        "PGOPTIONS": _SESSION,
    }
    return {name: str(value) for name, value in wanted.items() if value is not None}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
