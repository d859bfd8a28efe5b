{{ config(severity='warn') }}
-- A stock that falls needs a revision note; it is shown, and said.
with

stocks as (

    select
        history.kpi_id,
        history.period_id,
        history.value,
        lag(history.value) over (partition by history.kpi_id order by history.period_end) as value_before
    from {{ ref('mart_kpi_history') }} as history
    inner join {{ ref('dim_kpi') }} as kpis
        on history.kpi_id = kpis.kpi_id and history.period_kind = kpis.period_kind
    where kpis.kpi_type in ('stock_cumulative', 'cumulative_n_years') and history.value is not null

)

select * from stocks
where value < value_before
