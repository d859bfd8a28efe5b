"""False answers about the months that the project holds, each as somebody or something could have made them.

Months are {"2024-09": {"43000": [in, out], …}}, persons, of the 47 prefectures. Every function changes the months it is given and
gives them back; the nation is summed from the prefectures afterwards, so all sums hold unless a lie about cells breaks them.
`balance` is the prefecture that absorbs a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date

from demo.estat import Table, edits
from demo.estat.published import moves, prefecture_moves
from demo.estat.tables import NATION, PREFECTURES, moves_table, time_code

Months = dict[str, dict[str, list[int]]]
KUMAMOTO, TOKYO, OSAKA, FUKUOKA = "43000", "13000", "27000", "40000"
AREAS = list(PREFECTURES)
# Exchanged or changed by less than true months differ: two of one size, or two whose difference is near the ordinary one.
WITHIN = {
    ("2024-11", "exchanged 46000 and 44000"),
    ("2024-11", "in of two exchanged"),
    ("2024-11", "in and out of Kyushu turned"),
    ("2024-11", "Nagano 700 more"),
    ("2024-11", "Kumamoto with the figures of half a year before"),
    ("2024-03", "exchanged 20000 and 21000"),
    ("2024-03", "exchanged 11000 and 12000"),
    ("2024-03", "in of two exchanged"),
    ("2024-03", "Nagano 700 more"),
}
TABS = ("02", "03", "04")
NEW, BEFORE = "2024-11", "2024-10"
SPRING, WINTER = "2024-03", "2024-02"


@dataclass(frozen=True)
class Lie:
    """What is served instead of the true months up to `new`; `since`: read again from this month.

    `within` says that it stays within what true months do, so that nobody can tell it by this table alone.
    """

    new: str
    kind: str
    table: Table
    since: str | None = None
    within: bool = False


def true_months(last: str) -> Months:
    """The published figures of all prefectures up to a month."""
    return {
        month: {area: list(pair) for area, pair in areas.items()}
        for month, areas in sorted(prefecture_moves().items())
        if len(areas) == len(PREFECTURES) and month <= last
    }


def table(months: Months) -> Table:
    """The months as e-Stat would serve them."""
    cells = [(tab, "0", "60000", area) for tab in TABS for area in (NATION, *AREAS)]
    texts = {}
    for month, areas in months.items():
        every = {NATION: [sum(pair[i] for pair in areas.values()) for i in (0, 1)], **areas}
        texts[time_code(month)] = [
            None
            if area not in every
            else str({"02": every[area][0], "03": every[area][1], "04": every[area][0] - every[area][1]}[tab])
            for tab, _, _, area in cells
        ]
    return moves_table(cells, texts, moves().updated_on)


def numbers(served: Table) -> dict[tuple[object, ...], int | None]:
    """The numbers of a table by first day of the month, item and area, as the warehouse keeps them."""
    return {
        (date(int(code[:4]), int(code[-2:]), 1), cell[0], cell[3]): int(text)
        for code, texts in served.months.items()
        for cell, text in zip(served.cells, texts, strict=True)
        if text is not None
    }


def after(month: str, by: int) -> str:
    """The month so many months later."""
    index = int(month[:4]) * 12 + int(month[5:]) - 1 + by
    return f"{index // 12}-{index % 12 + 1:02d}"


def balanced(t: Months, m: str, area: str) -> Months:
    t[m][area][0] += sum(o - i for i, o in t[m].values())
    return t


def exchanged(t: Months, m: str, a: str, b: str, items: Iterable[int] = (0, 1)) -> Months:
    """Two prefectures have changed places, in one item or both."""
    for item in items:
        t[m][a][item], t[m][b][item] = t[m][b][item], t[m][a][item]
    return t


def again(t: Months, m: str, source: str, areas: Iterable[str] = AREAS) -> Months:
    """The figures of another month once more, for all or some."""
    for area in areas:
        t[m][area] = list(t[source][area])
    return balanced(t, m, TOKYO)


def times(
    t: Months, m: str, factor: Callable[[int, str], float], balance: str = TOKYO, areas: Iterable[str] = AREAS
) -> Months:
    """Figures multiplied; the factor follows from the item (0 in, 1 out) and the area."""
    for area in areas:
        t[m][area] = [round(value * factor(item, area)) for item, value in enumerate(t[m][area])]
    return balanced(t, m, balance)


def added(t: Months, m: str, area: str, inflow: int, outflow: int, balance: str) -> Months:
    t[m][area] = [t[m][area][0] + inflow, t[m][area][1] + outflow]
    return balanced(t, m, balance)


def turned(t: Months, m: str, areas: Iterable[str] = AREAS, balance: str = TOKYO) -> Months:
    """In and out have changed places."""
    for area in areas:
        t[m][area].reverse()
    return balanced(t, m, balance)


def slipped(t: Months, m: str, by: int, items: Iterable[int] = (0, 1), areas: list[str] = AREAS) -> Months:
    """Rows slipped: every prefecture of a list has the figures of another one of it."""
    old = deepcopy(t[m])
    for at, area in enumerate(areas):
        for item in items:
            t[m][area][item] = old[areas[(at - by) % len(areas)]][item]
    return t


def months_slipped(t: Months, first: str) -> Months:
    old = deepcopy(t)
    for month in t:
        if month >= first:
            t[month] = deepcopy(old[after(month, -1)])
    return t


def months_exchanged(t: Months, a: str, b: str) -> Months:
    t[a], t[b] = t[b], t[a]
    return t


def rounded(t: Months, m: str, to: int) -> Months:
    """Figures retyped from a chart: rounded."""
    return times(t, m, lambda item, area: round(t[m][area][item] / to) * to / t[m][area][item])


def noisy_copy(t: Months, m: str, source: str, factor: float, noise: float) -> Months:
    """An estimate: another month, scaled, with a little noise of its own."""
    t[m] = {
        area: [
            round(value * factor * (1 + noise * (((7 * at + 5 * item) % 9) - 4) / 4))
            for item, value in enumerate(t[source][area])
        ]
        for at, area in enumerate(AREAS)
    }
    return balanced(t, m, TOKYO)


def one_total(t: Table, month: str, tab: str, by: int) -> Table:
    return edits.add_persons(t, month, {"tab": tab, "area": NATION}, by)


def marked(t: Table, month: str, area: str | None, mark: str, tabs: tuple[str, ...] = TABS) -> Table:
    """Marks in the place of numbers, of one area or all."""
    for tab in tabs:
        where = {"tab": tab} if area is None else {"tab": tab, "area": area}
        t = edits.set_text(t, month, where, mark)
    return t


def written(t: Table, month: str, form: str) -> Table:
    code = time_code(month)
    texts = [form.format(int(text or 0)) for text in t.months[code]]
    return replace(t, months={**t.months, code: texts})


def codes_turned(t: Table, month: str, tabs: tuple[str, str]) -> Table:
    """The codes of two items exchanged for one month."""
    code, at = time_code(month), {cell: place for place, cell in enumerate(t.cells)}
    other = {tabs[0]: tabs[1], tabs[1]: tabs[0]}
    texts = [t.months[code][at[(other.get(cell[0], cell[0]), *cell[1:])]] for cell in t.cells]
    return replace(t, months={**t.months, code: texts})


def months_to_come(t: Months, last: str) -> Months:
    """Months that have not happened, each like the year before."""
    while (month := after(max(t), 1)) <= last:
        noisy_copy(t, month, after(month, -12), 1.0, 0.05)
    return t


def lies(today: str) -> list[Lie]:  # noqa: PLR0915 - a list
    """Every lie, of an ordinary month and of the month in which a quarter of the year's moves happen.

    Args:
        today: this month, YYYY-MM.
    """
    told: list[Lie] = []

    def tell(new: str, kind: str, change: Callable[[Months], Months], since: str | None = None) -> None:
        told.append(Lie(new, kind, table(change(true_months(new))), since, (new, kind) in WITHIN))

    def tell_cells(new: str, kind: str, change: Callable[[Table], Table], since: str | None = None) -> None:
        told.append(Lie(new, kind, change(table(true_months(new))), since))

    for new, pairs, factor in (
        (NEW, (("46000", "44000"), ("33000", "34000"), ("04000", "07000")), 0.86),
        (SPRING, ((KUMAMOTO, "45000"), ("20000", "21000"), ("11000", "12000")), 1.15),
    ):
        last = after(new, -1)
        for a, b in pairs:
            tell(new, f"exchanged {a} and {b}", lambda t, a=a, b=b, new=new: exchanged(t, new, a, b))
        tell(new, "in of two exchanged", lambda t, new=new: exchanged(t, new, KUMAMOTO, "33000", (0,)))
        tell(new, "out of two exchanged", lambda t, new=new: exchanged(t, new, "09000", "08000", (1,)))
        tell(new, "the month before once more", lambda t, new=new, last=last: again(t, new, last))
        tell(new, "the year before once more", lambda t, new=new: again(t, new, after(new, -12)))
        tell(
            new,
            "half of the prefectures of the month before",
            lambda t, new=new, last=last: again(t, new, last, AREAS[::2]),
        )
        tell(
            new, "the year before, scaled", lambda t, new=new: noisy_copy(t, new, after(new, -12), 0.97, 0.0)
        )
        tell(
            new,
            "the year before, scaled with noise",
            lambda t, new=new: noisy_copy(t, new, after(new, -12), 1.02, 0.02),
        )
        tell(
            new,
            "another month, scaled",
            lambda t, new=new, last=last: noisy_copy(t, new, after(last, -4), 0.95, 0.01),
        )
        tell(new, "in and out turned", lambda t, new=new: turned(t, new))
        tell(new, "in and out of Kyushu turned", lambda t, new=new: turned(t, new, AREAS[39:46]))
        tell(
            new,
            f"another population, {factor}",
            lambda t, new=new, factor=factor: times(t, new, lambda *_: factor),
        )
        tell(new, "half of the month", lambda t, new=new: times(t, new, lambda *_: 0.5, FUKUOKA))
        tell(new, "counted twice", lambda t, new=new: times(t, new, lambda *_: 2.0))
        tell(
            new,
            "one sex in the place of all",
            lambda t, new=new: times(t, new, lambda item, area: 0.45 + len(area) / 1000),
        )
        tell(
            new,
            "outflow of the nation scaled",
            lambda t, new=new: times(t, new, lambda item, _: 1.3 if item else 1.0, TOKYO),
        )
        tell(new, "rows slipped by three", lambda t, new=new: slipped(t, new, 3))
        tell(new, "rows slipped in one item", lambda t, new=new: slipped(t, new, 1, (0,)))
        tell(new, "rows of Kyushu slipped", lambda t, new=new: slipped(t, new, 1, areas=AREAS[39:46]))
        tell(
            new,
            "Kumamoto's inflow half as much again",
            lambda t, new=new: times(t, new, lambda item, _: 1.0 if item else 1.5, FUKUOKA, [KUMAMOTO]),
        )
        tell(
            new,
            "Kumamoto's outflow without a digit",
            lambda t, new=new: times(t, new, lambda item, _: 0.1 if item else 1.0, TOKYO, [KUMAMOTO]),
        )
        tell(
            new,
            "a digit too many in Tottori",
            lambda t, new=new: times(t, new, lambda item, _: 10.0 if item else 1.0, TOKYO, ["31000"]),
        )
        tell(new, "Nagano 700 more", lambda t, new=new: added(t, new, "20000", 0, 700, TOKYO))
        tell(
            new,
            "Kumamoto with the figures of half a year before",
            lambda t, new=new: again(t, new, after(new, -5), [KUMAMOTO]),
        )
        tell(new, "zeros", lambda t, new=new: times(t, new, lambda *_: 0))
        tell(new, "one prefecture is zero", lambda t, new=new: times(t, new, lambda *_: 0, TOKYO, ["36000"]))
        tell(new, "rounded to hundreds", lambda t, new=new: rounded(t, new, 100))
        tell(new, "rounded to tens", lambda t, new=new: rounded(t, new, 10))
        tell(new, "two months slipped", lambda t, last=last: months_slipped(t, last))
        tell(
            new,
            "the month and the one before exchanged",
            lambda t, new=new, last=last: months_exchanged(t, new, last),
        )
        tell(
            new,
            "the month and the year before exchanged",
            lambda t, new=new: months_exchanged(t, new, after(new, -12)),
            after(new, -12),
        )
        tell(
            new,
            "the month before revised by -410",
            lambda t, last=last: added(t, last, KUMAMOTO, -410, 0, OSAKA),
        )
        tell(
            new,
            "all of the month before revised by 1.5 %",
            lambda t, last=last: times(t, last, lambda *_: 1.015),
        )
        tell(
            new,
            "an old month revised by 520",
            lambda t, new=new: added(t, after(new, -8), "40000", 520, 0, OSAKA),
            after(new, -10),
        )
        tell_cells(
            new,
            "the nation's outflow and net",
            lambda t, new=new: one_total(one_total(t, new, "03", 1500), new, "04", -1500),
        )
        tell_cells(new, "the nation's net", lambda t, new=new: one_total(t, new, "04", 321))
        tell_cells(
            new,
            "the nation's three, each consistent",
            lambda t, new=new: one_total(one_total(t, new, "02", 900), new, "03", 900),
        )
        tell_cells(
            new,
            "a mark in an old month",
            lambda t, new=new: marked(t, after(new, -7), KUMAMOTO, "***"),
            after(new, -9),
        )
        tell_cells(new, "marks in the whole new month", lambda t, new=new: marked(t, new, None, "-"))
        tell_cells(
            new, "codes of in and out exchanged", lambda t, new=new: codes_turned(t, new, ("02", "03"))
        )
        tell_cells(
            new, "codes of in and net exchanged", lambda t, new=new: codes_turned(t, new, ("02", "04"))
        )
        tell_cells(new, "decimals", lambda t, new=new: written(t, new, "{}.0"))
        tell_cells(new, "commas", lambda t, new=new: written(t, new, "{:,}"))
    tell(NEW, "exchanged 43000 and 42000", lambda t: exchanged(t, NEW, KUMAMOTO, "42000"))
    tell(NEW, "exchanged 24000 and 26000 in one item", lambda t: exchanged(t, NEW, "24000", "26000", (0,)))
    tell(
        SPRING,
        "exchanged 40000 and 43000 in one item",
        lambda t: exchanged(t, SPRING, "40000", "43000", (1,)),
    )
    tell(SPRING, "exchanged 16000 and 29000", lambda t: exchanged(t, SPRING, "16000", "29000"))
    tell(NEW, "Nagano 1,200 more", lambda t: added(t, NEW, "20000", 0, 1200, TOKYO))
    tell(NEW, "months up to next month", lambda t: months_to_come(t, after(today, 1)))
    return told
