{#- Each row of the table is shown to the members of the role in `owner_role` and to nobody else. Membership is granted by an
    administrator; nothing that a session can set comes into it. A role that does not exist has no members. -#}
{% macro only_for_owners() -%}
    alter table {{ this }} enable row level security;
    create policy own_drafts on {{ this }} for select using (
        owner_role in (
            select roles.rolname::text from pg_catalog.pg_roles as roles where pg_has_role(current_user, roles.oid, 'usage')
        )
    )
{%- endmacro %}
