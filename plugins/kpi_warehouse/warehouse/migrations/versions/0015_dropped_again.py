"""A file that was refused and is put into the inbox once more, its time of writing kept, is seen by when it was put there."""

from alembic import op

revision = "0015"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        "set role kpi_loader;"
        " alter table ops.delivery add column put_at timestamptz;"
        " comment on column ops.delivery.put_at is"
        " 'ファイルが受付箱のその場所に置かれた時刻（分かる置き場所だけ）。同じファイルを入れ直したことを見分ける';"
        " reset role;"
    )


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
