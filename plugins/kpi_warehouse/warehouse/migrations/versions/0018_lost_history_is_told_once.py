"""A lost history is one incident of its feed, whatever periods the loads that met it were about: who finds it reports it."""

from alembic import op

revision = "0018"
down_revision = "0009"


def upgrade() -> None:
    op.execute("set role kpi_loader")
    op.execute("update ops.cause_code set cause = null where code_pattern = 'history.lost'")
    op.execute("reset role")


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
