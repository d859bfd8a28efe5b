select
    domain,
    code,
    label_ja,
    meaning_ja
from {{ ref('statuses') }}
