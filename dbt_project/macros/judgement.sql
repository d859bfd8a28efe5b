{#- Why a KPI is judged as it is, as a code of the domain `judgement_reason`. The first thing that stands in the way wins. -#}
{% macro judgement_reason(kpi_type, target_status, value_status) -%}
    case
        when {{ kpi_type }} = 'undetermined' then 'type_undetermined'
        when {{ target_status }} <> 'registered' then {{ target_status }}
        when {{ value_status }} in ('not_published', 'missing') then 'no_actual'
        when {{ value_status }} = 'partial' then 'partial_period'
        when {{ kpi_type }} in ('maintain_at_least', 'maintain_at_most') then 'maintain_rule'
        else 'no_rule'
    end
{%- endmacro %}


{#- The judgement itself. Only the maintain rule judges so far: any other type says so instead of guessing. -#}
{% macro judgement(reason, kpi_type, actual, target) -%}
    case
        when {{ reason }} in ('type_undetermined', 'no_actual', 'partial_period') then 'deferred'
        when {{ reason }} <> 'maintain_rule' then 'not_judged'
        when {{ kpi_type }} = 'maintain_at_least' and {{ actual }} >= {{ target }} then 'maintained'
        when {{ kpi_type }} = 'maintain_at_most' and {{ actual }} <= {{ target }} then 'maintained'
        else 'missed'
    end
{%- endmacro %}


{#- How progress is measured. A maintain KPI has none: its target is its baseline, and the usual formula divides by zero. -#}
{% macro progress_basis(kpi_type, target, baseline) -%}
    case
        when {{ kpi_type }} in ('level_up', 'level_down') and {{ target }} <> {{ baseline }} then 'from_baseline'
        when {{ kpi_type }} = 'level_up' and {{ baseline }} is null and {{ target }} > 0 then 'of_target'
        else 'none'
    end
{%- endmacro %}


{#- Progress in percent by that basis; NULL where the basis is `none`. One formula serves both directions. -#}
{% macro progress_percent(basis, actual, target, baseline) -%}
    case {{ basis }}
        when 'from_baseline' then 100 * ({{ actual }} - {{ baseline }}) / nullif({{ target }} - {{ baseline }}, 0)
        when 'of_target' then 100 * {{ actual }} / nullif({{ target }}, 0)
    end
{%- endmacro %}
