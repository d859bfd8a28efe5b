{#- How progress is measured. A maintain KPI has none: its target is its baseline, and the usual formula divides by zero. What piles
    up (a stock, a sum over years) is measured from nothing, with or without a baseline. -#}
{% macro progress_basis(kpi_type, target, baseline) -%}
    case
        when {{ kpi_type }} in ('cumulative_n_years', 'stock_cumulative') and {{ target }} > 0 then 'of_target'
        when {{ kpi_type }} in ('level_up', 'level_down', 'annual_flow') and {{ target }} <> {{ baseline }}
            then 'from_baseline'
        when {{ kpi_type }} in ('level_up', 'annual_flow') and {{ baseline }} is null and {{ target }} > 0
            then 'of_target'
        else 'none'
    end
{%- endmacro %}


{#- Progress in percent by that basis; NULL where the basis is `none`, and for a part of a period. One formula serves both
    directions; beyond the target it exceeds 100, uncapped: an over-achievement is news. -#}
{% macro progress_percent(basis, actual, value_status, target, baseline) -%}
    case
        when {{ value_status }} in ('actual', 'revised', 'provisional') then
            case {{ basis }}
                when 'from_baseline' then 100 * ({{ actual }} - {{ baseline }}) / nullif({{ target }} - {{ baseline }}, 0)
                when 'of_target' then 100 * {{ actual }} / nullif({{ target }}, 0)
            end
    end
{%- endmacro %}
