"""Every setting of the product, in one typed object read from the environment (`.env.example` lists them all)."""

from __future__ import annotations

import subprocess
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Settings with the prefix `KPI_`, plus `ESTAT_APP_ID` and `ESTAT_BASE_URL`.

    Paths are absolute. `database_url` None means the embedded server; `estat_app_id` None means no key is known.
    """

    model_config = SettingsConfigDict(env_prefix="KPI_", env_ignore_empty=True, extra="ignore", frozen=True)

    project: Path = PROJECT
    home: Path = PROJECT / "var"
    contracts: Path = PROJECT / "expectations"
    landing: str = ""
    inbox: str = ""
    returns: str = ""
    publication: str = ""
    publication_url: str = ""
    database_url: SecretStr | None = None
    postgres_port: int | None = None
    postgres_user: str | None = None
    api_port: int | None = None
    stage_processes: int = 2
    inbox_settle_seconds: float = 2.0
    inbox_poll_seconds: float = 5.0
    preload: bool = True
    task_retries: int = 3
    task_retry_seconds: int = 60
    estat_app_id: SecretStr | None = Field(None, validation_alias=AliasChoices("ESTAT_APP_ID"))
    estat_base_url: str = Field(
        "https://api.e-stat.go.jp/rest/3.0/app", validation_alias=AliasChoices("ESTAT_BASE_URL")
    )
    estat_requests_per_second: float = 1.0
    estat_timeout_seconds: float = 60.0

    alert_urls: SecretStr | None = None
    alert_retry_seconds: float = 30.0
    alert_lease_seconds: float = 120.0
    alert_quiet_hours: bool = True
    web_url: str = ""
    link_secret: SecretStr | None = None
    deadman_url: SecretStr | None = None
    watch_seconds: float = 30.0
    disk_free_gb: float | None = None
    meeting_days: Annotated[tuple[date, ...], NoDecode] = ()
    airflow_database_url: SecretStr | None = Field(
        None, validation_alias=AliasChoices("KPI_AIRFLOW_DATABASE_URL", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
    )

    code_version: str = ""
    today: date | None = None

    @field_validator("project", "home", "contracts")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("meeting_days", mode="before")
    @classmethod
    def _listed(cls, text: object) -> object:
        return text.replace(",", " ").split() if isinstance(text, str) else text

    @property
    def landing_url(self) -> str:
        """fsspec URL of the landing store; the default is a folder below `home`."""
        return self.landing or (self.home / "landing").as_uri()

    @property
    def returns_url(self) -> str:
        """fsspec URL that return slips are written to; the default is a folder below `home`."""
        return (self.returns or (self.home / "returned").as_uri()).rstrip("/")

    @property
    def publication_place(self) -> str:
        """fsspec URL that open data is published to; the default is a folder below `home`."""
        return (self.publication or (self.home / "publication").as_uri()).rstrip("/")

    @property
    def inbox_url(self) -> str:
        """fsspec URL that divisions drop files into; the default is a folder below `home`."""
        return self.inbox or (self.home / "inbox").as_uri()


@cache
def code_version() -> str:
    """What code is running: `KPI_CODE_VERSION` (set in images), else the package version and the commit checked out."""
    if settings().code_version:
        return settings().code_version
    commit = subprocess.run(
        ["git", "-C", str(PROJECT), "rev-parse", "--short=12", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    package = version("kumamoto-kpi-warehouse")
    return f"{package}+{commit}" if commit else package


@cache
def settings() -> Settings:
    """The settings of this process, read once. Tests that change the environment call `settings.cache_clear()`."""
    return Settings()
