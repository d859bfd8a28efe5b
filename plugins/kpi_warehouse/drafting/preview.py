"""The preview of a draft: every cell of the samples, coloured by what the reader takes it for, as one HTML page.

The page is whole in itself (no script, no font, nothing from elsewhere) and says by a letter what it says by a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment

from kpi_warehouse.drafting.open_points import OpenPoint
from kpi_warehouse.readers.cell_uses import SheetUses, Use
from kpi_warehouse.readers.grid import Cell, column_letters
from kpi_warehouse.readers.places import places_in_words

# Use → its name, the letter in the cell's corner, and what it means.
USES: dict[Use, tuple[str, str, str]] = {
    "value": ("値", "値", "数値（または記号）として取り込む"),
    "label": ("見出し", "名", "行や列が何かを表す"),
    "period": ("期間", "期", "いつの値かを表す"),
    "total": ("合計", "計", "取り込まず、内訳の和と照らす"),
    "unit": ("単位", "単", "値の単位"),
    "title": ("表題", "題", "表の題名や説明"),
    "footnote": ("注", "注", "値に付く注記"),
    "note": ("備考", "備", "値とともに残す"),
    "ignored": ("読まない", "無", "読み飛ばす（理由は下書きにある）"),
    "unread": ("読めない", "？", "下書きがまだ説明できない。直すところ"),
}
MOST_ROWS, TAIL_ROWS, MOST_COLUMNS = 300, 40, 80
LONGEST_TEXT = 120


@dataclass(frozen=True)
class Shown:
    """A cell of the page."""

    text: str
    use: str
    letter: str
    hint: str
    rowspan: int = 1
    colspan: int = 1


@dataclass(frozen=True)
class ShownSheet:
    """A sheet of the page: letters of its columns, rows with their numbers (None for rows left out), and counts."""

    name: str
    file_name: str
    read: bool
    letters: list[str]
    rows: list[tuple[int | None, list[Shown]]]
    counts: list[tuple[str, str, int]]
    faults: list[tuple[str, str, str]]


def preview_page(
    title_ja: str,
    sheets: Sequence[tuple[str, SheetUses]],
    points: Sequence[OpenPoint],
    labels: dict[str, str],
) -> str:
    """The page.

    Args:
        sheets: file name and sheet, in order.
        points: what is open in the draft.
        labels: code → label of axes and measures, for what a value is said to be.
    """
    shown = [_sheet(name, uses, labels) for name, uses in sorted(sheets, key=lambda each: not each[1].read)]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    legend = [(use, *said) for use, said in USES.items()]
    unread = sum(uses.count("unread") for _, uses in sheets)
    values = sum(uses.count("value") for _, uses in sheets)
    return environment.from_string(_PAGE.replace("@STYLE@", _STYLE)).render(
        title=title_ja,
        sheets=shown,
        points=points,
        legend=legend,
        unread=unread,
        values=values,
    )


def _sheet(file_name: str, found: SheetUses, labels: dict[str, str]) -> ShownSheet:
    rows = found.sheet.rows
    width = min(len(rows[0]) if rows else 0, MOST_COLUMNS)
    count = len(rows) if found.read else min(len(rows), TAIL_ROWS)
    numbers: list[int | None] = list(range(count))
    if count > MOST_ROWS:
        # Of a long table its beginning and its end; rows with something unread are shown wherever they are.
        unread = sorted({row for (row, _), use in found.uses.items() if use == "unread"})[:TAIL_ROWS]
        kept = sorted({*range(MOST_ROWS - TAIL_ROWS), *range(count - TAIL_ROWS, count), *unread})
        numbers = []
        for at, row in enumerate(kept):
            if at and row != kept[at - 1] + 1:
                numbers.append(None)
            numbers.append(row)
    spans = _spans(found, {row for row in numbers if row is not None}, width)
    shown: list[tuple[int | None, list[Shown]]] = []
    for number in numbers:
        if number is None:
            shown.append((None, []))
            continue
        cells = [
            _cell(found, (number, column), rows[number][column], labels, spans)
            for column in range(width)
            if spans.get((number, column)) != (0, 0)
        ]
        shown.append((number + 1, cells))
    counts: list[tuple[str, str, int]] = [
        (use, said[0], found.count(use)) for use, said in USES.items() if found.count(use)
    ]
    faults = [
        (places_in_words(fault.place), fault.found[:LONGEST_TEXT], fault.expected_ja)
        for each in found.faults.values()
        for fault in each
    ][:50]
    letters = [column_letters(column) for column in range(width)]
    return ShownSheet(found.sheet.name, file_name, found.read, letters, shown, counts, faults)


def _spans(found: SheetUses, kept: set[int], width: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Merged areas among the rows that are shown: (rows, columns) at the top left, (0, 0) at what it covers."""
    areas: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in sorted(kept):
        for column, cell in enumerate(found.sheet.rows[row][:width]):
            if cell.merged_from is not None and cell.merged_from[0] in kept and cell.merged_from[1] < width:
                areas.setdefault(cell.merged_from, []).append((row, column))
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    for origin, covered in areas.items():
        bottom = max(row for row, _ in covered)
        right = max(column for _, column in covered)
        if any(row not in kept for row in range(origin[0], bottom + 1)):
            continue
        spans[origin] = (bottom - origin[0] + 1, right - origin[1] + 1)
        spans |= dict.fromkeys(covered, (0, 0))
    return spans


