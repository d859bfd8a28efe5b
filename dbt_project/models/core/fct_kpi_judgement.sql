-- Every KPI and period under every rule pack. A rule measures one of five things, always on unrounded
-- values: gap_expected, gap_target, gain: how far the actual is on the good side of expected value,
-- target, baseline, in units; attainment: the share of the expected gain that was reached;
-- gain_beyond_noise: the gain with the survey's noise forgiven.
with

measured as (

    select
        *,
        case
            when kpi_type = 'undetermined' then 'type_undetermined'
            when target_status <> 'registered' then target_status
            when value_status in ('not_published', 'missing') then 'no_actual'
            when value_status = 'partial' then 'partial_period'
            when value_status = 'provisional' then 'provisional_value'
            when value_status = 'gap' then 'missing_months'
            when value_status = 'out_of_range' then 'out_of_range'
            else 'rule'
        end as condition
    from {{ ref('int_kpi_measured') }}

),

packs as (

    select * from {{ ref('rule_packs') }}
    where {{ stated_at_as_of() }}

),

bands as (

    select * from {{ ref('rule_bands') }}

),

compared as (

    select
        measured.*,
        packs.pack_id,
        packs.pack_version,
        packs.display_order as pack_order,
        packs.body as pack_body,
        case measured.kpi_type
            when
                'band'
                then least(measured.value - measured.target_value, measured.target_upper - measured.value)
            else measured.direction_sign * (measured.value - measured.expected_value)
        end as gap_expected,
        measured.direction_sign * (measured.value - measured.target_value) as gap_target,
        measured.direction_sign * (measured.value - measured.baseline_value) as gain,
        -- What has piled up since its own start owes its baseline nothing.
        case
            when measured.kpi_type in ('cumulative_n_years', 'stock_cumulative')
                then case when measured.expected_value > 0 then measured.value / measured.expected_value end
            when measured.baseline_value is not null
                then
                    (measured.value - measured.baseline_value)
                    / nullif(measured.expected_value - measured.baseline_value, 0)
            when measured.direction_sign = 1 and measured.expected_value > 0
                then measured.value / measured.expected_value
        end as attainment,
        measured.direction_sign * (measured.value - measured.baseline_value)
        + case when measured.is_survey then coalesce(measured.survey_noise, packs.survey_noise) else 0 end
            as gain_beyond_noise
    from measured
    cross join packs

),

candidates as (

    select
        compared.kpi_id,
        compared.period_id,
        compared.pack_id,
        bands.band_order,
        bands.judgement,
        bands.label_ja,
        bands.as_expected,
        bands.threshold_assumed,
        bands.comparison,
        bands.threshold,
        case bands.basis
            when 'gap_expected' then compared.gap_expected
            when 'gap_target' then compared.gap_target
            when 'gain' then compared.gain
            when 'attainment' then compared.attainment
            when 'gain_beyond_noise' then compared.gain_beyond_noise
        end as measure
    from compared
    inner join bands
        on
            compared.pack_id = bands.pack_id
            and compared.pack_version = bands.pack_version
            and compared.kpi_type = any(string_to_array(bands.kpi_types, '|'))
    where compared.condition = 'rule'

),

-- The first band that fits decides. What cannot be measured stops the search: a pack does not guess.
decided as (

    select distinct on (kpi_id, period_id, pack_id) *
    from candidates
    where
        measure is null
        or (comparison = 'ge' and measure >= threshold)
        or (comparison = 'gt' and measure > threshold)
    order by kpi_id asc, period_id asc, pack_id asc, band_order asc

),

reasoned as (

    select
        compared.*,
        decided.judgement as band_judgement,
        decided.label_ja as band_label_ja,
        decided.as_expected,
        decided.threshold_assumed,
        case
            when compared.condition <> 'rule' then compared.condition
            when decided.pack_id is null then 'no_rule'
            when decided.measure is not null then 'rule'
            when compared.expected_value is null then 'no_expected'
            when
                compared.baseline_value = compared.expected_value
                and compared.kpi_type not in ('cumulative_n_years', 'stock_cumulative')
                then 'baseline_equals_target'
            else 'not_measurable'
        end as judgement_reason
    from compared
    left join decided
        on
            compared.kpi_id = decided.kpi_id
            and compared.period_id = decided.period_id
            and compared.pack_id = decided.pack_id

),

judged as (

    select
        *,
        case
            when judgement_reason = 'rule' then band_judgement
            when
                judgement_reason in (
                    'type_undetermined', 'no_actual', 'partial_period', 'provisional_value', 'missing_months',
                    'no_expected'
                )
                then 'deferred'
            else 'not_judged'
        end as judgement
    from reasoned

)

select
    kpi_id,
    period_id,
    pack_id,
    pack_version,
    pack_order,
    pack_body,
    kpi_name,
    period_kind,
    period_label,
    value,
    target_value,
    target_upper,
    expected_value,
    case
        when judgement_reason in ('rule', 'baseline_equals_target') then gap_expected
    end as gap_to_expected,
    judgement,
    case
        when judgement_reason = 'rule' then band_label_ja
        else {{ status_label('judgement', 'judgement') }}
    end as judgement_ja,
    judgement_reason,
    {{ period_status_label('judgement_reason', 'judgement_reason', 'period_kind') }} as judgement_reason_ja,
    case when judgement_reason = 'rule' then as_expected end as is_as_expected,
    case when judgement_reason = 'rule' then threshold_assumed else false end as threshold_assumed,
    case when judgement_reason = 'rule' then 100 * attainment end as attainment_percent,
    data_as_of,
    gate_status,
    value_status,
    held_rows
from judged
