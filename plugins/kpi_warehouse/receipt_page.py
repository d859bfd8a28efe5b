"""A receipt as one page to print: what stands behind a number, for a council answer. Self-contained HTML."""

from __future__ import annotations

from jinja2 import Environment

from kpi_warehouse import clock
from kpi_warehouse.receipt import Trail
from kpi_warehouse.settings import code_version

PAGE = """<!doctype html>
<html lang="ja">
<head>
<meta charset="utf-8">
<title>{{ r.kpi_id }} {{ r.period_label }} の由来</title>
<style>
@page { size: A4; margin: 16mm }
body { font-family: "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans", sans-serif; font-size: 10pt; color: #1a1a1a;
  max-width: 178mm; margin: 12mm auto; line-height: 1.5 }
@media print { body { margin: 0 } }
h1 { font-size: 14pt; margin: 0 0 1mm }
h2 { font-size: 11pt; margin: 6mm 0 1mm; border-bottom: 0.3mm solid #1f5c99 }
.value { font-size: 22pt; font-weight: 700; margin: 2mm 0 0 }
.proof { border: 0.4mm solid #2b7a3d; color: #2b7a3d; padding: 1.5mm 3mm; display: inline-block; margin: 2mm 0 }
.open { border-color: #8a6d00; color: #8a6d00 }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 0.1mm solid #bbb; text-align: left; padding: 0.7mm 2mm; vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: 8pt; overflow-wrap: anywhere }
footer { margin-top: 6mm; color: #555; font-size: 8.5pt }
</style>
</head>
<body>
<h1>{{ r.kpi_id }}　{{ r.kpi_name }}</h1>
<div>{{ r.period_label }}（{{ r.period_kind }}、{{ r.coverage }}）</div>
<div class="value">{{ r.value_text }}</div>
<div>{{ r.method_ja }}</div>
{% if compared is not none %}<div class="proof">✓ 保存した原本の {{ compared }} セルと一致しました</div>
{% else %}<div class="proof open">原本との照合はしていません（--verify）</div>{% endif %}
<h2>もとの値</h2>
<table>
<tr><th>期間</th><th class="number">値</th><th>場所</th><th>取込</th><th>知った時点</th></tr>
{% for row in r.rows %}<tr><td>{{ row.period.strftime("%Y-%m") }}</td><td class="number">{{ row.value_text }}</td>
<td>{{ row.place_ja }}</td><td>{{ row.load_id }}</td><td>{{ row.known_from.strftime("%Y-%m-%d %H:%M") }}</td></tr>
{% if row.note %}<tr><td></td><td colspan="4">{{ row.note }}</td></tr>{% endif %}
{% endfor %}</table>
<h2>取込と検査</h2>
{% for load in r.loads %}<table>
<tr><th>取込 {{ load.load_id }}</th><td>{{ load.feed }}　契約 {{ load.contract_version }}　{{ load.verdict_ja }}（{{ load.checks_ja }}）{% if load.answer_ja %}<br>公表を認めた理由：{{ load.answer_ja }}{% endif %}</td></tr>
<tr><th>契約の sha256</th><td><code>{{ load.contract_sha256 }}</code></td></tr>
{% for page in load.pages %}<tr><th>{{ page.name_ja }}</th><td><code>{{ page.sha256 }}</code><br><code>{{ page.url | truncate(160, True, "…") }}</code><br>
受領 {{ page.fetched_at.strftime("%Y-%m-%d %H:%M") }}</td></tr>
{% endfor %}</table>
{% endfor %}
<footer>作成 {{ now.strftime("%Y-%m-%d %H:%M") }}　コード {{ code }}　同じ由来は <code>kpi receipt {{ r.kpi_id }} {{ r.period_id }} --verify</code>
で確かめられます。</footer>
</body>
</html>
"""


def receipt_page(receipt: Trail, compared: int | None) -> str:
    """The page.

    Args:
        compared: cells that `verify` found again in the landed bytes; None when it was not asked.
    """
    template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
    return template.render(
        r=receipt, compared=compared, now=clock.now().astimezone(clock.JAPAN), code=code_version()
    )