def _cell(
    found: SheetUses,
    at: tuple[int, int],
    cell: Cell,
    labels: dict[str, str],
    spans: dict[tuple[int, int], tuple[int, int]],
) -> Shown:
    rowspan, colspan = spans.get(at, (1, 1))
    use = found.uses.get(at)
    if use is None:
        return Shown("", "blank", "", "", rowspan, colspan)
    text = cell.text if len(cell.text) <= LONGEST_TEXT else f"{cell.text[:LONGEST_TEXT]}…"
    name, letter, _ = USES[use]
    return Shown(
        text,
        use,
        letter,
        f"{places_in_words(cell.place)}　{_hint(found, at, name, labels)}",
        rowspan,
        colspan,
    )


def _hint(found: SheetUses, at: tuple[int, int], name: str, labels: dict[str, str]) -> str:
    """What the reader makes of a cell, in words."""
    if faults := found.faults.get(at):
        return f"{name}。期待：{'／'.join(fault.expected_ja for fault in faults)}"
    said = []
    for row in found.rows.get(at, []):
        value = row.value_mark if row.value is None else f"{row.value:f}"
        what = "／".join(labels.get(code, code) for code in (*row.axes.values(), row.measure_code))
        said.append(
            f"{value}{row.unit or '（単位なし）'}　{what}　{row.period_kind} {row.period}〜{row.period_end}"
        )
    return "；".join(said) or name


_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --rule: #c9ced6; --soft: #f3f5f8; --quiet: #5b6370;
  --value: #d5ecd8; --label: #dbe6fb; --period: #fbe7c6; --total: #e6dcf7; --unit: #cdeef0; --title: #eceff3;
  --footnote: #f6e3ee; --note: #f3eedb; --ignored: #e4e6ea; --unread: #ffd0cc; --alarm: #a3140c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --paper: #16181b; --rule: #41474f; --soft: #1f2226;
  --quiet: #a2aab5; --value: #1f4429; --label: #223a63; --period: #574114; --total: #43316a; --unit: #124a4e;
  --title: #2b2f35; --footnote: #522c43; --note: #47401d; --ignored: #34383e; --unread: #6d1d18; --alarm: #ff9d94; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 110rem; background: var(--paper); color: var(--ink);
  font: 15px/1.6 "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", Meiryo, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .quiet { color: var(--quiet); } .alarm { color: var(--alarm); font-weight: 600; }
