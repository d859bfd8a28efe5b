{#- How the expected value of a year follows from target and baseline, as a code of the domain `expected_basis`.
    `year` and `target_year` are years of the KPI's own period kind. -#}
{% macro expected_basis(kpi_type, target, year, target_year, baseline, baseline_year) -%}
    case
        when {{ target }} is null then 'none'
        when {{ kpi_type }} in ('maintain_at_least', 'maintain_at_most', 'band') then 'flat'
        when {{ kpi_type }} = 'cumulative_n_years' then 'yearly_step'
        when {{ kpi_type }} in ('level_up', 'level_down', 'annual_flow', 'stock_cumulative') then
            case
                when {{ year }} >= {{ target_year }} then 'target_year'
                when {{ baseline }} is not null and {{ year }} >= {{ baseline_year }} then 'straight_line'
                else 'none'
            end
        else 'none'
    end
{%- endmacro %}


{#- The expected value by that basis, unrounded; NULL where the basis is `none`. -#}
{% macro expected_value(basis, target, year, first_year, target_year, baseline, baseline_year) -%}
    case {{ basis }}
        when 'flat' then {{ target }}
        when 'target_year' then {{ target }}
        when 'yearly_step'
            then
                {{ target }} * least({{ year }} - {{ first_year }} + 1, {{ target_year }} - {{ first_year }} + 1)
                / nullif({{ target_year }} - {{ first_year }} + 1, 0)
        when 'straight_line'
            then
                {{ baseline }} + ({{ target }} - {{ baseline }}) * ({{ year }} - {{ baseline_year }})
                / nullif({{ target_year }} - {{ baseline_year }}, 0)
    end
{%- endmacro %}
