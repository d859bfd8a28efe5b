with

prefectures as (

    select * from {{ ref('areas') }}

),

municipalities as (

    select * from {{ ref('municipalities') }}

),

nation as (

    select
        '00000' as area_code,
        null as area_code_6,
        '全国' as area_name,
        null as bloc

)

select
    area_code,
    area_code_6,
    area_name,
    '都道府県' as area_kind,
    bloc,
    case
        when bloc in ('東京圏', '大阪圏') then bloc
        when area_code = '40000' then '福岡県'
        when area_code <> '43000' then 'その他'
    end as kumamoto_partner
from prefectures
union all
select
    area_code,
    area_code_6,
    area_name,
    '全国' as area_kind,
    bloc,
    null as kumamoto_partner
from nation
union all
select
    area_code,
    area_code_6,
    area_name,
    '市町村' as area_kind,
    null as bloc,
    null as kumamoto_partner
from municipalities
