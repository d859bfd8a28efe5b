"""The embedded server works wherever it is put and whoever starts it, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import psutil
import psycopg
import pytest
from embedded_servers import (
    IS_ROOT,
    SERVER,
    NewServer,
    copy_of_the_wheel,
    data_folder,
    is_alive,
    is_complete,
    postmasters,
    query,
    wait_until_gone,
)

from kpi_warehouse.settings import Settings
from kpi_warehouse.warehouse.server import EmbeddedServer
from kpi_warehouse.warehouse.server_place import OUTSIDE

pytestmark = pytest.mark.nightly


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
