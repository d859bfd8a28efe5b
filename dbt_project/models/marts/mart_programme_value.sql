with

numbers as (

    select * from {{ ref('fct_programme_value') }}

),

feeds as (

    select * from {{ ref('file_feeds') }}

),

codes as (

    select * from {{ ref('feed_codes') }}

),

labelled as (

    select
        numbers.*,
        feeds.feed_name,
        feeds.owner_name,
        feeds.credit,
        measures.label_ja as measure_name,
        measures.seed_id,
        measures.display_order,
        (
            select string_agg(coalesce(codes.label_ja, axis.value), '／' order by axis.key)
            from jsonb_each_text(numbers.breakdown::jsonb) as axis
            left join codes
                on
                    numbers.feed = codes.feed
                    and axis.key = codes.column_name
                    and axis.value = codes.code
        ) as breakdown_ja,
        row_number() over (
            partition by numbers.feed, numbers.measure_code, numbers.breakdown, numbers.period_kind
            order by numbers.period_end desc, numbers.period_start desc
        ) = 1 as is_newest
    from numbers
    inner join feeds on numbers.feed = feeds.feed
    inner join codes as measures
        on
            numbers.feed = measures.feed
            and measures.column_name = 'measure_code'
            and numbers.measure_code = measures.code

)

select
    feed,
    feed_name,
    owner_name,
    measure_code,
    measure_name,
    nullif(seed_id, '') as seed_id,
    display_order,
    coalesce(breakdown_ja, '') as breakdown_ja,
    period_kind,
    period_start,
    period_end,
    {{ programme_period_label('period_kind', 'period_start', 'period_end') }} as period_label,
    case
        when period_kind <> '年度不明'
            then extract(year from period_end - interval '3 months')::integer
    end as fiscal_year,
    value,
    unit,
    -- Ratios, averages, states on a day and sums that run on are not summed.
    period_kind not in ('累計', '時点', '年度不明')
    and coalesce(unit, '') !~ '^(%|倍|比率)$|/'
    and coalesce(qualifier, '') !~ '平均' as is_additive,
    qualifier,
    value_text,
    value_mark,
    value_status,
    {{ status_label('value_status', 'value_status') }} as value_status_ja,
    note,
    is_newest,
    source_cell,
    load_id,
    loaded_at,
    coalesce(data_as_of, loaded_at) as data_as_of,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows,
    credit
from labelled
