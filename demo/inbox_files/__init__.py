"""The files that divisions (課) would send, in the forms they really have: merged headers, CP932, full-width digits,
formulas, 計 rows, footnotes. `python -m demo.inbox_files --write` makes `demo/inbox/` from `figures/`.

No number is typed here: every one comes from `figures/programme_metrics.csv`, the KPI catalogue or the
figures of the e-Stat simulator. Every form is deliberately another one, because a form is what breaks a reader.

Source: slides of the committee (column `source` of the figures gives the line); migration figures 総務省統計局
住民基本台帳人口移動報告.
Credit: 熊本県の会議資料を加工して作成. 出典：政府統計の総合窓口(e-Stat)、総務省統計局 住民基本台帳人口移動報告を加工して作成
（政府標準利用規約2.0）.
"""
