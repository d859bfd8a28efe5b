-- A receipt whose rows do not add up to the published figure is none.
select
    figures.kpi_id,
    figures.period_id,
    figures.value,
    sum(source_rows.row_value) as rows_add_up_to
from {{ ref('fct_kpi_value') }} as figures
left join {{ ref('fct_kpi_source_row') }} as source_rows
    on figures.kpi_id = source_rows.kpi_id and figures.period_id = source_rows.period_id
where figures.value is not null
group by figures.kpi_id, figures.period_id, figures.value
having figures.value is distinct from sum(source_rows.row_value)
