-- Each published figure at every instant at which one of its cells changed: what the accepted history gave
-- then. A figure is bound to its table and period; nothing that arrives for other periods touches it.
with

stated as (

    select * from {{ ref('published_figures') }}

),

partners as (

    select
        area_code,
        case kumamoto_partner
            when '東京圏' then 'net_with_tokyo_area'
            when '大阪圏' then 'net_with_osaka_area'
            when '福岡県' then 'net_with_fukuoka'
            when 'その他' then 'net_with_elsewhere'
        end as measure
    from {{ ref('dim_area') }}
    where kumamoto_partner is not null

),

-- Both sexes, 移動者 (Japanese and foreign): the definition of K12.
moves as (

    select
        'estat_migration_monthly' as feed,
        case versions.indicator_code
            when '02' then 'in_migrants'
            when '03' then 'out_migrants'
            when '04' then 'net_migration'
        end as measure,
        '月' as period_kind,
        versions.period as period_start,
        (versions.period + interval '1 month - 1 day')::date as period_end,
        versions.persons::numeric as amount,
        versions.shown_from,
        versions.shown_to
    from ({{ shown_versions('estat_migration_monthly') }}) as versions
    where versions.area_code = '43000' and versions.sex_code = '0' and versions.nationality_code = '60000'

),

flows as (

    select
        'estat_migration_flow_monthly' as feed,
        partners.measure,
        '月' as period_kind,
        versions.period as period_start,
        (versions.period + interval '1 month - 1 day')::date as period_end,
        case
            when versions.destination_area_code = '43000' then versions.persons
            else -versions.persons
        end::numeric as amount,
        versions.shown_from,
        versions.shown_to
    from ({{ shown_versions('estat_migration_flow_monthly') }}) as versions
    inner join partners
        on
            (versions.destination_area_code = '43000' and versions.origin_area_code = partners.area_code)
            or (versions.origin_area_code = '43000' and versions.destination_area_code = partners.area_code)
    where versions.sex_code = '0'

),

semiconductor_training as (

    select
        'semiconductor_training' as feed,
        versions.measure_code as measure,
        versions.period_kind,
        versions.period as period_start,
        versions.period_end,
        versions.value as amount,
        versions.shown_from,
        versions.shown_to
    from ({{ shown_versions('semiconductor_training') }}) as versions

),

internship_rate as (

    select
        'internship_rate' as feed,
        versions.measure_code as measure,
        versions.period_kind,
        versions.period as period_start,
        versions.period_end,
        versions.value as amount,
        versions.shown_from,
        versions.shown_to
    from ({{ shown_versions('internship_rate') }}) as versions

),

cells as (

    select * from moves
    union all
    select * from flows
    union all
    select * from semiconductor_training
    union all
    select * from internship_rate

),

-- A period without a year has no dates to compare; its kind says which figures are meant.
figure_cells as (

    select
        stated.figure_id,
        stated.period_start,
        stated.period_end,
        stated.divided_by,
        stated.published_value,
        cells.measure = stated.divided_by as is_divisor,
        cells.period_start as cell_month,
        cells.amount,
        cells.shown_from,
        cells.shown_to
    from stated
    inner join cells
        on
            stated.feed = cells.feed
            and stated.period_kind = cells.period_kind
            and cells.measure in (stated.measure, stated.divided_by)
            and cells.period_start >= coalesce(stated.period_start, cells.period_start)
            and cells.period_end <= coalesce(stated.period_end, cells.period_end)

),

instants as (

    select distinct
        figure_id,
        shown_from as instant
    from figure_cells

),

sums as (

    select
        figure_cells.figure_id,
        instants.instant,
        figure_cells.divided_by is not null as is_ratio,
        max(figure_cells.published_value) as published_value,
        sum(figure_cells.amount) filter (where figure_cells.is_divisor is not true) as total,
        sum(figure_cells.amount) filter (where figure_cells.is_divisor) as divisor,
        count(distinct figure_cells.cell_month) filter (where figure_cells.amount is not null)
            as covered_months,
        max({{ months_between('figure_cells.period_start', 'figure_cells.period_end + 1') }})
            as expected_months
    from instants
    inner join figure_cells
        on
            instants.figure_id = figure_cells.figure_id
            and instants.instant >= figure_cells.shown_from
            and instants.instant < figure_cells.shown_to
    group by figure_cells.figure_id, instants.instant, figure_cells.divided_by is not null

),

-- Compared with as many decimals as were published. A sum with a hole is no figure.
valued as (

    select
        figure_id,
        instant,
        published_value,
        case
            when covered_months < coalesce(expected_months, 1) then null
            when is_ratio then round(100 * total / nullif(divisor, 0), scale(published_value))
            else total
        end as value
    from sums

)

select
    figure_id,
    instant,
    value,
    value = published_value as is_met,
    lead(instant) over (partition by figure_id order by instant) is null as is_newest
from valued
