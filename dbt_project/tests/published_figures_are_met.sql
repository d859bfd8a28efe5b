-- What the prefecture has published must come out of the marts again. A figure whose months are not
-- all here is not compared. If the source revises one of these years, the revision is entered in the
-- seed with its source: that is the moment at which somebody has to know.
with

stated as (

    select * from {{ ref('published_figures') }}

),

to_september as (

    select
        calendar_year,
        count(*) as months,
        sum(in_migrants) as in_migrants,
        sum(out_migrants) as out_migrants,
        sum(net_migration) as net_migration,
        count(net_with_tokyo_area) as split_months,
        sum(net_with_tokyo_area) as net_with_tokyo_area,
        sum(net_with_osaka_area) as net_with_osaka_area,
        sum(net_with_fukuoka) as net_with_fukuoka,
        sum(net_with_elsewhere) as net_with_elsewhere
    from {{ ref('mart_migration_monthly') }}
    where
        area_code = '43000'
        and calendar_year in (2023, 2024)
        and month_number <= 9
        and net_migration is not null
    group by calendar_year

),

derived as (

    select
        period_id as figure_id,
        value
    from {{ ref('fct_kpi_value') }}
    where kpi_id = 'K12' and value_status = 'actual'
    union all
    select
        figures.figure_id,
        figures.value
    from to_september
    cross join
        lateral (
            values
            ('social_change_to_september_' || to_september.calendar_year, to_september.net_migration, true),
            ('in_to_september_' || to_september.calendar_year, to_september.in_migrants, true),
            ('out_to_september_' || to_september.calendar_year, to_september.out_migrants, true),
            (
                'net_tokyo_to_september_' || to_september.calendar_year, to_september.net_with_tokyo_area,
                to_september.split_months = 9
            ),
            (
                'net_osaka_to_september_' || to_september.calendar_year, to_september.net_with_osaka_area,
                to_september.split_months = 9
            ),
            (
                'net_fukuoka_to_september_' || to_september.calendar_year, to_september.net_with_fukuoka,
                to_september.split_months = 9
            ),
            (
                'net_elsewhere_to_september_' || to_september.calendar_year, to_september.net_with_elsewhere,
                to_september.split_months = 9
            )
        ) as figures (figure_id, value, is_complete)
    where to_september.months = 9 and figures.is_complete
    union all
    select
        'semiconductor_training_students' as figure_id,
        sum(value) as value
    from {{ ref('fct_programme_value') }}
    where feed = 'semiconductor_training' and measure_code = 'students'
    having count(*) > 0
    union all
    select
        'internship_rate_of_three_years' as figure_id,
        round(
            100 * sum(value) filter (where measure_code = 'experienced_students')
            / nullif(sum(value) filter (where measure_code = 'enrolled_students'), 0),
            1
        ) as value
    from {{ ref('fct_programme_value') }}
    where feed = 'internship_rate'

)

select
    stated.figure_id,
    stated.statement_ja,
    stated.published_value,
    derived.value as value_in_marts,
    stated.source
from stated
inner join derived on stated.figure_id = derived.figure_id
where stated.published_value <> derived.value
