"""The peers, each from the rows as Python objects to a table of the same shape, in an environment of their own.

Run as `python peers.py PEER ROWS.tsv URL`. Reading the file and importing is not counted.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import sys
import tempfile
import time
from datetime import date

COLUMNS = (
    "period",
    "origin_area_code",
    "sex_code",
    "destination_area_code",
    "persons",
    "persons_mark",
    "source_page",
)


def rows(path: str) -> list[dict[str, object]]:
    """The rows of the TSV as dictionaries."""
    with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
        return [
            {
                "period": date.fromisoformat(cells[0]),
                **dict(zip(COLUMNS[1:4], cells[1:4], strict=True)),
                "persons": None if cells[4] == "\\N" else int(cells[4]),
                "persons_mark": None if cells[5] == "\\N" else cells[5],
                "source_page": int(cells[6]),
            }
            for cells in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def pandas_to_sql(data: list[dict[str, object]], url: str) -> None:
    """pandas.DataFrame.to_sql with its default settings."""
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine("postgresql+psycopg2://" + url.split("://", 1)[1])
    pandas.DataFrame(data).to_sql("peer_pandas", engine, schema="peers", if_exists="replace", index=False)


def pandas_copy(data: list[dict[str, object]], url: str) -> None:
    """pandas' best: to_sql with the COPY callable of its documentation."""
    import io

    import pandas
    import sqlalchemy

    def insert(table: object, connection: object, keys: list[str], values: object) -> None:
        buffer = io.StringIO()
        csv.writer(buffer).writerows(values)  # type: ignore[arg-type]
        buffer.seek(0)
        with connection.connection.cursor() as cursor:  # type: ignore[attr-defined]
            columns = ", ".join(f'"{key}"' for key in keys)
            cursor.copy_expert(f"copy peers.peer_pandas_copy ({columns}) from stdin with csv", buffer)

    engine = sqlalchemy.create_engine("postgresql+psycopg2://" + url.split("://", 1)[1])
    frame = pandas.DataFrame(data)
    frame["persons"] = frame["persons"].astype("Int64")
    frame.to_sql("peer_pandas_copy", engine, schema="peers", if_exists="replace", index=False, method=insert)


def dlt_default(data: list[dict[str, object]], url: str) -> None:
    """dlt.pipeline.run on the rows with its default settings."""
    _dlt("default", data, url)


def dlt_arrow(data: list[dict[str, object]], url: str) -> None:
    """dlt's best setting here: an Arrow table, loaded as CSV."""
    import pyarrow

    _dlt("arrow", pyarrow.Table.from_pylist(data), url, loader_file_format="csv")


def _dlt(name: str, data: object, url: str, **options: str) -> None:
    import dlt

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            f"bench_{name}",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(url),
            dataset_name="peers",
        )
        pipeline.run(data, table_name=f"peer_dlt_{name}", write_disposition="replace", **options)  # type: ignore[arg-type]


PEERS = {
    "pandas": pandas_to_sql,
    "pandas_copy": pandas_copy,
    "dlt": dlt_default,
    "dlt_arrow": dlt_arrow,
}


def main() -> None:
    """Run one peer."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    peer, path, url = sys.argv[1:4]
    data = rows(path)
    import dlt  # noqa: F401
    import pandas  # noqa: F401

    before = time.perf_counter()
    PEERS[peer](data, url)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rows": len(data), "peak_mb": peak}))


if __name__ == "__main__":
    main()
