with

measured as (

    select * from {{ ref('int_kpi_measured') }}

),

-- The board follows the standard pack; the others stand side by side in fct_kpi_judgement.
standard as (

    select * from {{ ref('fct_kpi_judgement') }}
    where pack_id = 'standard'

),

judged as (

    select
        measured.*,
        standard.judgement,
        standard.judgement_ja,
        standard.judgement_reason,
        standard.judgement_reason_ja,
        standard.gap_to_expected,
        standard.is_as_expected,
        {{ progress_basis('measured.kpi_type', 'measured.target_value', 'measured.baseline_value') }}
            as progress_basis
    from measured
    inner join standard on measured.kpi_id = standard.kpi_id and measured.period_id = standard.period_id

)

select
    kpi_id,
    period_id,
    display_order,
    kpi_name,
    unit,
    period_kind,
    period_start,
    period_end,
    period_label,
    period_label_wareki,
    period_sort_order,
    value,
    value_status,
    {{ period_status_label('value_status', 'value_status', 'period_kind') }} as value_status_ja,
    covered_months,
    expected_months,
    covered_months || '/' || expected_months as coverage,
    period_label || ' ' || missing_months_ja || 'が欠測' as missing_ja,
    same_months_year_before,
    is_additive,
    definition_version,
    is_series_break,
    target_version,
    target_value,
    target_upper,
    target_status,
    {{ status_label('target_status', 'target_status') }} as target_status_ja,
    expected_value,
    expected_basis,
    gap_to_expected,
    judgement,
    judgement_ja,
    judgement_reason,
    judgement_reason_ja,
    case when judgement_reason = 'rule' and not is_as_expected then abs(gap_to_expected) end as shortfall,
    {{ progress_percent('progress_basis', 'value', 'value_status', 'target_value', 'baseline_value') }}
        as progress_percent,
    progress_basis,
    data_as_of,
    source_updated_on,
    loaded_at,
    gate_status,
    {{ status_label('gate_status', 'gate_status') }} as gate_status_ja,
    held_rows
from judged
