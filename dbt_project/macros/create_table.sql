{#- dbt's table under a contract, made of the rows first and given its constraints afterwards, in the same transaction: one index
    over all rows takes a third of one kept up row by row, and rows that arrive without a check of each are half as dear. What
    the contract promises is the same: names and types, NOT NULL, and the constraints of the model. -#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- if temporary or not config.get('contract').enforced -%}
        create {{ 'temporary ' if temporary }}table {{ relation }} as (
            {{ sql }}
        );
    {%- else -%}
        {{- get_assert_columns_equivalent(sql) -}}
        {%- set typed = [] -%}
        {%- set constraints = [] -%}
        {%- for column in model['columns'].values() -%}
            {%- do typed.append(column.name ~ '::' ~ column.data_type ~ ' as ' ~ column.name) -%}
            {%- for constraint in column.constraints -%}
                {%- if constraint.type != 'not_null' -%}
                    {%- do exceptions.raise_compiler_error(
                        'column ' ~ column.name ~ ': a constraint other than not_null belongs to the model'
                    ) -%}
                {%- endif -%}
                {%- do constraints.append('alter ' ~ column.name ~ ' set not null') -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- for constraint in adapter.render_raw_model_constraints(raw_constraints=model['constraints']) -%}
            {%- do constraints.append('add ' ~ constraint) -%}
        {%- endfor -%}
        create table {{ relation }} as
        select
            {{ typed | join(',\n            ') }}
        from (
            {{ sql }}
        ) as model_subq;
        {%- if constraints %}
        alter table {{ relation }}
            {{ constraints | join(',\n            ') }};
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
