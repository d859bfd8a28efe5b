"""A row of the seed's table as an identity, for the tests of repair proposals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from kpi_warehouse.gate.identities import Figure, Identity
from kpi_warehouse.gate.repair import Proposal


def row(
    values: Sequence[int | str | None], total: int, *, line: int = 12, expected: int | None = None
) -> Identity:
    members = tuple(
        Figure(f"移住!{chr(66 + at)}{line}", f"転入／大阪圏／{at + 1}月", None if v is None else Decimal(v))
        for at, v in enumerate(values)
    )
    stated = Figure(f"移住!K{line}", "転入／大阪圏／計", Decimal(total))
    return Identity(f"row{line}", "計", stated, members, expected)


def only(found: tuple[Proposal, ...]) -> Proposal:
    assert len(found) == 1
    return found[0]
