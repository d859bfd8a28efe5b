"""`make faults`: failures of every cause, with loaders, sender and watcher killed, channels down and the server restarted.

    python tests/alerts/campaign.py [--failures 240] [--seed 1] [--sabotage lose|double]

The campaign keeps its own list of what it broke and mended, and compares it with the incidents of the warehouse and with what
real receivers were sent. It exits 1 when anything was lost, told twice, or not told to be over.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent))
from breaks import AIRFLOW_TABLES, Breaks, Problem
from sinks import MailSink, WebSink, mail_sink, web_sink

from kpi_warehouse.settings import settings
from kpi_warehouse.warehouse.connection import connect, migrate
from kpi_warehouse.warehouse.server import EmbeddedServer

HERE = Path(__file__).parent
PATIENCE_SECONDS = 90.0


@dataclass
class Result:
    """What the campaign prints. `again`: messages repeated under the same key, which a receiver drops by it."""

    injected: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    problems: int = 0
    incidents: int = 0
    delivered: int = 0
    passed: int = 0
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    again: int = 0
    recoveries: int = 0
    recoveries_told: int = 0
    median_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Nothing lost and nothing doubled, failures and recoveries alike."""
        return not self.lost and not self.duplicates

    def table(self) -> str:
        """As docs/reliability.md has it."""
        kills = "、".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        rows = [
            ("failures injected", f"{self.injected}"),
            ("distinct problems", f"{self.problems}"),
            ("incidents", f"{self.incidents}"),
            ("delivered", f"{self.delivered}"),
            ("passed before they were told", f"{self.passed}"),
            ("lost", f"{len(self.lost)}"),
            ("duplicates", f"{len(self.duplicates)}"),
            ("repeats under the same key", f"{self.again}"),
            ("recoveries", f"{self.recoveries}"),
            ("recovery notices", f"{self.recoveries_told}"),
            ("median seconds to delivery", f"{self.median_seconds:.2f}"),
            ("kill -9, outages, restarts", kills),
            ("seconds", f"{self.seconds:.0f}"),
        ]
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
        return "\n".join([*lines, *self.lost[:20], *self.duplicates[:20]])


