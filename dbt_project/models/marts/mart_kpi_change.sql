-- A view on purpose: the rows that a build changes are noted in the transaction that publishes them.
with

versions as (

    select
        published_from,
        build_id,
        shown ->> 'kpi_id' as kpi_id,
        shown ->> 'period_id' as period_id,
        shown,
        lag(shown) over (partition by row_key order by published_from) as shown_before
    from {{ ref('stg_ops__published_row') }}
    where relation = 'mart_kpi_history'

),

compared as (

    select
        published_from,
        build_id,
        kpi_id,
        period_id,
        shown ->> 'period_label' as period_label,
        (shown_before ->> 'value')::numeric as value_before,
        (shown ->> 'value')::numeric as value_after,
        (shown_before ->> 'covered_months')::integer as covered_before,
        (shown ->> 'covered_months')::integer as covered_after,
        (shown_before ->> 'target_value')::numeric as target_before,
        (shown ->> 'target_value')::numeric as target_after,
        (shown_before ->> 'definition_version')::integer as definition_before,
        (shown ->> 'definition_version')::integer as definition_after,
        shown_before ->> 'judgement_ja' as judgement_before_ja,
        shown ->> 'judgement_ja' as judgement_after_ja,
        shown ->> 'value_status' as value_status
    from versions

),

-- One change of a row may have several causes; each is a line of its own.
named as (

    select
        compared.*,
        causes.change_kind
    from compared
    cross join
        lateral (
            values
            (
                'new',
                compared.value_after is not null
                and (compared.value_before is null or compared.covered_after > compared.covered_before)
            ),
            (
                'revised',
                compared.value_before <> compared.value_after
                and compared.covered_after <= compared.covered_before
                or (compared.value_before is not null and compared.value_after is null)
            ),
            ('definition_changed', compared.definition_before <> compared.definition_after),
            (
                'target_changed',
                compared.covered_before is not null
                and compared.target_before is distinct from compared.target_after
            ),
            (
                'rule_changed',
                compared.judgement_before_ja <> compared.judgement_after_ja
                and compared.value_before is not distinct from compared.value_after
                and compared.covered_before = compared.covered_after
                and compared.target_before is not distinct from compared.target_after
            )
        ) as causes (change_kind, holds)
    where causes.holds

),

kpis as (

    select * from {{ ref('dim_kpi') }}

),

-- What the gate says now of the figure that changed; a row that is shown no more has nothing behind it.
history as (

    select * from {{ ref('mart_kpi_history') }}

),

warehouse as (

    select * from {{ ref('int_warehouse_state') }}

),

worded as (

    select
        named.*,
        kpis.kpi_name,
        kpis.owner_body,
        coalesce(history.data_as_of, warehouse.data_as_of) as data_as_of,
        coalesce(history.gate_status, 'no_feed') as gate_status,
        coalesce(history.held_rows, 0) as held_rows,
        -- K12 is computed from the source; every other figure is one that its division delivered again.
        case
            when named.change_kind = 'revised' and named.kpi_id <> 'K12' then 'resubmitted'
            else named.change_kind
        end as kind
    from named
    inner join kpis on named.kpi_id = kpis.kpi_id
    left join history on named.kpi_id = history.kpi_id and named.period_id = history.period_id
    cross join warehouse

)

select
    published_from as changed_at,
    build_id,
    kpi_id,
    kpi_name,
    owner_body,
    period_id,
    period_label,
    kind as change_kind,
    {{ status_label('change_kind', 'kind') }} as change_kind_ja,
    value_before,
    value_after,
    value_after - value_before as difference,
    target_before,
    target_after,
    judgement_before_ja,
    judgement_after_ja,
    value_status,
    data_as_of,
    gate_status,
    held_rows
from worded
