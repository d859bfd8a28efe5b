"""The book of deliveries: every file that a division hands in is a row, from the moment it is seen.

One row is one state of one file: a name saved again is a row of its own. While a file still grows, its row moves along
with it (`settling`), and there is one such row a file. The second unique index is what makes two scanners of one inbox
write one row; the third makes the same bytes one delivery of a feed.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

DELIVERIES = """
set role kpi_loader;
create table ops.delivery (
    delivery_id bigint generated always as identity primary key,
    feed text,
    file_name text not null,
    location text not null,
    bytes bigint not null,
    sha256 text,
    values_digest text,
    mtime timestamptz,
    validators jsonb not null default '{}',
    state text not null check (state in (
        'settling', 'received', 'duplicate', 'unmatched', 'refused_personal', 'unreadable',
        'loaded', 'rejected', 'held', 'unchanged'
    )),
    load_id bigint references ops.load,
    message_ja text,
    attempts integer not null default 0,
    seen_at timestamptz not null default clock_timestamp(),
    received_at timestamptz,
    announced_at timestamptz,
    settled_at timestamptz,
    check (state not in ('received', 'loaded', 'rejected', 'held', 'unchanged') or (feed is not null and sha256 is not null))
);
create unique index delivery_settling on ops.delivery (location) where state = 'settling';
create unique index delivery_seen on ops.delivery (location, mtime, bytes) nulls not distinct;
create unique index delivery_accepted on ops.delivery (feed, sha256)
    where state in ('received', 'loaded', 'held', 'unchanged');
create index delivery_waiting on ops.delivery (feed, received_at) where state = 'received';
create index delivery_load on ops.delivery (load_id) where load_id is not null;

comment on table ops.delivery is '受付箱に届いたファイル1つ（同じ名前の保存し直しは別の行）の受付記録';
comment on column ops.delivery.delivery_id is '受付番号（ファイルを見つけた時点で付く）';
comment on column ops.delivery.feed is '当てはまったフィード。決まらないうちは空';
comment on column ops.delivery.file_name is 'ファイル名（NFKC に揃えたもの）';
comment on column ops.delivery.location is '届いた場所（パスワードと鍵を除いた URL）';
comment on column ops.delivery.bytes is 'ファイルの大きさ（バイト）';
comment on column ops.delivery.sha256 is '内容のハッシュ。受け取らなかったファイルも、後で照合できるように残す';
comment on column ops.delivery.values_digest is '読み取った値の要約値。保存し直しただけのファイルを見分ける';
comment on column ops.delivery.mtime is 'ファイルの更新日時（置き場所が示すもの）';
comment on column ops.delivery.validators is 'HTTP で取りに行くときの ETag と Last-Modified';
comment on column ops.delivery.state is '状態：settling 書き込み中、received 受領、duplicate 受領済みと同じ内容、unmatched 対象不明、refused_personal 個人情報のため受け取らない、unreadable 読めない、loaded 反映、rejected 差戻し、held 確認待ち、unchanged 値に変更なし';
comment on column ops.delivery.load_id is 'このファイルを取り込んだ取込番号';
comment on column ops.delivery.message_ja is '提出した課への知らせ（個人情報の中身は書かない）';
comment on column ops.delivery.attempts is '受領を試みた回数（途中で止まったものを数える）';
comment on column ops.delivery.seen_at is 'この大きさ・更新日時のファイルを初めて見た日時';
comment on column ops.delivery.received_at is '受領した日時（この順に取り込む）';
comment on column ops.delivery.announced_at is '取込の開始を知らせた日時（1回だけ）';
comment on column ops.delivery.settled_at is '結果が決まった日時';
grant select on ops.delivery to kpi_transformer;
reset role;
"""


def upgrade() -> None:
    op.execute(DELIVERIES)


def downgrade() -> None:
    raise RuntimeError("History is never taken back: restore a backup instead.")
