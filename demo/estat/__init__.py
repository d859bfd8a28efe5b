"""A simulator of the e-Stat API 3.0: published figures for `make run`, faults for tests, a million values for
the benchmark.

In a test::

    with Simulator([published.moves()], faults=[Fault("http", http=503, times=2)]) as sim:
        ...  # sim.base_url, sim.requests

By hand: `python -m demo.estat --port 0 --data published`.

It follows the specification 3.0 of 統計センター (令和元年7月) and what real answers were seen to do beyond
it. JSON only; getStatsList, getMetaInfo, getStatsData. The figures are in `published`, generated ones in
`synthetic`, other versions of a table in `edits`.
"""

from demo.estat.faults import Fault
from demo.estat.simulator import Simulator
from demo.estat.tables import Axis, Member, Table

__all__ = ["Axis", "Fault", "Member", "Simulator", "Table"]
