-- 熊本県's movers by direction and partner, one row each: the table of the slides. その他 is what the
-- prefectures outside of the three partners sum up to; a month is shown only if its parts meet 計, which
-- another table of the source states.
with

periods as (

    select * from {{ ref('dim_period') }}

),

areas as (

    select * from {{ ref('dim_area') }}

),

-- Both sexes, 移動者 (Japanese and foreign): the definition of K12.
months as (

    select
        moves.*,
        periods.period_start as month_start,
        periods.label_ja as month_label,
        periods.label_wareki as month_label_wareki,
        periods.calendar_year,
        periods.fiscal_year,
        periods.month_number,
        periods.fiscal_month_order
    from {{ ref('fct_migration_monthly') }} as moves
    inner join periods on moves.period_id = periods.period_id
    where moves.area_code = '43000' and moves.sex_code = '0' and moves.nationality_code = '60000'

),

flows as (

    select
        *,
        case when destination_area_code = '43000' then 'in' else 'out' end as direction,
        case
            when destination_area_code = '43000' then origin_area_code
            else destination_area_code
        end as partner_area_code
    from {{ ref('fct_migration_flow_monthly') }}
    where sex_code = '0' and '43000' in (origin_area_code, destination_area_code)

),

bloc_flows as (

    select
        flows.period_id,
        flows.direction,
        areas.kumamoto_partner as bloc,
        coalesce(sum(flows.movers), 0)::bigint as movers,
        bool_or(flows.value_status = 'simulated') as is_simulated,
        max(flows.loaded_at) as loaded_at,
        max(flows.data_as_of) as data_as_of,
        max(flows.source_updated_on) as source_updated_on,
        {{ worst_gate_status('flows.gate_status') }} as gate_status,
        max(flows.held_rows) as held_rows
    from flows
    inner join areas on flows.partner_area_code = areas.area_code
    group by flows.period_id, flows.direction, areas.kumamoto_partner

),

-- Cells that are marks hide nobody when the others already sum to the month's totals; else no split is shown.
month_flows as (

    select
        months.period_id,
        coalesce(
            sum(bloc_flows.movers) filter (where bloc_flows.direction = 'in') = max(months.in_migrants)
            and sum(bloc_flows.movers) filter (where bloc_flows.direction = 'out') = max(months.out_migrants),
            false
        ) as is_whole,
        bool_or(bloc_flows.is_simulated) as is_simulated,
        max(bloc_flows.loaded_at) as loaded_at,
        max(bloc_flows.data_as_of) as data_as_of,
        max(bloc_flows.source_updated_on) as source_updated_on,
        {{ worst_gate_status('bloc_flows.gate_status') }} as gate_status,
        max(bloc_flows.held_rows) as held_rows
    from months
    inner join bloc_flows on months.period_id = bloc_flows.period_id
    group by months.period_id

),

parts as (

    select *
    from (
        values
        ('in', '転入', '東京圏', 1),
        ('in', '転入', '大阪圏', 2),
        ('in', '転入', '福岡県', 3),
        ('in', '転入', 'その他', 4),
        ('out', '転出', '東京圏', 5),
        ('out', '転出', '大阪圏', 6),
        ('out', '転出', '福岡県', 7),
        ('out', '転出', 'その他', 8)
    ) as listed (direction, direction_ja, bloc, display_order)

),

-- A row made of two tables is as sound as the worse of them.
spine as (

    select
        months.period_id,
        months.month_start,
        months.month_label,
        months.month_label_wareki,
        months.calendar_year,
        months.fiscal_year,
        months.month_number,
        months.fiscal_month_order,
        parts.direction,
        parts.direction_ja,
        parts.bloc,
        parts.display_order,
        case parts.direction when 'in' then months.in_migrants else months.out_migrants end as total_movers,
        case when month_flows.is_whole then coalesce(bloc_flows.movers, 0) end as movers,
        case
            when month_flows.period_id is null then 'not_published'
            when not month_flows.is_whole then 'missing'
            when month_flows.is_simulated then 'simulated'
            else 'actual'
        end as value_status,
        greatest(months.data_as_of, month_flows.data_as_of) as data_as_of,
        greatest(months.source_updated_on, month_flows.source_updated_on) as source_updated_on,
        greatest(months.loaded_at, month_flows.loaded_at) as loaded_at,
        (
            select {{ worst_gate_status('both_tables.gate_status') }}
            from (values (months.gate_status), (month_flows.gate_status)) as both_tables (gate_status)
        ) as gate_status,
        months.held_rows + coalesce(month_flows.held_rows, 0) as held_rows
    from months
    cross join parts
    left join month_flows on months.period_id = month_flows.period_id
    left join bloc_flows
        on
            months.period_id = bloc_flows.period_id
            and parts.direction = bloc_flows.direction
            and parts.bloc = bloc_flows.bloc

),

-- A sum with a hole in it is none.
so_far as (

    select
        *,
        case
            when count(movers) over year_to_month = month_number then sum(movers) over year_to_month
        end::bigint as movers_to_date
    from spine
    window
        year_to_month as (
            partition by direction, bloc, calendar_year
            order by month_number rows unbounded preceding
        )

)

select
    this_year.period_id,
    this_year.direction,
    this_year.bloc,
    this_year.direction_ja,
    this_year.display_order,
    this_year.month_start,
    this_year.month_label,
    this_year.month_label_wareki,
    this_year.calendar_year,
    this_year.fiscal_year,
    this_year.month_number,
    this_year.fiscal_month_order,
    this_year.movers,
    case this_year.direction when 'in' then this_year.movers else -this_year.movers end as net_effect,
    this_year.value_status,
    {{ status_label('value_status', 'this_year.value_status') }} as value_status_ja,
    this_year.total_movers,
    100.0 * this_year.movers / nullif(this_year.total_movers, 0) as share_percent,
    this_year.movers_to_date,
    year_before.movers as movers_year_before,
    year_before.movers_to_date as movers_to_date_year_before,
    this_year.data_as_of,
    this_year.source_updated_on,
    this_year.loaded_at,
    this_year.gate_status,
    {{ status_label('gate_status', 'this_year.gate_status') }} as gate_status_ja,
    this_year.held_rows
from so_far as this_year
left join so_far as year_before
    on
        this_year.direction = year_before.direction
        and this_year.bloc = year_before.bloc
        and this_year.month_number = year_before.month_number
        and this_year.calendar_year = year_before.calendar_year + 1
