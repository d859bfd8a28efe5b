{#- A period of a departmental figure in words; the kind is always said, so that 暦年 and 年度 are never taken for each other. -#}
{% macro programme_period_label(kind, first_day, last_day) -%}
    case {{ kind }}
        when '月' then to_char({{ first_day }}, 'YYYY"年"FMMM"月"')
        when '暦年' then to_char({{ first_day }}, 'YYYY"年"')
        when '年' then to_char({{ first_day }}, 'YYYY"年"')
        when '年度' then to_char({{ first_day }}, 'YYYY"年度"')
        when '時点' then to_char({{ last_day }}, 'YYYY"年"FMMM"月"FMDD"日時点"')
        when '累計'
            then to_char({{ first_day }}, 'YYYY"年"FMMM"月"') || '〜' || to_char({{ last_day }}, 'YYYY"年"FMMM"月の累計"')
        when 'イベント'
            then
                to_char({{ first_day }}, 'YYYY"年"FMMM"月"FMDD"日"')
                || case when {{ first_day }} < {{ last_day }} then '〜' || to_char({{ last_day }}, 'FMMM"月"FMDD"日"') else '' end
        else '年度の記載なし'
    end
{%- endmacro %}
