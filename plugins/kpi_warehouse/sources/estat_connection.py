"""One question to the e-Stat API: its turn, its time-outs, its repetitions, and what the answer amounts to.

The body is read before the HTTP status is judged: errors carry HTTP 4xx and 5xx with a normal body, and
HTTP 200 too. What can pass (transport, 5xx, 429, maintenance pages, cut answers) is asked again; what the
API refuses is not.

The API wants the appId in the query string, and every error of requests and every debug line of urllib3
quotes the address. So such errors never leave this module, not even as the context of another, and the
log lines are rewritten.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException

import requests
import tenacity
import urllib3

from kpi_warehouse.errors import KpiError, SourceRefused, SourceUnavailable
from kpi_warehouse.sources.estat_answers import Head, Reply
from kpi_warehouse.sources.estat_judgement import Unavailable, judge

CONNECT_SECONDS = 10.0
READ_BYTES = 1 << 18
# A shorter text is no key, and putting *** in its place would spoil messages.
SHORTEST_KEY = 8
_KEY = re.compile(r"(appId(?:=|%3D))[^&\s\"'>)]+", re.IGNORECASE)
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
_ENCODINGS = {"": None, "identity": None, "x-gzip": "gzip"}
_BACKOFF = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)
_log = logging.getLogger(__name__)


class _HideKey(logging.Filter):
    """Takes the appId out of a log line. A filter acts on its own logger only, so each one gets it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _KEY.sub(r"\1***", record.getMessage()), ()
        return True


for _name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_HideKey())


@dataclass(frozen=True)
class _Trouble:
    """Why no answer came. A value and no exception, so that nothing carries the address along."""

    code: str
    reason: str
    can_pass: bool = True


class EstatConnection:
    """Asks, again if need be. May be shared by threads.

    Args:
        base_url: address up to `/app`.
        app_id: the application's key.
        requests_per_second: most requests a second over all threads; 0 or inf is no limit.
        timeout_seconds: to wait for the next bytes of an answer (some wrong parameters make the live API
            hang).
        answer_seconds: to receive one answer whole; a server that drips a byte at a time does not hold a
            load up.
        attempts: tries of one request before it is given up.
        total_seconds: no further try of a request begins later than this after its first.
        sleep: replaced in tests.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        *,
        requests_per_second: float,
        timeout_seconds: float,
        answer_seconds: float,
        attempts: int,
        total_seconds: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.base_url, self._app_id = base_url.rstrip("/"), app_id.strip()
        self._pause = 1 / requests_per_second if requests_per_second > 0 else 0.0
        self._timeout, self._answer_seconds, self._sleep = timeout_seconds, answer_seconds, sleep
        self._turn, self._next_at = threading.Lock(), 0.0
        self._retrying = {
            "retry": tenacity.retry_if_exception_type(SourceUnavailable),
            "stop": tenacity.stop_after_attempt(attempts) | tenacity.stop_before_delay(total_seconds),
            "wait": _wait,
            "sleep": sleep,
            "before_sleep": _tell,
            # The last error comes back as a value: raised here it would carry the whole history as context.
            "retry_error_callback": lambda state: (state.outcome.exception(), state.attempt_number),
        }
        self._session = requests.Session()
        self._session.headers.update({"Accept-Encoding": "gzip", "User-Agent": "kumamoto-kpi-warehouse"})

    def ask(self, function: str, params: dict[str, str], *, what: str) -> tuple[Reply, Head]:
        """Ask until there is a good answer (STATUS 0, or 1: no data).

        Args:
            function: name in the API, for example `getStatsData`.
            params: without the appId.
            what: what is asked for, in Japanese, for messages.

        Raises:
            SourceUnavailable: no usable answer after all tries.
            SourceRefused, SourceChanged: the API says no, or answers something else than it should.
        """
        retrying = tenacity.Retrying(**self._retrying)  # type: ignore[arg-type]
        result: tuple[object, object] = retrying(self._ask_once, function, params, what)
        match result:
            case (Reply() as reply, Head() as head):
                return reply, head
            case (KpiError() as error, tries):
                raise SourceUnavailable(
                    f"{error.message_ja}（{tries} 回試しました）。時間をおいてやり直してください。",
                    error.code,
                )
        raise AssertionError(result)

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def _ask_once(self, function: str, params: dict[str, str], what: str) -> tuple[Reply, Head]:
        self._take_turn()
        answer = self._exchange(function, params)
        if isinstance(answer, Reply):
            return answer, judge(answer, what, self._hide)
        message = f"e-Stat（{what}）：{answer.reason}"
        if answer.can_pass:
            raise Unavailable(message, answer.code)
        raise SourceRefused(f"{message}。ESTAT_BASE_URL を確認してください。", answer.code)

    def _exchange(self, function: str, params: dict[str, str]) -> Reply | _Trouble:  # noqa: PLR0911 - one per trouble
        """One request and the exact bytes of its answer."""
        try:
            # No redirects are followed: the key would travel with them to wherever they point.
            with self._session.get(
                f"{self.base_url}/json/{function}",
                params={"appId": self._app_id, **params},
                timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._body(response)
                encoding = response.headers.get("Content-Encoding", "").strip().lower()
                return Reply(
                    body,
                    _ENCODINGS.get(encoding, encoding),
                    response.status_code,
                    _seconds(response.headers.get("Retry-After")),
                )
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            return _Trouble("estat.timeout", f"時間内に応答がありません（上限 {self._timeout:g} 秒）")
        except _WRONG_ADDRESS:
            return _Trouble("estat.no_api", "接続先の URL の形が正しくありません", can_pass=False)
        except requests.exceptions.SSLError:
            return _Trouble("estat.connection", "サーバー証明書を確かめられません（TLS）")
        except requests.exceptions.ProxyError:
            return _Trouble("estat.connection", "プロキシーに接続できません（HTTPS_PROXY を確認）")
        except (urllib3.exceptions.ProtocolError, HTTPException):
            # While connecting, requests wraps these in its own; so the connection broke in the body.
            return _Trouble("estat.truncated", "応答が途中で切れました")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = f"接続できないか、途中で切れました（{type(error).__name__}）"
            return _Trouble("estat.connection", reason)

    def _body(self, response: requests.Response) -> bytes:
        """The bytes as sent, still compressed: they are what is kept as evidence."""
        deadline, pieces = time.monotonic() + self._answer_seconds, []
        while piece := response.raw.read1(READ_BYTES, decode_content=False):
            pieces.append(piece)
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(pieces)

    def _take_turn(self) -> None:
        with self._turn:
            now = time.monotonic()
            wait = self._next_at - now
            self._next_at = max(now, self._next_at) + self._pause
        if wait > 0:
            self._sleep(wait)

    def _hide(self, text: str) -> str:
        """A server, or what stands before it, may quote the address it was asked for."""
        text = _KEY.sub(r"\1***", text)
        return text.replace(self._app_id, "***") if len(self._app_id) >= SHORTEST_KEY else text


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asked for, else an exponential back-off with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    backoff: float = _BACKOFF(state)
    return backoff if asked is None else asked


def _tell(state: tenacity.RetryCallState) -> None:
    pause = state.next_action.sleep if state.next_action else 0.0
    reason = state.outcome.exception() if state.outcome else None
    _log.warning("%s。%.0f 秒後にやり直します（%d 回目の失敗）", reason, pause, state.attempt_number)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After: a number of seconds or a date; anything else is as good as none."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None
