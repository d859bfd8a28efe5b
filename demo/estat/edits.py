"""Other versions of a table: revised by the Ministry, or wrong in the ways the gate has to notice.

Every function takes a table and gives a new one; the old one stays as it was. `where` names cells by axis id
and code, for example `{"tab": "04", "area": "43000"}`; axes not named match every code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from demo.estat.tables import KUMAMOTO, NATIONALITIES, PREFECTURES, Axis, Member, Table, time_code

Where = Mapping[str, str]
Texts = list[str | None]
ATTEMPTS = 50


def set_text(table: Table, period: str, where: Where, text: str | None) -> Table:
    """Put `text` into every cell of the month that `where` names; None takes the rows away. For marks: `-`,
    `***`, `X`.
    """
    texts = list(table.months[time_code(period)])
    for place in _places(table, where):
        texts[place] = text
    return _with_months(table, {time_code(period): texts})


def add_persons(table: Table, period: str, where: Where, persons: int = 1) -> Table:
    """Add persons to the cells that `where` names and to nothing else, so that identities break (転入超過 ≠
    転入 − 転出).
    """
    texts = list(table.months[time_code(period)])
    for place in _places(table, where):
        if (text := texts[place]) is not None:
            texts[place] = str(int(text) + persons)
    return _with_months(table, {time_code(period): texts})


def without_month(table: Table, period: str, *, listed: bool = False) -> Table:
    """Leave a month out; with `listed` the time axis still names it."""
    code = time_code(period)
    months = {time: texts for time, texts in table.months.items() if time != code}
    return replace(table, months=months, listed_months=(*table.listed_months, *((code,) if listed else ())))


def until(table: Table, period: str) -> Table:
    """The table as it was when `period` was its newest month."""
    newest = time_code(period)
    return replace(table, months={time: texts for time, texts in table.months.items() if time <= newest})


def unknown_area(table: Table, code: str = "99000", *, like: str = KUMAMOTO, listed: bool = False) -> Table:
    """Add rows of an area nobody knows, with the values of `like`; with `listed` CLASS_INF names it."""
    at = _axis_at(table, "area")
    copied = [place for place, codes in enumerate(table.cells) if codes[at] == like]
    new = tuple((*table.cells[place][:at], code, *table.cells[place][at + 1 :]) for place in copied)
    months = {time: [*texts, *(texts[place] for place in copied)] for time, texts in table.months.items()}
    changed = replace(table, cells=(*table.cells, *new), months=months)
    if not listed:
        return changed
    area = table.axes[at]
    return _with_axis(changed, at, replace(area, members=(*area.members, Member(code, "不明", ""))))


def retitle(table: Table, title: str) -> Table:
    """The id now belongs to a table with another title."""
    return replace(table, title=title)


def other_survey(table: Table, stat_code: str, stat_name: str = "別の統計") -> Table:
    """The id now belongs to another 政府統計コード."""
    return replace(table, stat_code=stat_code, stat_name=stat_name)


def other_unit(table: Table, unit: str | None) -> Table:
    """Every `@unit` changes (千人), or disappears (None)."""
    axes = tuple(
        replace(axis, members=tuple(replace(m, unit=unit if m.unit else None) for m in axis.members))
        for axis in table.axes
    )
    return replace(table, unit=unit, axes=axes)


def recode(table: Table, axis: str, codes: Mapping[str, str]) -> Table:
    """Give members of an axis other codes (`{"02": "03", "03": "02"}` swaps two): names and values go with
    the member.
    """
    at = _axis_at(table, axis)
    members = tuple(replace(m, code=codes.get(m.code, m.code)) for m in table.axes[at].members)
    cells = tuple((*c[:at], codes.get(c[at], c[at]), *c[at + 1 :]) for c in table.cells)
    return _with_axis(replace(table, cells=cells), at, replace(table.axes[at], members=members))


def swap_axes(table: Table, first: str = "cat01", second: str = "area") -> Table:
    """Two axes change places, names and all: origin and destination the way the annual tables have them."""
    one, two = _axis_at(table, first), _axis_at(table, second)
    axes = list(table.axes)
    axes[one], axes[two] = replace(table.axes[two], id=first), replace(table.axes[one], id=second)
    cells = []
    for codes in table.cells:
        swapped = list(codes)
        swapped[one], swapped[two] = codes[two], codes[one]
        cells.append(tuple(swapped))
    return replace(table, axes=tuple(axes), cells=tuple(cells))


def transpose(table: Table) -> Table:
    """Origin and destination change places in the values, while the axes still say what they said."""
    swapped = swap_axes(table)
    return replace(swapped, axes=table.axes)


def rename_axis(table: Table, axis: str, new_id: str | None = None, new_name: str | None = None) -> Table:
    """An axis gets another id (cat02 → cat03) or another name."""
    at = _axis_at(table, axis)
    old = table.axes[at]
    return _with_axis(table, at, replace(old, id=new_id or old.id, name=new_name or old.name))


def split_by_nationality(table: Table) -> Table:
    """Add a nationality axis: 60000 holds the old values, 61000 and 62000 (one in twenty) add up to them."""
    at = _axis_at(table, "area")
    kinds = [member.code for member in NATIONALITIES]
    cells = tuple((*c[:at], kind, *c[at:]) for c in table.cells for kind in kinds)
    months = {
        time: [part for text in texts for part in _by_nationality(text)]
        for time, texts in table.months.items()
    }
    used = {axis.id for axis in table.axes}
    free = next(name for name in ("cat01", "cat02", "cat03", "cat04") if name not in used)
    axes = (*table.axes[:at], Axis(free, "国籍", NATIONALITIES), *table.axes[at:])
    return replace(table, axes=axes, cells=cells, months=months)


def revise(table: Table, fraction: float = 0.005, seed: int = 1) -> Table:
    """A later version, UPDATED_DATE a day newer, with about `fraction` of its values changed and every
    identity kept.

    Works for the two migration tables: persons move between cells so that sums stay what they were.
    """
    return _revised(table, list(table.months), fraction, seed)


def revise_month(table: Table, period: str, fraction: float = 0.01, seed: int = 1) -> Table:
    """As `revise`, within one month; at least one change."""
    return _revised(table, [time_code(period)], fraction, seed)


EDITS: dict[str, Callable[..., Table]] = {
    edit.__name__: edit
    for edit in (
        set_text,
        add_persons,
        without_month,
        until,
        unknown_area,
        retitle,
        other_survey,
        other_unit,
        recode,
        swap_axes,
        transpose,
        rename_axis,
        split_by_nationality,
        revise,
        revise_month,
    )
}


def _axis_at(table: Table, axis: str) -> int:
    return [each.id for each in table.axes].index(axis)


def _places(table: Table, where: Where) -> list[int]:
    wanted = [(_axis_at(table, axis), code) for axis, code in where.items()]
    places = [p for p, codes in enumerate(table.cells) if all(codes[at] == code for at, code in wanted)]
    if not places:
        raise KeyError(f"no cell of {table.id} at {dict(where)}")
    return places


def _with_months(table: Table, changed: Mapping[str, Texts]) -> Table:
    return replace(table, months={**table.months, **changed})


def _with_axis(table: Table, at: int, axis: Axis) -> Table:
    return replace(table, axes=(*table.axes[:at], axis, *table.axes[at + 1 :]))


def _by_nationality(text: str | None) -> tuple[str | None, str | None, str | None]:
    if text is None or not text.isdigit():
        return text, text, text
    foreign = int(text) // 20
    return text, str(int(text) - foreign), str(foreign)


def _revised(table: Table, times: list[str], fraction: float, seed: int) -> Table:
    chance = random.Random(seed)  # noqa: S311 - test data, not a secret
    months: dict[str, Texts] = {time: list(table.months[time]) for time in times}
    target = max(1, round(fraction * sum(len(texts) - texts.count(None) for texts in months.values())))
    steps = _flow_steps(table, chance) if "移動前" in table.axes[1].name else _moves_steps(table, chance)
    changed: set[tuple[str, int]] = set()
    for _ in range(ATTEMPTS * target):
        if len(changed) >= target:
            break
        time = chance.choice(times)
        changed |= {(time, place) for place in _apply(months[time], next(steps))}
    return replace(_with_months(table, months), updated_on=table.updated_on + timedelta(days=1))


def _apply(texts: Texts, step: dict[int, int]) -> list[int]:
    """Add the persons of a step to its cells, all or none: none where a cell is no number or would fall
    below 0.
    """
    new = {}
    for place, persons in step.items():
        text = texts[place]
        if text is None or not text.lstrip("-").isdigit() or (persons < 0 <= int(text) < -persons):
            return []
        new[place] = str(int(text) + persons)
    for place, text in new.items():
        texts[place] = text
    return list(new)


def _flow_steps(table: Table, chance: random.Random) -> Iterator[dict[int, int]]:
    """Two origins exchange one destination each: no margin changes, and a sex takes the total along."""
    places, prefectures = table.places, list(PREFECTURES)
    while True:
        one, other, here, there = chance.sample(prefectures, 4)
        sexes = {"0", chance.choice("12")} & {codes[2] for codes in table.cells}
        yield {
            places["02", origin, sex, area]: persons
            for sex in sexes
            for origin, area, persons in (
                (one, here, 1),
                (one, there, -1),
                (other, there, 1),
                (other, here, -1),
            )
        }


def _moves_steps(table: Table, chance: random.Random) -> Iterator[dict[int, int]]:
    """One person is counted in another prefecture: the nation stays, net follows, sex and nationality add
    up.
    """
    places, prefectures = table.places, list(PREFECTURES)
    while True:
        gains, loses = chance.sample(prefectures, 2)
        tab, sign = chance.choice((("02", 1), ("03", -1)))
        sexes, kinds = {"0", chance.choice("12")}, {"60000", chance.choice(("61000", "62000"))}
        wanted = {
            (item, sex, kind, area): persons
            for sex in sexes
            for kind in kinds
            for area, one in ((gains, 1), (loses, -1))
            for item, persons in ((tab, one), ("04", sign * one))
        }
        yield {places[codes]: persons for codes, persons in wanted.items() if codes in places}