ul.legend { list-style: none; padding: 0; margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .4rem .6rem; }
ul.legend li { display: flex; align-items: center; gap: .4rem; font-size: .87rem; }
.key { padding: .1rem .55rem; border-radius: .3rem; border: 1px solid var(--rule); font-weight: 600; }
.frame { overflow: auto; width: fit-content; max-width: 100%; max-height: 80vh; border: 1px solid var(--rule); border-radius: .4rem; }
table { border-collapse: separate; border-spacing: 0; font-size: .87rem; }
th, td { border-right: 1px solid var(--rule); border-bottom: 1px solid var(--rule); padding: .2rem .5rem; }
thead th, tbody th { background: var(--soft); color: var(--quiet); font-weight: 500; text-align: center; }
thead th { position: sticky; top: 0; z-index: 1; } tbody th { position: sticky; left: 0; min-width: 2.6rem; }
td { position: relative; min-width: 3rem; max-width: 22rem; white-space: pre-wrap; vertical-align: middle; padding-left: 1.35rem; }
td.blank { padding-left: .5rem; }
td i { position: absolute; left: .22rem; top: .1rem; font-style: normal; font-size: .66rem; line-height: 1.3; color: var(--quiet); }
td.value { text-align: right; font-variant-numeric: tabular-nums; } td.total { text-align: right; font-style: italic; }
td.ignored { color: var(--quiet); text-decoration: line-through; text-decoration-color: var(--rule); }
td.unread { outline: 2px solid var(--alarm); outline-offset: -2px; font-weight: 600; } td.unread i { color: var(--alarm); }
td.gap { text-align: center; color: var(--quiet); }
.value { background: var(--value); } .label { background: var(--label); } .period { background: var(--period); }
.total { background: var(--total); } .unit { background: var(--unit); } .title { background: var(--title); }
.footnote { background: var(--footnote); } .note { background: var(--note); } .ignored { background: var(--ignored); }
.unread { background: var(--unread); }
ol, ul { padding-left: 1.4rem; } li { margin: .15rem 0; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="ja">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}：下見</title>
<style>@STYLE@</style>
</head>
<body>
<h1>{{ title }}：下見</h1>
<p>ファイルのどのセルを、契約（下書き）が何として読むか。値として取り込むセル {{ "{:,}".format(values) }} 個、
{% if unread %}<span class="alarm">まだ読めないセル {{ "{:,}".format(unread) }} 個</span>{% else %}読めないセルはありません{% endif %}。
セルにマウスを重ねると、どの指標のいつの値かが出ます。</p>
<ul class="legend">
{% for use, name, letter, about in legend %}
<li><span class="key {{ use }}">{{ letter }}</span>{{ name }}<span class="quiet">：{{ about }}</span></li>
{% endfor %}
</ul>
{% for sheet in sheets %}
<h2>{{ sheet.file_name }}　シート「{{ sheet.name }}」{% if not sheet.read %}<span class="quiet">（読まない）</span>{% endif %}</h2>
<p class="quiet">{% for use, name, count in sheet.counts %}{{ name }} {{ "{:,}".format(count) }}{% if not loop.last %}、{% endif %}{% endfor %}</p>
{% if sheet.rows %}
{% if not sheet.read %}<details><summary>中を見る</summary>{% endif %}
<div class="frame"><table>
<thead><tr><th></th>{% for letter in sheet.letters %}<th>{{ letter }}</th>{% endfor %}</tr></thead>
<tbody>
{% for number, cells in sheet.rows %}
{% if number is none %}
<tr><th>…</th><td class="gap" colspan="{{ sheet.letters | length }}">（途中の行は省略）</td></tr>
{% else %}
<tr><th>{{ number }}</th>{% for cell in cells %}<td class="{{ cell.use }}"{% if cell.rowspan > 1 %} rowspan="{{ cell.rowspan }}"{% endif %}{% if cell.colspan > 1 %} colspan="{{ cell.colspan }}"{% endif %}{% if cell.hint %} title="{{ cell.hint }}"{% endif %}>{% if cell.letter %}<i>{{ cell.letter }}</i>{% endif %}{{ cell.text }}</td>{% endfor %}</tr>
{% endif %}
{% endfor %}
</tbody>
</table></div>
{% if not sheet.read %}</details>{% endif %}
{% endif %}
{% if sheet.faults %}
<p class="alarm">読めないセル</p>
<ul>{% for place, found, expected in sheet.faults %}<li>{{ place }}：「{{ found }}」　期待：{{ expected }}</li>{% endfor %}</ul>
{% endif %}
{% endfor %}
{% if points %}
<h2>確かめるところ（{{ points | length }}）</h2>
<ol>{% for point in points %}<li>{{ point.line }} 行目　{{ point.part_ja }}{% if point.asked_ja %}：{{ point.asked_ja }}{% endif %}</li>{% endfor %}</ol>
{% endif %}
</body>
</html>
"""
