"""Signed links: whoever got the message may acknowledge its incident, once a web address is configured, without a login."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from kpi_warehouse.settings import settings

LASTS_SECONDS = 14 * 24 * 3600


def acknowledge_link(incident_id: int) -> str | None:
    """Address that acknowledges the incident for two weeks; None without `KPI_WEB_URL` and `KPI_LINK_SECRET`."""
    base, secret = settings().web_url, settings().link_secret
    if not base or secret is None:
        return None
    ends = int(time.time()) + LASTS_SECONDS
    signed = {"incident": incident_id, "until": ends, "signature": _signature(incident_id, ends)}
    return f"{base.rstrip('/')}/kpi/acknowledge?{urlencode(signed)}"


def is_valid(incident_id: int, until: int, signature: str) -> bool:
    """Whether we signed this and it has not run out."""
    if settings().link_secret is None or until < time.time():
        return False
    # As bytes: of texts, only ASCII can be compared, and an address holds whatever somebody typed.
    return hmac.compare_digest(_signature(incident_id, until).encode(), signature.encode())


def _signature(incident_id: int, until: int) -> str:
    secret = settings().link_secret
    assert secret is not None
    text = f"acknowledge {incident_id} {until}".encode()
    return hmac.new(secret.get_secret_value().encode(), text, hashlib.sha256).hexdigest()
