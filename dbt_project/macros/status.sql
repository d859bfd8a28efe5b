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


{#- The worst gate status of a group: a year is only as sound as its worst month. -#}
{% macro worst_gate_status(gate_status) -%}
    {%- set ladder = "array['no_feed', 'passed', 'released', 'flagged', 'held', 'asked', 'set_aside', 'rejected']" -%}
    ({{ ladder }})[max(array_position({{ ladder }}, {{ gate_status }}))]
{%- endmacro %}


{#- A figure as text for readers of tables: with its unit, or the name of the state that stands in its place. -#}
{% macro figure_text(figure, decimals, unit, otherwise) -%}
    coalesce(
        to_char({{ figure }}, case when {{ decimals }} = 1 then 'FM999,999,990.0' else 'FM999,999,990' end) || {{ unit }},
        {{ otherwise }}
    )
{%- endmacro %}
