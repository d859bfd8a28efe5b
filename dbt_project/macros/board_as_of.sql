{#- `board_as_of(instant)`: the board as readers saw it then, for BI tools that can call a function. It reads the memory of
    what was published, which BI itself may not; nothing is shown of the time before the first build. -#}
{% macro create_board_as_of() -%}
    create or replace function {{ this.schema }}.board_as_of(as_of timestamptz)
    returns setof {{ this }}
    language sql stable security definer set search_path = ''
    begin atomic
        select board.*
        from ops.published_row as shown
        cross join lateral jsonb_populate_record(null::{{ this }}, shown.row) as board
        where
            shown.relation = 'mart_kpi_board'
            and shown.published_from <= as_of
            and shown.published_to > as_of
        order by board.display_order;
    end;
    comment on function {{ this.schema }}.board_as_of(timestamptz)
    is 'その時点に公表していたKPIボード（32行）。例：select * from marts.board_as_of(''2025-04-01'')'
{%- endmacro %}
