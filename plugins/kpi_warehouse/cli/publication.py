"""`kpi publication`: open data by hand."""

from __future__ import annotations

from kpi_warehouse.cli.application import app, out, reported


@app.command(epilog="例：`kpi publication`")
@reported
def publication() -> None:
    """公開用のファイル（CSV・Parquet・Excel・目録）を書き出す。変わっていなければ何もしない。"""
    from kpi_warehouse.publication.publish import publish

    release = publish()
    done = "公開しました" if release.state == "published" else "前回の公開から変わっていません"
    out.print(f"{done}：{release.name}（{release.location}）", highlight=False, markup=False)
    for file in release.files:
        out.print(f"  {file.bytes:>10,}  {file.path}", highlight=False, markup=False)
