"""`python -m kpi_warehouse.airflow.stack run|up|down|status|clean`: the whole product on one machine.

`run` is `make run`: start the database and Airflow, run every feed's DAG and the marts DAG once, print the board, stop what
was started. `up` leaves it running. State lives in `KPI_HOME`; processes are ended by process id, and only our own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import psutil
from rich.console import Console

from kpi_warehouse.airflow import components
from kpi_warehouse.airflow.demo_inbox import drop_demo_files, remove_demo_files
from kpi_warehouse.airflow.first_run import Failure, nothing_published, run_everything
from kpi_warehouse.airflow.one_command import end_in_order, only_one
from kpi_warehouse.airflow.rest import AirflowApi
from kpi_warehouse.errors import KpiError
from kpi_warehouse.settings import Settings, settings
from kpi_warehouse.warehouse.connection import migrate, warehouse_url
from kpi_warehouse.warehouse.server import EmbeddedServer

# A slow, busy machine needs two minutes; a part that ends is noticed at once.
START_SECONDS = 300
SERVING = ("marts", "embargo", "publication", "maintenance", "reread", "drill")
MADE_HERE = ("airflow", "dbt", "run", "logs", "landing", "returned", "mailbox", "publication", "postgres")
MADE_FILES = ("stack.lock", "stack.json", "stack-secrets.json", "airflow-passwords.json", "airflow-schema")
# In the environment of a stack that was started for one run.
ONE_RUN = "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"

out = Console(soft_wrap=True)


class Stack:
    """The stack of one `KPI_HOME`."""

    def __init__(self, configured: Settings) -> None:
        self._settings = configured
        self._home = configured.home
        self._run_folder, self._logs = self._home / "run", self._home / "logs"
        self._state = self._home / "stack.json"

    @property
    def api(self) -> AirflowApi:
        """Airflow's API on the port of this stack."""
        password = components.stack_secrets(self._home)["admin"]
        return AirflowApi(self.url, components.ADMIN, password)

    @property
    def url(self) -> str:
        """Address of Airflow's UI."""
        return f"http://{components.HOST}:{json.loads(self._state.read_text(encoding='utf-8'))['api_port']}"

    @property
    def simulated(self) -> str | None:
        """What a reader of the board must know when the figures come from the simulator; None with the live API."""
        if json.loads(self._state.read_text(encoding="utf-8"))["simulator_port"] is None:
            return None
        return (
            "※ e-Stat の鍵（ESTAT_APP_ID）がないため、公表値を収めた模擬サーバーから取り込みました。"
            "都道府県間の内訳は公表された合計から按分した値で、公表値ではありません。"
        )

    def supervisor(self) -> psutil.Process | None:
        """The running supervisor of this stack, if any."""
        try:
            process = psutil.Process(int((self._run_folder / "supervisord.pid").read_text(encoding="utf-8")))
            return process if process.environ().get(components.MARK) == str(self._home) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def end_killed_run(self) -> None:
        """End what a run left whose process was killed: such a stack hears of no files. Only for who holds its lock."""
        process = self.supervisor()
        try:
            if process is not None and process.environ().get(ONE_RUN) == "False":
                self.stop()
        except psutil.Error:
            return

    def start(self, *, lasting: bool) -> subprocess.Popen[bytes]:
        """Start database, simulator and Airflow, to last or for one run; returns the supervisor's process."""
        for folder in (self._run_folder, self._logs, self._home / "airflow"):
            folder.mkdir(parents=True, exist_ok=True)
        self._end_leftovers()
        ports = self._choose_ports()
        self._start_database()
        os.environ.update(self.environment())
        settings.cache_clear()
        env = dict(os.environ)
        migration = self._migrate_airflow(env)
        migrate()
        if migration is not None and migration.wait() != 0:
            raise KpiError(
                f"Airflow のデータベースを準備できません。ログ：{self._logs / 'airflow-migrate.log'}",
                "stack.migrate",
            )
        (self._home / "airflow-schema").write_text(self._schema_stamp(), encoding="utf-8")
        if not lasting:
            env["KPI_PRELOAD"] = str(nothing_published()).lower()
            # This run starts every feed itself; a sweep that falls due meanwhile would take its files first.
            env[ONE_RUN] = "False"
            # No DAG file changes while it lasts.
            env["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = "180"
        assert ports["api_port"] is not None
        if ports["simulator_port"] is not None:
            drop_demo_files()
        running = components.programs(
            ports["api_port"], ports["simulator_port"], ports["files_port"], lasting=lasting
        )
        path = components.write_configuration(self._run_folder, self._logs, running, self._settings.project)
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-s", "-c", str(path)],
            env=env,
            cwd=self._settings.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C ends the run, which then ends the supervisor in order; it must not reach the parts by itself.
            start_new_session=True,
        )

    def environment(self) -> dict[str, str]:
        """The environment of every part, for a stack whose database runs and whose ports are chosen."""
        ports = json.loads(self._state.read_text(encoding="utf-8"))
        return components.environment(
            self._settings,
            self._metadata_url(),
            ports["api_port"],
            ports["simulator_port"],
            ports["files_port"],
        )

    def wait_until_ready(self, supervisor: subprocess.Popen[bytes], dag_ids: set[str]) -> None:
        """Wait until every part reports itself and every DAG is parsed.

        Raises:
            KpiError: it did not come up; names the log folder.
        """
        api, until = self.api, time.monotonic() + START_SECONDS
        with out.status("Airflow を起動しています…"):
            while not self.api.warm():
                self._still_coming(supervisor, until)
            while not api.healthy():
                self._still_coming(supervisor, until)
            api.log_in()
            while dag_ids - api.dag_ids():
                if errors := api.import_errors():
                    raise KpiError("DAG を読み込めません：" + "\n".join(errors), "stack.dag_broken")
                self._still_coming(supervisor, until)

    def _still_coming(self, supervisor: subprocess.Popen[bytes], until: float) -> None:
        if supervisor.poll() is not None or time.monotonic() > until:
            raise KpiError(f"Airflow が起動しません。ログ：{self._logs}", "stack.not_started")
        time.sleep(0.2)

    def stop(self) -> None:
        """End Airflow's parts in order, then the embedded database."""
        process = self.supervisor()
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except psutil.TimeoutExpired:
                process.kill()
        self._end_leftovers()
        if self._settings.database_url is None:
            EmbeddedServer(self._settings).stop()

    def remove(self) -> None:
        """Delete what the project made in `KPI_HOME`, and nothing else; the folder itself goes if that empties it."""
        self.stop()
        if self._settings.database_url is None:
            EmbeddedServer(self._settings).remove()
        for name in MADE_HERE:
            shutil.rmtree(self._home / name, ignore_errors=True)
        remove_demo_files()
        for name in MADE_FILES:
            (self._home / name).unlink(missing_ok=True)
        if self._home.exists() and not any(self._home.iterdir()):
            self._home.rmdir()

    def _start_database(self) -> None:
        if self._settings.database_url is None:
            EmbeddedServer(self._settings).start()

    def _metadata_url(self) -> str:
        """URL of Airflow's own database, on the embedded server unless the warehouse has a server of its own."""
        if self._settings.database_url is None:
            running = EmbeddedServer(self._settings).running()
            if running is None:
                raise KpiError("埋め込みデータベースが動いていません。", "stack.no_database")
            return running.url("airflow", "airflow")
        configured = os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        if configured is None:
            raise KpiError(
                "KPI_DATABASE_URL を使うときは、Airflow 用のデータベースも AIRFLOW__DATABASE__SQL_ALCHEMY_CONN に"
                "設定してください（postgresql+psycopg2://…）。",
                "stack.no_metadata",
            )
        return configured

    def _choose_ports(self) -> dict[str, int | None]:
        """Ports of this stack; remembered ones are kept while they are free, so that bookmarks live."""
        kept = json.loads(self._state.read_text(encoding="utf-8")) if self._state.exists() else {}
        wanted = self._settings.api_port
        api_port = components.free_port(wanted or kept.get("api_port")) or (
            None if wanted else components.free_port()
        )
        if api_port is None:
            raise KpiError(
                f"ポート {wanted}（KPI_API_PORT）は別のプログラムが使っています。別の番号を設定してください。",
                "stack.port_taken",
            )
        simulated = self._settings.estat_app_id is None
        ports: dict[str, int | None] = {"api_port": api_port, "simulator_port": None, "files_port": None}
        if simulated:
            for name in ("simulator_port", "files_port"):
                ports[name] = components.free_port(kept.get(name)) or components.free_port()
        self._state.write_text(json.dumps(ports), encoding="utf-8")
        return ports

    def _migrate_airflow(self, env: dict[str, str]) -> subprocess.Popen[bytes] | None:
        """`airflow db migrate` in the background, left out when this version has done it to this database."""
        stamp = self._home / "airflow-schema"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == self._schema_stamp():
            return None
        stamp.unlink(missing_ok=True)
        with (self._logs / "airflow-migrate.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _schema_stamp(self) -> str:
        server = warehouse_url().rsplit("@", 1)[-1].rsplit(":", 1)[0]
        return f"airflow {version('apache-airflow')} on {server}"

    def _end_leftovers(self) -> None:
        """End parts whose supervisor was killed. They carry our mark; nothing else is touched."""
        ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        left = []
        for process in psutil.process_iter():
            try:
                if process.pid not in ours and process.environ().get(components.MARK) == str(self._home):
                    process.terminate()
                    left.append(process)
            except psutil.Error:
                continue
        for process in psutil.wait_procs(left, timeout=15)[1]:
            process.kill()


def run(stack: Stack) -> int:
    """Everything once; 0 when every DAG succeeded, 1 when one failed."""
    from kpi_warehouse.load import feeds

    stack.end_killed_run()
    if stack.supervisor() is not None:
        raise KpiError(
            "すでに `make up` で動いています。`make down` で止めてからやり直してください。", "stack.up"
        )
    feeds()  # a wrong contract is told before anything starts
    began = time.time()
    installing = float(os.environ.get("KPI_RUN_STARTED", began))
    # A run that somebody watches gives up sooner than one at night.
    os.environ |= {"KPI_TASK_RETRIES": "1", "KPI_TASK_RETRY_SECONDS": "5"}
    supervisor = None
    try:
        supervisor = stack.start(lasting=False)
        failures = run_everything(stack, supervisor, out)
    finally:
        with out.status("止めています…"):
            stack.stop()
            if supervisor is not None:
                supervisor.wait()
    out.print(
        f"準備 {began - installing:.0f} 秒　取込から盤面まで {time.time() - began:.0f} 秒", highlight=False
    )
    return _report(failures)


def _report(failures: list[Failure]) -> int:
    for failure in failures:
        out.print(f"[red]✗ {failure.dag_id}.{failure.task_id}[/red]（{failure.state}）", highlight=False)
        out.print(f"  理由：{failure.reason}", highlight=False, markup=False)
        out.print(f"  ログ：{failure.log}", highlight=False, markup=False)
    return 1 if failures else 0


def up(stack: Stack) -> int:
    """Start everything and leave it running."""
    from kpi_warehouse.load import feeds

    stack.end_killed_run()
    if stack.supervisor() is None:
        dag_ids = [*(contract.feed for contract in feeds()), *SERVING]
        try:
            supervisor = stack.start(lasting=True)
            stack.wait_until_ready(supervisor, set(dag_ids))
            api = stack.api
            api.log_in()
            for dag_id in dag_ids:
                api.unpause(dag_id)
        except BaseException:
            stack.stop()  # half a stack left running would look like a whole one
            raise
    out.print(
        f"Airflow：{stack.url}（利用者 {components.ADMIN}、パスワードは {components.password_file(settings().home)}）"
    )
    out.print("止めるには `make down`")
    return 0


def down(stack: Stack) -> int:
    """Stop everything."""
    stack.stop()
    out.print("止めました")
    return 0


def status(stack: Stack) -> int:
    """Say what runs."""
    supervisor = stack.supervisor()
    database = EmbeddedServer(settings()).running() if settings().database_url is None else None
    out.print(f"Airflow：{stack.url if supervisor else '止まっています'}", highlight=False)
    out.print(
        f"データベース：{f'{database.host}:{database.port}' if database else '止まっています'}",
        highlight=False,
    )
    return 0


def clean(stack: Stack) -> int:
    """Stop everything and delete what was made."""
    stack.remove()
    return 0


def airflow(stack: Stack) -> int:
    """Airflow's own command line in this stack's environment: `… stack airflow backfill create …`."""
    if stack.supervisor() is None:
        raise KpiError("Airflow が止まっています。`make up` で起動してください。", "stack.down")
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *sys.argv[2:]], env=stack.environment(), check=False
    )
    return done.returncode


COMMANDS = {"run": run, "up": up, "down": down, "status": status, "clean": clean}


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["airflow"]:
        return _reported(lambda: airflow(Stack(settings())))
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        out.print(
            f"使い方：python -m kpi_warehouse.airflow.stack {'|'.join(COMMANDS)}|airflow …", markup=False
        )
        return 2
    end_in_order()

    def command() -> int:
        with only_one(settings().home):
            return COMMANDS[sys.argv[1]](Stack(settings()))

    return _reported(command)


def _reported(command: Callable[[], int]) -> int:
    try:
        return command()
    except KpiError as error:
        out.print(f"[red]✗[/red] {error.code}")
        out.print(error.message_ja, markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
