"""Texts that a file holds beside its figures (comments, text boxes, struck-out parts) are kept with what is said of its form."""

from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    op.execute(
        "set role kpi_loader;"
        " alter table ops.drift drop constraint drift_policy_check,"
        " add constraint drift_policy_check check (policy in ('hold', 'flag', 'note'));"
        " comment on table ops.drift is"
        " '様式の変化（列の増減、単位）は契約の drift により保留または注意。note は読まなかったコメント・図形・取り消し線の文字';"
        " reset role;"
    )


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
