"""A published history of made-up moves, put in place by SQL in the form the loader writes: what `marts` builds from.

A month has 47 × 47 × 3 = 6,627 flows (the diagonal is the mark ``-``) and 48 × 3 × 3 × 3 moves that are their sums, so that
every test of the marts has something to add up. In the years whose figures the prefecture has published (2018 to 2024),
熊本県 has no figure for January: made-up figures must not be held against published ones.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg

from kpi_warehouse.contract import find_contract
from kpi_warehouse.settings import PROJECT
from kpi_warehouse.warehouse.tables import analyze, ensure_raw, raw_table

FLOWS, MOVES = "estat_migration_flow_monthly", "estat_migration_monthly"
FLOWS_A_MONTH = 47 * 47 * 3
NEWEST = date(2025, 2, 1)
NEXT_MONTH = date(2025, 3, 1)
FIRST_KNOWN = datetime(2025, 4, 1, 9, tzinfo=UTC)
NEXT_KNOWN = datetime(2025, 4, 28, 9, tzinfo=UTC)

_FLOWS = """
with prefectures as (select lpad(number::text, 2, '0') || '000' as code from generate_series(1, 47) as number),
pairs as (
    select
        months.month::date as period, origins.code as origin, destinations.code as destination,
        abs(hashint8(extract(epoch from months.month)::bigint # hashtext(origins.code || destinations.code))) as drawn
    from generate_series(%(first)s::date, %(last)s::date, interval '1 month') as months (month)
    cross join prefectures as origins
    cross join prefectures as destinations
)
insert into raw.estat_migration_flow_monthly
    (period, origin_area_code, sex_code, destination_area_code, persons, persons_mark, source_page, load_id, known_from)
select
    pairs.period, pairs.origin, sexes.code, pairs.destination,
    case when origin <> destination then sexes.persons end, case when origin = destination then '-' end,
    1 + (row_number() over () / 100000)::integer, %(load_id)s, %(known_from)s
from pairs
cross join lateral (
    values ('0', drawn %% 71 + drawn %% 89 + 9), ('1', drawn %% 71 + 5), ('2', drawn %% 89 + 4)
) as sexes (code, persons)
order by pairs.period, pairs.origin, sexes.code, pairs.destination
"""
# 移動者 = 日本人 + 外国人; 全国 is the sum of the prefectures, whose nets cancel out.
_MOVES = """
with ends as (
    select flows.period, flows.sex_code, area.code, area.inflow, area.outflow
    from raw.estat_migration_flow_monthly as flows
    cross join lateral (
        values (destination_area_code, persons, 0), (origin_area_code, 0, persons),
            ('00000', persons, 0), ('00000', 0, persons)
    ) as area (code, inflow, outflow)
    where flows.load_id = %(flow_load_id)s and flows.persons is not null
),
sums as (
    select period, sex_code, code, sum(inflow)::integer as inflow, sum(outflow)::integer as outflow
    from ends group by period, sex_code, code
),
shares as (
    select sums.period, sums.sex_code, sums.code, kinds.code as nationality_code, kinds.inflow, kinds.outflow
    from sums
    cross join lateral (
        values ('60000', inflow, outflow), ('61000', inflow - inflow / 16, outflow - inflow / 16),
            ('62000', inflow / 16, inflow / 16)
    ) as kinds (code, inflow, outflow)
),
cells as (
    select
        shares.*, tabs.code as indicator_code, tabs.persons,
        shares.code = '43000' and extract(month from period) = 1 and extract(year from period) between 2018 and 2024
            as is_withheld
    from shares
    cross join lateral (values ('02', inflow), ('03', outflow), ('04', inflow - outflow)) as tabs (code, persons)
)
insert into raw.estat_migration_monthly
    (period, indicator_code, sex_code, nationality_code, area_code, persons, persons_mark, source_page, load_id, known_from)
select
    period, indicator_code, sex_code, nationality_code, code, case when not is_withheld then persons end,
    case when is_withheld then '***' end, 1, %(load_id)s, %(known_from)s
from cells
order by period, indicator_code, sex_code, nationality_code, code
"""
_LOAD = """
insert into ops.load (
    feed, contract_version, contract_sha256, code_version, requested_period, period_from, period_to, trigger, forced,
    state, verdict, source_updated_on, opened_at, published_at, finished_at
)
values (
    %(feed)s, '1.0.0', '', 'bench', %(last)s, %(first)s, %(last)s, 'bench', false,
    'published', 'passed', %(known_from)s, %(known_from)s, %(known_from)s, %(known_from)s
)
returning load_id
"""


def months_back(months: int) -> date:
    """The first of `months` months that end with `NEWEST`."""
    ordinal = NEWEST.year * 12 + NEWEST.month - months
    return date(ordinal // 12, ordinal % 12 + 1, 1)


def fill(connection: psycopg.Connection, months: int) -> int:
    """Publish `months` months up to `NEWEST` into an empty warehouse as its first load. Returns the flow rows."""
    for feed in (FLOWS, MOVES):
        contract = find_contract(PROJECT / "expectations", feed)
        ensure_raw(connection, contract)
    rows = _publish(connection, months_back(months), NEWEST, FIRST_KNOWN)
    for feed in (FLOWS, MOVES):
        analyze(connection, raw_table(find_contract(PROJECT / "expectations", feed)))
    return rows


def publish_next_month(connection: psycopg.Connection) -> int:
    """Publish the month after `NEWEST`. Returns its flow rows."""
    return _publish(connection, NEXT_MONTH, NEXT_MONTH, NEXT_KNOWN)


def _publish(connection: psycopg.Connection, first: date, last: date, known_from: datetime) -> int:
    with connection.transaction():
        parameters = {"first": first, "last": last, "known_from": known_from}
        loads = {}
        for feed in (FLOWS, MOVES):
            row = connection.execute(_LOAD, {**parameters, "feed": feed}).fetchone()
            assert row is not None
            loads[feed] = row[0]
        rows = connection.execute(_FLOWS, {**parameters, "load_id": loads[FLOWS]}).rowcount
        connection.execute(
            _MOVES, {"flow_load_id": loads[FLOWS], "load_id": loads[MOVES], "known_from": known_from}
        )
    return rows
