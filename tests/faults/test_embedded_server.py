"""The embedded server keeps its promises on a real PostgreSQL, whatever is killed or taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from embedded_servers import (
    IS_ROOT,
    SERVER,
    NewServer,
    command_lines,
    data_folder,
    is_alive,
    is_complete,
    postmasters,
    query,
    wait_until_gone,
)

from kpi_warehouse.errors import KpiError, StorageFailed
from kpi_warehouse.settings import Settings, settings
from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.server import EmbeddedServer
from kpi_warehouse.warehouse.server_place import OUTSIDE


def test_a_cold_start_gives_a_complete_server_on_a_japanese_machine(
    folder: Path, new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, "ja_JP.eucJP")
    home = folder / "var"
    running = new_server(home).start()

    assert is_complete(running)
    shown = ["server_encoding", "data_checksums", "fsync", "listen_addresses", "password_encryption"]
    values = [query(running, f"show {name}")[0][0] for name in shown]
    assert values == ["UTF8", "on", "on", "127.0.0.1", "scram-sha-256"]
    locale = "select datlocprovider::text, datlocale from pg_database where datname = 'kpi'"
    assert query(running, locale) == [("b", "C.UTF-8")]
    assert query(running, "select distinct auth_method from pg_hba_file_rules") == [("scram-sha-256",)]
    assert int(str(query(running, "show max_connections")[0][0])) >= 100
    with psycopg.connect(running.url("kpi", "kpi_reader"), host=str(running.socket_dir)) as over_the_socket:
        assert over_the_socket.info.user == "kpi_reader"
    assert psutil.Process(running.pid).uids().effective != 0
    outside = IS_ROOT and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert data_folder(running).is_relative_to(OUTSIDE if outside else home / "postgres")


def test_the_owner_can_make_the_warehouse_and_a_guessed_password_is_refused(
    home: Path, new_server: NewServer
) -> None:
    running = new_server(home).start()
    query(running, "create role kpi_loader; grant kpi_loader to kpi_owner, kpi_reader", "kpi_owner")
    query(running, "create role bi; grant kpi_reader to bi; create extension btree_gist", "kpi_owner")
    for host in (running.host, str(running.socket_dir)):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(running.url("postgres", "postgres"), host=host, password="guess")


def test_start_finds_the_running_server_and_stop_keeps_data_and_port(
    home: Path, new_server: NewServer
) -> None:
    server = new_server(home)
    assert server.running() is None
    first = server.start()
    query(first, "create table kept as select 1 as n")
    assert server.create_database("demo") == server.create_database("demo")
    assert server.start() == first == new_server(home).running()

    server.stop()
    server.stop()
    assert server.running() is None
    assert not is_alive(first.pid)
    second = server.start()
    assert (second.pid != first.pid, second.port) == (True, first.port)
    assert query(second, "select n from kept") == [(1,)]


def test_the_server_outlives_the_process_that_started_it(home: Path, new_server: NewServer) -> None:
    starter = subprocess.run(
        [sys.executable, "-c", f"{SERVER}print(server.start().pid, flush=True)\ndie()", home],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert starter.returncode == -signal.SIGKILL
    assert new_server(home).start().pid == int(starter.stdout)


@pytest.mark.parametrize(
    "moment",
    [
        "die_after(0.3, 'initdb')",  # which goes on alone
        pytest.param("EmbeddedServer._launch = die", marks=pytest.mark.nightly),
        pytest.param("die_after(0.03, 'pg_ctl')", marks=pytest.mark.nightly),  # which goes on alone
        pytest.param("EmbeddedServer._complete = die", marks=pytest.mark.nightly),
        "EmbeddedServer.create_database = die",
    ],
)
def test_a_start_killed_at_any_moment_does_not_hinder_the_next(
    moment: str, empty_home: Path, new_server: NewServer
) -> None:
    command = [sys.executable, "-c", f"{SERVER}{moment}\nserver.start()", empty_home]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    running = new_server(empty_home).start()
    assert is_complete(running)
    assert postmasters(data_folder(running)) == 1


def test_a_killed_postmaster_is_replaced_and_nothing_committed_is_lost(
    home: Path, new_server: NewServer
) -> None:
    server = new_server(home)
    first = server.start()
    query(first, "create table kept as select 1 as n")
    busy = psycopg.connect(first.url(), autocommit=True)
    # A session that computes takes long to notice that its postmaster is gone.
    busy.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000) a where a < 0")
    session = busy.info.backend_pid
    time.sleep(0.3)
    os.kill(first.pid, signal.SIGKILL)
    wait_until_gone(first.pid)
    assert is_alive(session)
    assert server.running() is None
    second = server.start()
    assert second.pid != first.pid
    assert not is_alive(session)
    assert query(second, "select n from kept") == [(1,)]
    busy.close()


def test_a_stranger_with_the_old_process_id_is_neither_believed_nor_harmed(
    home: Path, new_server: NewServer
) -> None:
    server = new_server(home)
    running = server.start()
    lock_file = data_folder(running) / "postmaster.pid"
    content, owner = lock_file.read_text(encoding="utf-8"), lock_file.stat()
    server.stop()
    identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    stranger = subprocess.Popen(["sleep", "300"], **identity)  # type: ignore[call-overload]
    try:
        for act in (server.stop, server.start):
            lock_file.write_text(content.replace(str(running.pid), str(stranger.pid), 1), encoding="utf-8")
            os.chown(lock_file, owner.st_uid, owner.st_gid)
            assert server.running() is None
            act()
        assert is_complete(server.start())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_starts_at_the_same_time_give_one_server(empty_home: Path, new_server: NewServer) -> None:
    home = empty_home
    command = [sys.executable, "-c", f"{SERVER}print(server.start().pid)", str(home)]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    with ThreadPoolExecutor(3) as threads:
        pids = set(threads.map(lambda server: server.start().pid, [new_server(home) for _ in range(3)]))
    pids |= {int(other.communicate()[0]) for other in others}
    assert len(pids) == 1
    assert postmasters(data_folder(new_server(home).start())) == 1


def test_a_remembered_port_that_is_taken_is_replaced(home: Path, new_server: NewServer) -> None:
    server = new_server(home)
    port = server.start().port
    server.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = server.start()
        assert moved.port != port
    server.stop()
    assert server.start().port == moved.port


def test_a_process_follows_the_server_to_another_port(
    home: Path, new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPI_HOME", str(home))
    monkeypatch.delenv("KPI_DATABASE_URL", raising=False)
    settings.cache_clear()
    server = new_server(home)
    first = server.start()
    with pytest.raises(KpiError, match="kpi db migrate"):
        connect()
    query(first, "create role kpi_loader; grant kpi_loader to kpi_owner", "kpi_owner")
    with connect() as connection:
        assert connection.info.port == first.port
    server.stop()
    with pytest.raises(KpiError, match="kpi db start"):
        connect()
    with socket.create_server((first.host, first.port)):
        second = server.start()
        with connect() as connection:
            assert connection.info.port == second.port != first.port
    settings.cache_clear()


def test_a_set_port_is_used_or_refused_by_name(home: Path, new_server: NewServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StorageFailed, match=rf"{port}（KPI_POSTGRES_PORT）") as refused:
            new_server(home, postgres_port=port).start()
        assert refused.value.code == "server.port_taken"
    assert new_server(home, postgres_port=port).start().port == port


def test_passwords_are_in_their_file_and_nowhere_else(home: Path, new_server: NewServer) -> None:
    server = new_server(home)
    running = server.start()
    path = home / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    passwords = json.loads(path.read_text(encoding="utf-8"))
    assert sorted(passwords) == ["airflow", "kpi_owner", "kpi_reader", "postgres"]
    assert len(set(passwords.values())) == 4

    extra = data_folder(running) / "postgresql.auto.conf"
    server.stop()
    extra.write_text("log_statement = 'all'\n", encoding="utf-8")
    running = server.start()
    log = (home / "postgres" / "postgres.log").read_text(encoding="utf-8")
    assert 'role "kpi_owner"' in log
    files = [file for file in home.rglob("*") if file.is_file() and file != path]
    assert len(files) > 900  # the whole data folder is read
    texts = [file.read_bytes().decode("latin-1") for file in files]
    texts += [*command_lines(), repr(running), server.psql_program(running.url())[0]]
    assert [login for login, password in passwords.items() if any(password in text for text in texts)] == []


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_lost_passwords_are_reported_not_replaced(state: str, home: Path, new_server: NewServer) -> None:
    server = new_server(home)
    running = server.start()
    path = home / "secrets.json"
    kept = path.read_text(encoding="utf-8")
    if state == "stopped":
        server.stop()
    others = dict.fromkeys(json.loads(kept), "other")
    for content in (None, "{", "{}", json.dumps(others)):
        path.unlink()
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(StorageFailed, match=r"secrets\.json") as lost:
            server.start()
        assert lost.value.code == "server.secrets_lost"
        assert path.exists() == (content is not None)
        path.write_text(kept, encoding="utf-8")
    assert server.start().port == running.port


def test_a_server_that_cannot_start_says_why_and_where_to_look(home: Path, new_server: NewServer) -> None:
    server = new_server(home)
    extra = data_folder(server.start()) / "postgresql.auto.conf"
    server.stop()
    extra.write_text("shared_buffers = 'たくさん'\n", encoding="utf-8")
    with pytest.raises(StorageFailed) as failed:
        server.start()
    assert failed.value.code == "server.not_started"
    for named in (str(home / "postgres" / "postgres.log"), "FATAL", "postgresql.auto.conf"):
        assert named in failed.value.message_ja
    extra.write_text("work_mem = '5MB'\n", encoding="utf-8")
    assert query(server.start(), "show work_mem") == [("5MB",)]


def test_a_home_that_is_a_file_is_a_failure_a_person_can_read(open_folder: Path) -> None:
    (open_folder / "var").write_text("")
    with pytest.raises(StorageFailed, match="起動できません"):
        EmbeddedServer(Settings(home=open_folder / "var")).start()
