"""The documentation of the marts as one page for a closed network: dbt's own, with nothing that it would fetch from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.marts_dbt import docs_page
from kpi_warehouse.marts_swap import MARTS

PAGE = "index.html"
TITLE = "くまもとKPIウェアハウス"
# dbt's page can count its visitors with a script of its vendor.
_TRACKER = re.compile(r"//[a-z0-9]+\.cloudfront\.net/[\w./-]+\.js")
# Where the project lay on the machine that made the page is nobody's business.
_PLACE = re.compile(r'("root_path": )"(?:[^"\\]|\\.)*"')
# A template's place holder that was never filled in: it asks for a file that is nowhere.
_BROKEN_ICON = re.compile(r'<link rel="shortcut icon" href="\$\{require[^>]*>')
# The page is whole in itself, so the browser may refuse it everything else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:; font-src data:;"
    " base-uri 'none'; form-action 'none'"
)
_HEAD = '<head><meta charset="utf-8">'
FETCHED = re.compile(
    r"""(?:\bsrc\s*=\s*["']|<link[^>]+href=["']|@import\s+(?:url\()?["']?|url\(["']?)(?:https?:)?//[^"')\s]+"""
)


def write_docs(folder: Path) -> Path:
    """Write the page into a folder, whole or not at all; returns its path.

    Raises:
        BuildFailed: dbt could not make it.
        KpiError: it would fetch something from elsewhere.
        StorageFailed: the folder cannot be written.
    """
    page = closed(docs_page(MARTS))
    path = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageFailed(f"{path} を書けません：{error.strerror}", "docs.place") from error
    return path


def closed(page: str) -> str:
    """The page without what it would fetch, and with a policy that keeps the browser from fetching.

    Raises:
        KpiError: something is left; dbt's page is not the one this was written for.
    """
    if _HEAD not in page:
        raise KpiError("dbt の説明ページの形が変わりました（<head> がありません）。", "docs.page")
    page = _BROKEN_ICON.sub("", _TRACKER.sub("", page))
    page = _PLACE.sub(r'\1""', page)
    page = page.replace('lang="en-US"', 'lang="ja"', 1)
    page = page.replace("<title>dbt Docs</title>", f"<title>{TITLE}</title>", 1).replace(
        _HEAD, f'{_HEAD}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1
    )
    if found := FETCHED.search(page):
        raise KpiError(
            f"dbt の説明ページが外部のファイルを読み込もうとしています：{found[0][:120]}",
            "docs.fetches",
        )
    return page
