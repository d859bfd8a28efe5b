"""Repair proposals: which single typing slip, if any, explains an identity that does not add up (計 ≠ sum of its cells).

Any cell of a row can absorb the difference, so arithmetic alone never decides. What a cell would have to be follows from
the identities; the question asked here is whether a person who meant that number would have typed the one found. Only
when exactly one cell passes is it proposed, and an owner still has to say yes: nothing here changes a value.

Pure functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Literal

from kpi_warehouse.gate.identities import Evidence, Figure, Identity, amount, tables_of, with_neighbours
from kpi_warehouse.gate.typing_slips import Slip, slip_between

Kind = Literal["one", "none", "ambiguous"]
# Iglewicz and Hoaglin's bound for the robust score 0.6745 × |x − median| ÷ MAD.
_OUTLIER = Decimal("3.5")
_LISTED = 6


@dataclass(frozen=True, slots=True)
class Edit:
    """A cell, the number found, the number it would have to be, and the slip that leads from one to the other.

    `confirmed` is True when a second source states the proposed number, False when it states another, else None.
    """

    place: str
    label: str
    found: str
    proposed: Decimal
    slip: Slip
    restores: tuple[str, ...]
    evidence_ja: tuple[str, ...]
    confirmed: bool | None = None
    weight: Decimal = field(default=Decimal(0), repr=False)

    @property
    def message_ja(self) -> str:
        """`転入／大阪圏／5月（C12）：16 → 165。最後の 5 が落ちた打ち間違いと考えられます。根拠：…。`"""
        return (
            f"{self.label}（{self.place}）：{self.found} → {amount(self.proposed)}。{self.slip.says_ja}と考えられます。"
            f"根拠：{'、'.join(self.evidence_ja)}。"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one table (identities that share cells); `broken` names those that do not hold."""

    kind: Kind
    edits: tuple[Edit, ...]
    message_ja: str
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A cell that a second source states otherwise."""

    place: str
    label: str
    found: Decimal
    second: Decimal
    message_ja: str


def proposals(
    identities: Sequence[Identity], evidence: Mapping[str, Evidence] | None = None
) -> tuple[Proposal, ...]:
    """One proposal for each table with a broken identity, in the order given; none when all hold.

    Identities that share a cell, directly or through others, are one table. An edit is a candidate only when all
    identities of the table hold after it, so where rows *and* columns have totals, a wrong cell is never proposed.

    Raises:
        ValueError: the same place has two values.
    """
    given = with_neighbours(identities, evidence or {})
    return tuple(
        _proposal(table, given)
        for table in tables_of(identities)
        if any(identity.broken for identity in table)
    )


def disagreements(
    cells: Iterable[Figure], second_source: Mapping[str, Decimal], second_name: str = "照合先"
) -> tuple[Disagreement, ...]:
    """Cells that the second source (place → value) states otherwise, whether the totals hold or not.

    Finds what no total sees: two slips that cancel each other, and two values that changed places.
    """
    differing = [
        (cell, cell.value, second_source[cell.place])
        for cell in cells
        if cell.value is not None and second_source.get(cell.place, cell.value) != cell.value
    ]
    partners: dict[tuple[Decimal, Decimal], list[Figure]] = defaultdict(list)
    for cell, found, second in differing:
        partners[second, found].append(cell)
    found_all = []
    for cell, found, second in differing:
        slip = slip_between(found, second)
        said = f"{cell.label}（{cell.place}）：{cell.shown} ですが、{second_name}では {amount(second)} です。"
        partner = partners[found, second]
        if len(partner) == 1:
            said += f"{partner[0].label}（{partner[0].place}）と値が入れ替わっています。"
        elif slip:
            said += f"{slip.says_ja}と考えられます。"
        found_all.append(Disagreement(cell.place, cell.label, found, second, said))
    return tuple(found_all)


def _proposal(table: list[Identity], evidence: Mapping[str, Evidence]) -> Proposal:
    broken = [identity for identity in table if identity.broken]
    names = tuple(identity.name for identity in broken)
    gaps = [identity for identity in broken if identity.missing]
    if gaps:
        return Proposal("none", (), _gap_message(gaps[0]), names)
    every = sorted(_edits(table, broken, evidence), key=lambda edit: (-edit.weight, edit.place))
    edits = tuple(edit for edit in every if edit.confirmed is not False)
    if not edits:
        return Proposal("none", (), _none_message(broken, every, evidence), names)
    denied = _denied_elsewhere(table, evidence, every)
    confirmed = [edit for edit in edits if edit.confirmed]
    if len(confirmed) == 1 or (len(every) == 1 and not denied):
        one = (confirmed or edits)[0]
        said = one.message_ja
        if len(every) > 1:
            said += f"計だけなら {len(every)} 通りの直し方がありますが、{evidence[one.place].second_name}と一致するのはこれだけです。"
        return Proposal("one", (one,), said + denied, names)
    return Proposal("ambiguous", edits, _ambiguous_message(every, evidence) + denied, names)


def _edits(table: list[Identity], broken: list[Identity], evidence: Mapping[str, Evidence]) -> Iterable[Edit]:
    """Every cell whose change restores all identities of the table and is a known slip."""
    shared = set.intersection(*({figure.place for figure in identity.figures} for identity in broken))
    for figure in {figure.place: figure for figure in broken[0].figures}.values():
        coefficient = broken[0].coefficient(figure.place)
        if figure.place not in shared or not coefficient or figure.value is None:
            continue
        change = -broken[0].difference / coefficient
        if any(identity.difference + identity.coefficient(figure.place) * change != 0 for identity in table):
            continue
        required = figure.value + change
        known = evidence.get(figure.place, Evidence())
        slip = slip_between(figure.value, required) or _copy(figure.value, known)
        if slip:
            yield _edit(figure, required, slip, broken, known)


def _copy(found: Decimal, known: Evidence) -> Slip | None:
    if abs(found) < 10 and len(found.normalize().as_tuple().digits) < 2:
        return None  # Of one digit: 3 stands beside 3 in every small table.
    if found in known.beside:
        return Slip("shifted_period", "隣の月（列）と同じ値で、隣のセルを写した間違い")
    if found == known.above:
        return Slip("copied_from_above", "1 つ上の行と同じ値で、上のセルを写した間違い")
    return None


def _edit(figure: Figure, required: Decimal, slip: Slip, broken: list[Identity], known: Evidence) -> Edit:
    assert figure.value is not None
    said = [
        f"ほかの {len(identity.members)} セルの和と一致"
        if identity.stated.place == figure.place
        else f"{identity.label} {identity.stated.shown} と一致"
        for identity in broken
    ]
    weight = Decimal(len(broken)) - (slip.kind in ("shifted_period", "copied_from_above"))
    outlier = _outlier(figure.value, required, known.others)
    if outlier:
        said.append(outlier)
        weight += 2
    confirmed = None
    if known.last_year is not None and _nearer(known.last_year, required, figure.value):
        said.append(f"前年同月 {amount(known.last_year)} に近い")
        weight += 1
    if known.second is not None:
        confirmed = known.second == required
        weight += 10 if confirmed else -10
        if confirmed:
            said.append(f"{known.second_name}の {amount(known.second)} と一致")
    names = tuple(identity.name for identity in broken)
    return Edit(
        figure.place, figure.label, figure.shown, required, slip, names, tuple(said), confirmed, weight
    )


def _outlier(found: Decimal, required: Decimal, others: Sequence[Decimal]) -> str | None:
    """Says so when the number found stands far from the others of its row and the proposed one does not."""
    if len(others) < 4:
        return None
    middle = median(others)
    spread = median(abs(other - middle) for other in others)
    if not spread or not middle:
        return None
    scores = [Decimal("0.6745") * abs(value - middle) / spread for value in (found, required)]
    if scores[0] <= _OUTLIER or scores[1] >= scores[0]:
        return None
    share = (100 * found / middle).quantize(Decimal(1))
    return (
        f"いまの値は同じ行のほかの {len(others)} つの中央値 {amount(middle)} の {share} % しかない"
        if (0 <= share < 100)
        else f"いまの値は同じ行のほかの {len(others)} つの中央値 {amount(middle)} から大きく外れる"
    )


def _nearer(reference: Decimal, required: Decimal, found: Decimal) -> bool:
    return abs(required - reference) < abs(found - reference)


def _gap_message(identity: Identity) -> str:
    there = sum(member.value is not None for member in identity.members)
    wanted = max(identity.expected or 0, len(identity.members))
    if identity.stated.value is None or there == wanted:
        return f"{identity.label}（{identity.stated.place}）が空欄のため、打ち間違いを探せません。計を入れてください。"
    return (
        f"{identity.label}：{wanted} 個あるはずの値が {there} 個しかありません。差の {amount(identity.difference)} は計算で"
        "出せても、どの欄の値かは計算では決められないため、提案しません。欠けている欄を原資料で確かめてください。"
    )


def _none_message(broken: list[Identity], refuted: Sequence[Edit], evidence: Mapping[str, Evidence]) -> str:
    if refuted:
        return (
            f"打ち間違いとして説明できる直し方は照合先の値と合わないため、提案しません：{_ways(refuted, evidence)}。"
            "原資料で確かめてください。"
        )
    listed = "、".join(
        f"{identity.label}（{identity.stated.place}）{identity.stated.shown} とセルの和の差 {amount(identity.difference)}"
        for identity in broken[:_LISTED]
    )
    listed += f" ほか {len(broken) - _LISTED} か所" if len(broken) > _LISTED else ""
    if len(broken) == 1:
        return (
            f"{listed}。打ち間違い 1 つで差がなくなるセルはありません。2 か所以上の誤り、別の数え方の計、または"
            "打ち間違いではない誤りが考えられます。原資料で確かめてください。"
        )
    return (
        f"{listed}。1 つのセルの打ち間違いだけで、すべての計を合わせることはできません。2 か所以上が違っている可能性が"
        "あります。原資料で確かめてください。"
    )


def _ambiguous_message(every: Sequence[Edit], evidence: Mapping[str, Evidence]) -> str:
    if len(every) == 1:
        return f"打ち間違いの候補は 1 つありますが、決められません：{_ways(every, evidence)}。原資料で確かめてください。"
    return (
        f"打ち間違いとして説明できる直し方が {len(every)} 通りあり、計だけではどれか決められません：{_ways(every, evidence)}。"
        "原資料で確かめてください。"
    )


def _ways(edits: Sequence[Edit], evidence: Mapping[str, Evidence]) -> str:
    said = []
    for number, edit in enumerate(edits[:_LISTED], start=1):
        known = evidence.get(edit.place, Evidence())
        note = (
            f"。ただし{known.second_name}では {amount(known.second)}"
            if edit.confirmed is False and known.second is not None
            else ""
        )
        said.append(
            f"（{number}）{edit.label}（{edit.place}）{edit.found} → {amount(edit.proposed)}（{edit.slip.says_ja}{note}）"
        )
    return "、".join(said) + (f" ほか {len(edits) - _LISTED} 通り" if len(edits) > _LISTED else "")


def _denied_elsewhere(table: list[Identity], evidence: Mapping[str, Evidence], edits: Sequence[Edit]) -> str:
    """Says which cells, other than the candidates, a second source states otherwise; empty when there are none."""
    own = {edit.place for edit in edits}
    said = {
        figure.place: f"{figure.label}（{figure.place}）は {figure.shown} に対し {known.second_name}では {amount(known.second)}"
        for identity in table
        for figure in identity.figures
        if figure.place not in own
        and (known := evidence.get(figure.place, Evidence())).second is not None
        and known.second != figure.value
    }
    listed = list(said.values())
    more = f" ほか {len(listed) - _LISTED} か所" if len(listed) > _LISTED else ""
    return f"なお、別のセルも照合先と違います：{'、'.join(listed[:_LISTED])}{more}。" if listed else ""
