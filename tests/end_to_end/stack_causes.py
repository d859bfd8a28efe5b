"""Causes of incidents, made to happen in one running stack, and mended: what a real mail server and a real web server then hold.

Nothing of Airflow, dbt or the watcher is imitated. What would take hours is the clock's: a time in a table is set back.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from stack_home import FLOWS, MOVES, Home, soon

from demo.estat import Fault, Simulator
from tests.alerts.sinks import MailSink, WebSink

LATE = "uij_turn"
NOBODYS, AFTER = "宛先のわからない\nファイル.txt", "期限の後に届いた"
SOMEBODYS = "somebodys"
FAILING = f"""
from pathlib import Path
from airflow.sdk import DAG, task
with DAG("{SOMEBODYS}", schedule=None):
    @task(retries=0)
    def work():
        if not (Path(__file__).parent / "repaired").exists():
            raise RuntimeError("not yet")
    work()
"""


class Causes:
    """One standing stack whose messages go to `mail` (engineers) and `web` (divisions), and a folder of DAG files of its own."""

    def __init__(self, home: Home, estat: Simulator, mail: MailSink, web: WebSink, dags: Path) -> None:
        self.home, self.estat, self.mail, self.web, self.dags = home, estat, mail, web, dags
        ((self.first,),) = home.rows("select coalesce(max(incident_id), 0) from ops.incident")

    def heard(self, cause: str, about: str | None = None) -> list[tuple[str, int]]:
        """How often each message about the incidents of a cause arrived: `[("open", 1), ("resolve", 1)]`. More than one incident
        shows as a second entry of the same kind."""
        arrived = Counter(key for key, _ in [*self.mail.arrivals, *self.web.arrivals])
        heard = []
        for number, *_ in self.incidents(cause, about):
            kinds = [key.split("/")[1] for key in arrived if key.split("/")[0] == f"INC-{number}"]
            heard += [(kind, arrived[f"INC-{number}/{kind}"]) for kind in sorted(kinds)]
        return heard

    def incidents(self, cause: str, about: str | None = None) -> list[tuple[Any, ...]]:
        """Number and subject of the incidents of a cause since the beginning; `about` is a feed or a subject."""
        which = f" and '{about}' in (feed, subject)" if about else ""
        return self.home.rows(
            f"select incident_id, subject from ops.incident where cause = '{cause}' and incident_id > {self.first}{which}"
            " order by 1"
        )

    def told(self, *causes: str, over: bool = False, seconds: float = 90) -> None:
        """Wait until each cause is told, or told to be over."""
        kind = "resolve" if over else "open"
        for cause in causes:
            name, _, about = cause.partition(" ")
            try:
                soon(lambda: any(k == kind for k, _ in self.heard(name, about or None)), seconds)  # noqa: B023
            except AssertionError:
                known = self.home.rows(
                    "select i.incident_id, i.cause, i.feed, i.subject, i.resolved_at is not null, n.kind, n.state, n.last_error"
                    f" from ops.incident as i left join ops.notification as n using (incident_id) where i.incident_id > {self.first}"
                )
                raise AssertionError(f"{cause}: no {kind} message; {known}") from None

    def sql(self, statement: str, database: str = "kpi") -> None:
        """Set something in a running database, as its superuser."""
        self.home.rows(f"with done as ({statement} returning 1) select count(*) from done", database)


def happen(causes: Causes) -> None:
    """Break and mend, as much as can be at once."""
    home, api = causes.home, causes.home.stack.api
    api.log_in()
    api.unpause(SOMEBODYS)
    (home.path / "inbox" / NOBODYS).write_text("x", encoding="utf-8")
    causes.sql(f"update ops.load set opened_at = opened_at - interval '2 years' where feed = '{LATE}'")
    causes.estat.faults.append(Fault("http", http=503))
    for dag_id in (MOVES, FLOWS):
        api.trigger(dag_id, "2025-02")
    api.trigger(SOMEBODYS, None)
    causes.told(f"not_delivered {LATE}", "source_down", "task_failed", "file_refused")

    causes.estat.faults.clear()
    causes.estat.faults.append(Fault("retitle", title="別の統計表", table="0003420473"))
    for dag_id in (MOVES, FLOWS):
        api.trigger(dag_id, "2025-02")
    (causes.dags / "repaired").touch()
    api.trigger(SOMEBODYS, None)
    _hand_in(home, AFTER)
    api.trigger("drill", None)
    causes.told("schema_drift")
    causes.estat.faults.clear()
    api.trigger(MOVES, "2025-02")
    causes.told("task_failed", "source_down", "schema_drift", f"not_delivered {LATE}", over=True)
    causes.told("drill", over=True)
    for name in (NOBODYS, f"UIJターン_{AFTER}.csv"):
        (home.path / "inbox" / name).unlink()


def _hand_in(home: Home, name: str) -> None:
    (demo,) = (home.settings.project / "demo/inbox").glob("UIJ*.csv")
    text = demo.read_text("cp932").replace("45", "44")
    (home.path / "inbox" / f"UIJターン_{name}.csv").write_bytes(text.encode("cp932"))
