{#- `receipt(kpi, period)`: from a published number to the rows it was made of, and from each row to the landed bytes and what
    judged them. It reads the books of the loads, which BI itself may not. -#}
{% macro create_receipt() -%}
    create or replace function {{ this.schema }}.receipt(kpi text, period text)
    returns table (
        kpi_id text, period_id text, published_value numeric, row_period date, row_value numeric, row_mark text, feed text,
        source_cell text, note text, load_id bigint, page integer, file_or_url text, sha256 text, fetched_at timestamptz,
        contract_version text, code_version text, verdict text, checks bigint, failed_checks bigint, known_from timestamptz
    )
    language sql stable security definer set search_path = ''
    begin atomic
        select
            rows.kpi_id,
            rows.period_id,
            figures.value,
            rows.row_period,
            rows.row_value,
            rows.row_mark,
            rows.feed,
            rows.source_cell,
            rows.note,
            rows.load_id,
            rows.page,
            coalesce(pages.params ->> 'file_name', pages.url),
            pages.sha256,
            pages.fetched_at,
            loads.contract_version,
            loads.code_version,
            loads.verdict,
            (select count(*) from ops.gate_result as results where results.load_id = rows.load_id),
            (select count(*) from ops.gate_result as results where results.load_id = rows.load_id and not results.success),
            rows.loaded_at
        from {{ this }} as rows
        inner join {{ ref('fct_kpi_value') }} as figures
            on rows.kpi_id = figures.kpi_id and rows.period_id = figures.period_id
        inner join ops.load as loads on rows.load_id = loads.load_id
        inner join ops.load_page as pages on rows.load_id = pages.load_id and rows.page = pages.page
        where
            rows.kpi_id = receipt.kpi
            and rows.period_id in (
                select periods.period_id
                from {{ ref('dim_period') }} as periods
                where receipt.period in (periods.period_id, periods.label_ja, periods.label_wareki)
                    or receipt.period = any(string_to_array(periods.era_names, '、'))
                    or 'CY' || receipt.period = periods.period_id
            )
        order by rows.row_period;
    end;
    comment on function {{ this.schema }}.receipt(text, text)
    is '公表した数値ひとつの由来（行・取込・原本の sha256・検査）。例：select * from marts.receipt(''K12'', ''2024'')、''2023年度''、''令和5年度''、''2024-09'''
{%- endmacro %}
