{#- The word a reader sees for a status code; the vocabulary is data (seed `statuses`). -#}
{% macro status_label(domain, code) -%}
    (
        select vocabulary.label_ja
        from {{ ref('dim_status') }} as vocabulary
        where vocabulary.domain = '{{ domain }}' and vocabulary.code = {{ code }}
    )
{%- endmacro %}


{#- The same for a status that may be about an unfinished period, which is named by its kind: 年度途中, 暦年途中. -#}
{% macro period_status_label(domain, code, period_kind) -%}
    case
        when {{ code }} in ('partial', 'partial_period') then {{ period_kind }} || '途中'
        else {{ status_label(domain, code) }}
    end
{%- endmacro %}


{#- The status of a cell without a number, by the mark of the source that stands in it: not every one is a gap. -#}
{% macro missing_status(mark) -%}
    case {{ mark }}
        when '…' then 'not_in_source'
        when '***' then 'not_applicable'
        when '-' then 'not_applicable'
        when 'X' then 'suppressed'
        else 'missing'
    end
{%- endmacro %}


{#- The gate status of a figure: a delivery that was refused, set aside or asked about, cells that wait, cells or a delivery warned of. -#}
{% macro cell_gate_status(delivery, held_rows, flagged_rows) -%}
    case
        when {{ delivery }} in ('rejected', 'set_aside', 'asked') then {{ delivery }}
        when {{ held_rows }} > 0 then 'held'
        when {{ flagged_rows }} > 0 then 'flagged'
        else {{ delivery }}
    end
{%- endmacro %}


{#- The worst gate status of a group: a year is only as sound as its worst month. -#}
{% macro worst_gate_status(gate_status) -%}
    {%- set ladder = "array['no_feed', 'passed', 'released', 'flagged', 'held', 'asked', 'set_aside', 'rejected']" -%}
    ({{ ladder }})[max(array_position({{ ladder }}, {{ gate_status }}))]
{%- endmacro %}


{#- A figure of any size as text, grouped, with these decimals. -#}
{% macro number_text(figure, decimals) -%}
    to_char(
        {{ figure }},
        'FM' || repeat('999,', 12) || '990' || case when {{ decimals }} > 0 then '.' || repeat('0', {{ decimals }}) else '' end
    )
{%- endmacro %}


{#- A figure as text for readers of tables: with its unit, or the name of the state that stands in its place. -#}
{% macro figure_text(figure, decimals, unit, otherwise) -%}
    coalesce({{ number_text(figure, decimals) }} || {{ unit }}, {{ otherwise }})
{%- endmacro %}


{#- The same for a target: of a band both ends. -#}
{% macro target_text(target, upper, decimals, unit, otherwise) -%}
    coalesce(
        {{ number_text(target, decimals) }} || coalesce('〜' || {{ number_text(upper, decimals) }}, '') || {{ unit }},
        {{ otherwise }}
    )
{%- endmacro %}
