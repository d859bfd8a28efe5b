"""A contract's YAML with the line of every key, so that a fault can be shown where it is.

Source of the schema: the package `open-data-contract-standard` (Open Data Contract Standard 3.2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kpi_warehouse.errors import ContractError

Key = tuple[str | int, ...]


# Far more than any contract has, and far from what makes a reader of nested parts give up.
DEEPEST, MOST_PARTS = 60, 100_000


def _refuse_endless(path: Path, root: yaml.Node) -> None:
    """A part that an alias (`*name`) stands for may hold that alias, or others that stand for ever more parts.

    Raises:
        ContractError: a part that contains itself, parts nested too deeply, or too many of them once aliases are written out.
    """
    seen, open_parts = 0, [(root, frozenset[int]())]
    while open_parts:
        node, within = open_parts.pop()
        seen += 1
        line = node.start_mark.line + 1
        if id(node) in within:
            raise ContractError(
                f"{path}:{line}: 見つかったもの：自分自身を含む部分（YAML の別名）、期待：書き下せる値",
                "contract.endless",
            )
        if len(within) > DEEPEST or seen > MOST_PARTS:
            raise ContractError(
                f"{path}:{line}: 見つかったもの：{len(within)} 段の入れ子、{seen:,} 個の部分（YAML の別名を書き下した数）、"
                f"期待：{DEEPEST} 段、{MOST_PARTS:,} 個まで",
                "contract.endless",
            )
        if isinstance(node, yaml.CollectionNode):
            parts = node.value if isinstance(node, yaml.SequenceNode) else [v for _, v in node.value]
            open_parts += [(part, within | {id(node)}) for part in parts]


@dataclass
class ContractFile:
    """The text of one contract, its parsed document, the line of every key and the faults found so far."""

    path: Path
    text: str
    document: dict[str, Any]
    lines: dict[Key, int]
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> ContractFile:
        """Parse the file.

        Raises:
            ContractError: unreadable file or YAML, or one key given twice (YAML would silently keep the last).
        """
        return cls.parse(path, bytes_of(path))

    @classmethod
    def parse(cls, path: Path, body: bytes) -> ContractFile:
        """Parse what was read of it. Raises as `read`."""
        try:
            text = body.decode("utf-8")
            node = yaml.compose(text, Loader=yaml.CSafeLoader)
            document = yaml.load(text, Loader=yaml.CSafeLoader)
        except UnicodeDecodeError as error:
            raise _unreadable(path, error) from error
        except RecursionError as error:
            raise ContractError(f"{path}:1: 入れ子が深すぎて読めません。", "contract.too_deep") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or str(error)
            raise ContractError(
                f"{path}:{line}: YAML として読めません：{problem}。字下げ、引用符、「: 」の空白を確認してください。",
                "contract.yaml",
            ) from error
        if not isinstance(document, dict) or node is None:
            raise ContractError(
                f"{path}:1: 見つかったもの：{type(document).__name__}、期待：キーと値の並び", "contract.yaml"
            )
        file = cls(path, text, document, {})
        _refuse_endless(path, node)
        file._index(node, ())
        file.raise_faults()
        return file

    def _index(self, node: yaml.Node, key: Key) -> None:
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for name, value in node.value:
                if name.value in seen:
                    self.lines[(*key, name.value)] = name.start_mark.line + 1
                    self.fault((*key, name.value), name.value, "一度だけ書かれたキー（二度書かれています）")
                seen.add(name.value)
                self.lines[(*key, name.value)] = name.start_mark.line + 1
                self._index(value, (*key, name.value))
        elif isinstance(node, yaml.SequenceNode):
            for position, value in enumerate(node.value):
                self._index(value, (*key, position))

    def check_standard(self) -> None:
        """Check against the ODCS JSON schema, then the package's own model.

        Raises:
            ContractError: one line per fault.
        """
        import pydantic
        from open_data_contract_standard.model import OpenDataContractStandard

        if not _keeps_schema(self.document):
            self._note_schema_faults()
            self.raise_faults()
        try:
            OpenDataContractStandard(**self.document)
        except pydantic.ValidationError as error:
            for detail in error.errors():
                self.fault(tuple(detail["loc"]), detail["input"], detail["msg"])
        self.raise_faults()

    def _note_schema_faults(self) -> None:
        import jsonschema

        schema = _schema()
        # A date or number where the schema wants text is a fault of the file, so YAML's own types stay as they are.
        errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(self.document)
        for error in sorted(errors, key=lambda error: str(list(error.absolute_path))):
            for leaf in error.context or [error]:
                self.fault(tuple(leaf.absolute_path), leaf.instance, leaf.message)

    def fault(self, key: Key, found: object, expected: str) -> None:
        """Note one fault at a key; the nearest enclosing key that exists in the file gives the line."""
        place = key
        while place and place not in self.lines:
            place = place[:-1]
        shown = "（なし）" if found is None else repr(found)
        shown = shown if len(shown) <= 80 else shown[:77] + "…"
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")
        self.faults.append(
            f"{self.path}:{self.lines.get(place, 1)}: {name}: 見つかったもの：{shown}、期待：{expected}"
        )

    def forbid(self, text: str, expected: str) -> None:
        """Note a fault at every line that holds the text."""
        for number, line in enumerate(self.text.splitlines(), 1):
            if text in line:
                self.faults.append(
                    f"{self.path}:{number}: 見つかったもの：{line.strip()[:80]}、期待：{expected}"
                )

    def raise_faults(self) -> None:
        """Raises:
        ContractError: faults were noted.
        """
        if self.faults:
            raise ContractError("\n".join(dict.fromkeys(self.faults)), "contract.invalid")


def bytes_of(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ContractError: unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ContractError:
    return ContractError(f"{path}: 契約ファイルを読めません（{error}）", "contract.unreadable")


class _Indented(yaml.SafeDumper):
    """Indents the items of a list, as the linter wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def dump_yaml(document: dict[str, Any]) -> str:
    """A document as the YAML of this project: keys in their order, Japanese as it is, lists indented."""
    return yaml.dump(document, Dumper=_Indented, allow_unicode=True, sort_keys=False, width=110)


def _keeps_schema(document: dict[str, Any]) -> bool:
    """Whether a document satisfies the standard's schema, found in a hundredth of the time that telling its faults takes."""
    try:
        return bool(_validator().is_valid(document))
    except ValueError:  # a type of YAML's own that JSON has not
        return False


@cache
def _validator() -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(_schema())


@cache
def _schema() -> dict[str, Any]:
    from open_data_contract_standard.model import OpenDataContractStandard

    schema: dict[str, Any] = json.loads(OpenDataContractStandard.json_schema())  # type: ignore[no-untyped-call]
    return schema
