{#- The era year of a day: 平成 to 2019-04-30, 令和 from 2019-05-01. The calendar starts after 平成 did; 元年 is 1. -#}
{% macro wareki_year(day) -%}
    case
        when {{ day }} < date '2019-05-01' then '平成' || (extract(year from {{ day }})::integer - 1988) || '年'
        when extract(year from {{ day }}) = 2019 then '令和元年'
        else '令和' || (extract(year from {{ day }})::integer - 2018) || '年'
    end
{%- endmacro %}


{#- The short era year of a whole year, as the plans write it: H30, H31(R1), R2. -#}
{% macro era_label(year) -%}
    case
        when {{ year }} = 2019 then 'H31(R1)'
        when {{ year }} < 2019 then 'H' || ({{ year }} - 1988)
        else 'R' || ({{ year }} - 2018)
    end
{%- endmacro %}


{#- Every name that a year has in eras, one after another: 2019 is 平成31年 and 令和元年, H31年 and R1年. -#}
{% macro era_names(year, suffix) -%}
    concat_ws(
        '、',
        case when {{ year }} <= 2019 then '平成' || ({{ year }} - 1988) || '{{ suffix }}' end,
        case when {{ year }} <= 2019 then 'H' || ({{ year }} - 1988) || '{{ suffix }}' end,
        case when {{ year }} = 2019 then '令和元{{ suffix }}' end,
        case when {{ year }} >= 2019 then '令和' || ({{ year }} - 2018) || '{{ suffix }}' end,
        case when {{ year }} >= 2019 then 'R' || ({{ year }} - 2018) || '{{ suffix }}' end
    )
{%- endmacro %}
