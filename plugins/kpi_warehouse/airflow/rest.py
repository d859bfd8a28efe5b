"""The little of Airflow's REST API (v2) that the stack uses to start runs and to watch them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Run:
    """A DAG run as the API tells it."""

    dag_id: str
    run_id: str
    state: str
    partition_key: str | None
    seconds: float | None


class AirflowApi:
    """The API of one server.

    Raises:
        requests.RequestException: no answer, or an error answer.
    """

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self._base, self._credentials = base_url, {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # 127.0.0.1 is not reached through a proxy

    def healthy(self) -> bool:
        """Whether database, scheduler and DAG processor have reported themselves."""
        try:
            found = self._session.get(f"{self._base}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return False
        return all(
            (found.get(part) or {}).get("status") == "healthy"
            for part in ("metadatabase", "scheduler", "dag_processor")
        )

    def warm(self) -> bool:
        """Let the server build the API that tasks report to. It does so at the first request to it, which takes seconds
        that the first task would wait for. False while the server does not listen yet."""
        try:
            self._session.get(f"{self._base}/execution/health", timeout=120)
        except requests.RequestException:
            return False
        return True

    def log_in(self) -> None:
        """Fetch a token for the requests that follow."""
        answer = self._session.post(f"{self._base}/auth/token", json=self._credentials, timeout=30)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def dag_ids(self) -> set[str]:
        """DAGs that have been parsed."""
        return {dag["dag_id"] for dag in self._get("dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        """Files that could not be parsed, with the reason."""
        found = self._get("importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in found]

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self._session.patch(
            f"{self._base}/api/v2/dags/{dag_id}", json={"is_paused": False}, timeout=30
        ).raise_for_status()

    def pause(self, dag_id: str) -> None:
        """Keep the scheduler from starting further runs of a DAG."""
        self._session.patch(
            f"{self._base}/api/v2/dags/{dag_id}", json={"is_paused": True}, timeout=30
        ).raise_for_status()

    def trigger(self, dag_id: str, partition_key: str | None) -> Run:
        """Start a run for a month."""
        answer = self._session.post(
            f"{self._base}/api/v2/dags/{dag_id}/dagRuns",
            json={"logical_date": None, "partition_key": partition_key},
            timeout=30,
        )
        answer.raise_for_status()
        return _run(answer.json())

    def newest_runs(self) -> list[Run]:
        """The newest runs of all DAGs, in one question."""
        return [_run(run) for run in self._get("dags/~/dagRuns", order_by="-id", limit=100)["dag_runs"]]

    def tasks(self, run: Run) -> list[dict[str, Any]]:
        """Task instances of a run: `task_id`, `state`, `try_number` and more."""
        found: list[dict[str, Any]] = self._get(
            f"dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances"
        )["task_instances"]
        return found

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._session.get(f"{self._base}/api/v2/{path}", params=params, timeout=30)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _run(found: dict[str, Any]) -> Run:
    return Run(
        found["dag_id"],
        found["dag_run_id"],
        found["state"],
        found.get("partition_key"),
        found.get("duration"),
    )
