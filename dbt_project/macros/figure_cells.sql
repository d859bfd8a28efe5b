{#- Every version that a feed's cells have had by the instant of the build, with the instants from which and to which each was
    shown: what a figure that was published once is compared with. `columns`: expressions of measure, period and amount. -#}
{% macro shown_versions(feed) -%}
    select
        *,
        greatest(known_from, public_from) as shown_from,
        coalesce(public_to, known_to) as shown_to
    from {{ accepted(feed) }}
    where known_from <= {{ build_instant() }} and coalesce(public_from, known_from) <= {{ build_instant() }}
{%- endmacro %}
