"""The embedded server's port and settings."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import psutil

from kpi_warehouse.errors import StorageFailed
from kpi_warehouse.warehouse.server_place import Place

HOST = "127.0.0.1"
# PostgreSQL lets everyone keep large objects; a role that may only read must not. Takes a superuser, once in each database.
NO_LARGE_OBJECTS = """
do $$
declare
    every regprocedure;
begin
    for every in
        select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_|loread$|lowrite$)'
    loop
        execute format('revoke execute on function %s from public', every);
    end loop;
end
$$
"""
# Repeated hashing slows down who guesses a password; ours are random, and it took half of every connection's time.
SCRAM_ITERATIONS = 1
MEGABYTE = 1024 * 1024


def choose_port(place: Place, fixed: int | None) -> int:
    """The set port, else the remembered one while it is free, else any free one.

    Raises:
        StorageFailed: another program has the set port.
    """
    if fixed is not None:
        if not _is_free(fixed):
            raise StorageFailed(
                f"ポート {fixed}（KPI_POSTGRES_PORT）は別のプログラムが使っています。"
                "別の番号を設定するか、設定を外してください（空いている番号を選びます）。",
                "server.port_taken",
            )
        return fixed
    with suppress(FileNotFoundError, IndexError, ValueError):
        port = int((place.data / "kpi.conf").read_text(encoding="utf-8").split("port = ", 1)[1].split()[0])
        if _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def write_configuration(place: Place, port: int) -> None:
    """Settings for a machine shared with Airflow; written at every start, so that new ones take effect."""
    memory = _memory_megabytes()
    settings = {
        "port": port,
        "listen_addresses": f"'{HOST}'",
        "unix_socket_directories": f"'{place.socket_folder}'",
        "cluster_name": f"'{place.cluster}'",
        "max_connections": 200,
        "shared_buffers": f"{min(2048, max(32, memory // 12))}MB",
        "work_mem": f"{min(128, max(4, memory // 192))}MB",
        "maintenance_work_mem": f"{min(512, max(64, memory // 48))}MB",
        "max_wal_size": "4GB",
        # One server, nobody follows it: no need to log what a new table's own file already holds.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "jit": "off",
        "scram_iterations": SCRAM_ITERATIONS,
        "timezone": "'Asia/Tokyo'",
        "log_timezone": "'Asia/Tokyo'",
        "log_line_prefix": "'%m [%p] %q%u@%d '",
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    place.write(place.data / "kpi.conf", text, give=True)


def _memory_megabytes() -> int:
    """Memory of the machine, or of the container where that is less."""
    memory = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):  # no such file outside containers, or the word "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return memory // MEGABYTE