class Campaign:
    """One server, one watcher that is killed again and again, two receivers that fail now and then."""

    def __init__(self, home: Path, seed: int, sabotage: str | None) -> None:
        self.random = random.Random(seed)
        self.home, self.sabotage = home, sabotage
        self.result = Result()
        self.watcher: subprocess.Popen[bytes] | None = None
        self.log = (home / "watcher.log").open("ab")

    def run(self, failures: int, mail: MailSink, web: WebSink) -> Result:
        """Break, mend, kill; then let everything settle, and count."""
        began, self.mail, self.web = time.monotonic(), mail, web
        self.server = EmbeddedServer(settings())
        self._prepare()
        breaks = Breaks(self.random, self.home)
        self._start_watcher()
        for number in range(failures):
            self._disturb(number, failures)
            killed = breaks.inject()
            self.result.injected += 1
            self.result.kills["loader"] += killed
            if self.random.random() < 0.6:
                breaks.mend_one()
        self._heal()
        breaks.mend_all(PATIENCE_SECONDS)
        self._settle()
        self._stop_watcher()
        self._count(breaks.problems)
        self.result.seconds = time.monotonic() - began
        return self.result

    def _prepare(self) -> None:
        self.server.start()
        os.environ["KPI_AIRFLOW_DATABASE_URL"] = self.server.create_database("airflow_book")
        settings.cache_clear()
        migrate()
        with psycopg.connect(os.environ["KPI_AIRFLOW_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(AIRFLOW_TABLES)
        with connect() as connection:
            # Nobody waits fifteen minutes here to see whether trouble passes.
            connection.execute(
                "update ops.cause set patience = interval '1 second' where patience > interval '0'"
            )

    def _disturb(self, number: int, failures: int) -> None:
        draw = self.random.random()
        if draw < 0.04:
            self.web.status = self.random.choice([0, 429, 500])
            self.result.kills["channel outage"] += 1
        elif draw < 0.08:
            self.mail.answer = self.random.choice(["451 later", "550 no"])
            self.result.kills["channel outage"] += 1
        elif draw < 0.2:
            self._heal()
        elif draw < 0.27:
            self._stop_watcher()
            self._start_watcher()
            self.result.kills["watcher and sender"] += 1
        if number == failures // 2:
            self.server.stop()
            self.server.start()
            self.result.kills["PostgreSQL restart"] += 1

    def _heal(self) -> None:
        self.web.status, self.mail.answer = 200, "250 OK"

    def _start_watcher(self) -> None:
        words = [
            sys.executable,
            "-W",
            "ignore",
            str(HERE / "watcher.py"),
            *([self.sabotage] if self.sabotage else []),
        ]
        self.watcher = subprocess.Popen(words, stdout=self.log, stderr=self.log)

    def _stop_watcher(self) -> None:
        if self.watcher is not None:
            self.watcher.send_signal(signal.SIGKILL)
            self.watcher.wait()

    def _settle(self) -> None:
        """Wait until nothing is owed any more, or time is up: what is owed then is lost."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with connect() as connection:
                # A recovery waits for the marts; there are none here.
                connection.execute("update ops.notification set after_build = false where after_build")
                row = connection.execute(
                    "select count(*) from ops.notification where state in ('waiting', 'dead')"
                ).fetchone()
            if row == (0,):
                return
            time.sleep(0.5)

    def _count(self, problems: list[Problem]) -> None:
        arrivals = [*self.mail.arrivals, *self.web.arrivals]
        first = {key: when for key, when in sorted(arrivals, key=lambda arrival: -arrival[1])}
        self.result.again = len(arrivals) - len(first)
        with connect() as connection:
            rows = connection.execute(
                "select i.incident_id, i.cause, coalesce(i.subject, i.feed, 'system'), i.period, i.opened_at, n.state,"
                " i.resolved_at is not null, c.patience > interval '0' from ops.incident as i join ops.cause as c using (cause)"
                " left join ops.notification as n on n.incident_id = i.incident_id and n.kind = 'open'"
                " where i.cause <> 'sender_failing' order by 1"
            ).fetchall()
        expected = Counter(problem.key for problem in problems if not problem.optional)
        possible = Counter(problem.key for problem in problems)
        found = Counter((cause, subject, period) for _, cause, subject, period, *_ in rows)
        result = self.result
        result.problems, result.incidents = expected.total(), len(rows)
        result.lost += [f"no incident: {key}" for key in (expected - found).elements()]
        result.duplicates += [f"one incident too many: {key}" for key in (found - possible).elements()]
        latencies = []
        for number, cause, subject, _, opened_at, state, resolved, _ in rows:
            name = f"INC-{number} {cause} {subject}"
            if state == "cancelled":
                result.passed += 1
                continue
            if f"INC-{number}/open" in first:
                result.delivered += 1
                latencies.append(first[f"INC-{number}/open"] - opened_at.timestamp())
            else:
                result.lost.append(f"not delivered: {name} ({state})")
            if resolved:
                result.recoveries += 1
                if f"INC-{number}/resolve" in first:
                    result.recoveries_told += 1
                else:
                    result.lost.append(f"recovery not delivered: {name}")
            else:
                result.lost.append(f"not over: {name}")
        known = {f"INC-{number}/{kind}" for number, *_ in rows for kind in ("open", "resolve", "escalate")}
        with connect() as connection:
            known |= {
                str(key)
                for (key,) in connection.execute(
                    "select idempotency_key from ops.notification where kind in ('update', 'digest') or incident_id in ("
                    "select incident_id from ops.incident where cause = 'sender_failing')"
                )
            }
        # While the server is away the watcher says so itself, without a book: once when it is, once when it is back.
        direct = sorted(key for key in first if key.startswith("watch/"))
        known |= set(direct[: 2 * result.kills["PostgreSQL restart"]])
        result.duplicates += [f"told under another key: {key}" for key in first if key not in known]
        result.median_seconds = statistics.median(latencies) if latencies else 0.0


def run(failures: int, seed: int, sabotage: str | None = None) -> Result:
    """One campaign in a folder of its own; in a process of its own, for it sets the environment."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kpi-faults-")))
        mail, web = stack.enter_context(mail_sink()), stack.enter_context(web_sink())
        hook = f"hmac+http://:k@{web.address}"
        os.environ |= {
            "KPI_HOME": str(home),
            "KPI_ALERT_URLS": f"division={mail.url} engineer={hook}/engineer escalation={hook}/escalation *={hook}/all",
            "KPI_ALERT_RETRY_SECONDS": "0.1",
            "KPI_ALERT_LEASE_SECONDS": "3",
            "KPI_ALERT_QUIET_HOURS": "false",
            "KPI_WATCH_SECONDS": "0.2",
            "KPI_CODE_VERSION": "campaign",
        }
        os.environ.pop("KPI_DATABASE_URL", None)
        settings.cache_clear()
        campaign = Campaign(home, seed, sabotage)
        try:
            return campaign.run(failures, mail, web)
        finally:
            campaign._stop_watcher()
            campaign.server.remove()
            campaign.log.close()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--failures", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sabotage", choices=["lose", "double"])
    asked = parser.parse_args()
    result = run(asked.failures, asked.seed, asked.sabotage)
    print(result.table())
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
