"""A plain reader of the e-Stat API, for the tests of its simulator."""

from __future__ import annotations

from typing import Any

import requests

from demo.estat import Simulator
from demo.estat.tables import KUMAMOTO, MOVES

KEY = "0123456789abcdef0123456789abcdef01234567"
SEPTEMBER = {"statsDataId": MOVES, "cdArea": KUMAMOTO, "cdTime": "2024000909"}


def get(sim: Simulator, function: str = "getStatsData", key: str = KEY, **params: Any) -> requests.Response:
    return requests.get(f"{sim.base_url}/json/{function}", params={"appId": key, **params}, timeout=10)


def data(sim: Simulator, **params: Any) -> dict[str, Any]:
    body: dict[str, Any] = get(sim, **params).json()["GET_STATS_DATA"]
    return body


def rows(body: dict[str, Any]) -> list[dict[str, str]]:
    values = body["STATISTICAL_DATA"]["DATA_INF"]["VALUE"]
    return values if isinstance(values, list) else [values]


def pages(sim: Simulator, **params: Any) -> list[dict[str, Any]]:
    """Every page as a client reads them: startPosition = NEXT_KEY until there is none."""
    got = [data(sim, **params)]
    while following := got[-1]["STATISTICAL_DATA"]["RESULT_INF"].get("NEXT_KEY"):
        got.append(data(sim, **params, startPosition=following))
    return got
