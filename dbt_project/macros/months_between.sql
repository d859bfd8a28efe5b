{#- Whole months from one day to another. -#}
{% macro months_between(first_day, next_day) -%}
    (12 * extract(year from age({{ next_day }}, {{ first_day }})) + extract(month from age({{ next_day }}, {{ first_day }})))::integer
{%- endmacro %}
