"""
# 契約の検査

Makes no DAG. When a contract in `expectations/` is wrong, this file alone shows up under **Dag Import Errors**, with file,
line, key, what was found and what was expected. The feed of that contract has no DAG until the contract is right again;
its accepted history stays on the board, and every other feed goes on (see `feeds.py`).

## What to do

1. Correct the line that the message names; `kpi feed check` says the same by hand.
2. Wait half a minute, or save the file again: the DAG is back with its past runs.
"""

from kpi_warehouse.airflow.in_force import raise_what_is_wrong
from kpi_warehouse.settings import settings

raise_what_is_wrong(settings().contracts)
