"""The parts of the local stack: what runs, in which environment, and how supervisor keeps it running.

Everything listens on 127.0.0.1. Log servers are left out: all parts share one log folder. Secrets are made once, kept in
`KPI_HOME` for the owner alone, and passed by environment.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from kpi_warehouse.settings import Settings

HOST = "127.0.0.1"
ADMIN = "admin"
# Children carry this, so that what a killed supervisor leaves behind can be found, and nothing else.
MARK = "KPI_STACK"
AIRFLOW = ("-m", "kpi_warehouse.airflow.component")


@dataclass(frozen=True)
class Program:
    """One process of the stack. Lower priorities start first and stop last."""

    name: str
    arguments: tuple[str, ...]
    priority: int

    def section(self, logs: Path) -> str:
        """Its section of supervisor's configuration."""
        command = " ".join((sys.executable, *self.arguments)).replace("%", "%%")
        return (
            f"[program:{self.name}]\ncommand={command}\npriority={self.priority}\n"
            "autorestart=true\nstartsecs=2\nstartretries=5\nstopwaitsecs=10\nstopasgroup=true\nkillasgroup=true\n"
            f"redirect_stderr=true\nstdout_logfile={logs / self.name}.log\nstdout_logfile_maxbytes=10MB\n"
            "stdout_logfile_backups=2\n"
        )


def programs(
    api_port: int, simulator_port: int | None, files_port: int | None, *, lasting: bool
) -> list[Program]:
    """What runs: Airflow's components, and when no key is known the e-Stat simulator and a division's web server.

    The triggerer serves deadlines and deferred waits, the watcher what nobody else notices: a stack that is not `lasting`
    never comes to either, and sends its notifications itself.
    """
    running = [
        Program(
            "api-server",
            (*AIRFLOW, "api-server", "--host", HOST, "--port", str(api_port), "--workers", "1"),
            10,
        ),
        Program("scheduler", (*AIRFLOW, "scheduler", "--skip-serve-logs"), 20),
        Program("dag-processor", (*AIRFLOW, "dag-processor"), 20),
    ]
    if lasting:
        running.append(Program("triggerer", (*AIRFLOW, "triggerer", "--skip-serve-logs"), 30))
        running.append(Program("watcher", ("-m", "kpi_warehouse.cli", "watch"), 30))
    if simulator_port is not None:
        simulator = ("-m", "demo.estat", "--port", str(simulator_port), "--data", "published")
        running.insert(0, Program("estat-simulator", simulator, 5))
    if files_port is not None:
        served = ("-m", "http.server", str(files_port), "--bind", HOST, "--directory", "demo/inbox/http")
        running.insert(0, Program("division-web-server", served, 5))
    return running


def write_configuration(folder: Path, logs: Path, running: list[Program], project: Path) -> Path:
    """supervisor's configuration file; no control socket, it is ended by a signal to its process id."""
    path = folder / "supervisord.conf"
    # One group, so that all are told to stop at once instead of one after another.
    group = "[group:stack]\nprograms=" + ",".join(program.name for program in running) + "\n\n"
    head = (
        f"[supervisord]\npidfile={folder / 'supervisord.pid'}\nlogfile={logs / 'supervisord.log'}\n"
        f"logfile_maxbytes=5MB\nlogfile_backups=1\nloglevel=info\ndirectory={project}\nminfds=1024\n\n"
    )
    path.write_text(head + group + "\n".join(program.section(logs) for program in running), encoding="utf-8")
    return path


def environment(
    settings: Settings,
    metadata_url: str,
    api_port: int,
    simulator_port: int | None,
    files_port: int | None,
) -> dict[str, str]:
    """The environment of every part of the stack.

    Args:
        metadata_url: `postgresql://…` of Airflow's own database.
        simulator_port: port of the e-Stat simulator, None when the live API is used.
        files_port: port of the web server with a division's demo file, likewise.
    """
    home, project = settings.home, settings.project
    keys = stack_secrets(home)
    plain = metadata_url.split("://", 1)[1]
    env = os.environ | {
        MARK: str(home),
        # Airflow names its processes; without this the name is written over the environment, and the mark is gone.
        "SPT_NOENV": "1",
        "KPI_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Tokyo",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(home)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{api_port}/execution/",
        # `airflow db migrate` ran just now; each part would load the whole migration history again to find that out.
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{plain}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+psycopg_async://{plain}",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{api_port}",
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "100",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "airflow" / "logs"),
        "GX_ANALYTICS_ENABLED": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # The libraries' own threads would fight over two cores, and threads do not survive a fork.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    if simulator_port is not None:
        env |= {
            "ESTAT_BASE_URL": f"http://{HOST}:{simulator_port}/rest/3.0/app",
            # The simulator takes any key of this form; it opens nothing.
            "ESTAT_APP_ID": "0" * 40,
            "KPI_ESTAT_REQUESTS_PER_SECOND": "0",
        }
    if files_port is not None:
        env["KPI_FEED_URL_LINE_SUBSCRIBERS"] = f"http://{HOST}:{files_port}/line_subscribers.json"
    return env


def stack_secrets(home: Path) -> dict[str, str]:
    """Keys of the stack, made once: Airflow's Fernet key, API secret, token secret, and the administrator's password."""
    path = home / "stack-secrets.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    made = {
        "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "api": secrets.token_urlsafe(32),
        "jwt": secrets.token_urlsafe(64),
        "admin": secrets.token_urlsafe(12),
    }
    write_private(password_file(home), {ADMIN: made["admin"]})
    write_private(path, made)
    return made


def password_file(home: Path) -> Path:
    """Where the administrator's password is."""
    return home / "airflow-passwords.json"


def write_private(path: Path, content: object) -> None:
    """Write JSON that only the owner may read, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    temporary.replace(path)


def free_port(wanted: int | None = None) -> int | None:
    """A free port on 127.0.0.1, or `wanted` if that is free; None if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError:
            return None
        return int(probe.getsockname()[1])
