"""Errors a person reads: each says in Japanese what happened, where, and what to do next.

`code` is stable and machine-readable (alert routing and tests use it). `retryable` tells whether doing the same thing
again can pass: trouble of transport can, a wrong value in a file cannot.
"""

from __future__ import annotations


class KpiError(Exception):
    """Base of every error this product raises on purpose.

    Args:
        message_ja: what the reader sees; never holds a secret.
        code: stable identifier, e.g. ``estat.auth``.
    """

    retryable = False

    def __init__(self, message_ja: str, code: str) -> None:
        super().__init__(message_ja)
        self.message_ja = message_ja
        self.code = code

    def __reduce__(self) -> tuple[type[KpiError], tuple[str, str]]:
        """Errors pass between processes whole."""
        return type(self), (self.message_ja, self.code)


class SourceUnavailable(KpiError):
    """The source did not answer as it should for now (time-out, 5xx, maintenance page): try again later."""

    retryable = True


class SourceRefused(KpiError):
    """The source answered and said no (wrong key, wrong parameter, unknown table): a person must act."""


class SourceChanged(KpiError):
    """What the source serves is not what the contract describes (title, statistics code, axis, code)."""


class ContractError(KpiError):
    """A contract file is wrong; the message names file, line, key, what was found and what was expected."""


class UnreadableValue(KpiError):
    """A cell of the source cannot be read under the contract; the message names its place and text."""


class UnreadableFile(KpiError):
    """A file cannot be read at all (password, cut off, not its format, too large); the message says what was found."""


class GateRejected(KpiError):
    """The gate refused the delivery: nothing of it is published and the last good data stays."""


class GateAsked(KpiError):
    """The gate asks a person: nothing of the delivery is published until somebody answers, and the last good data stays."""


class LoadConflict(KpiError):
    """Another load of the same feed got in the way; running again is safe."""

    retryable = True


class StorageFailed(KpiError):
    """Landing or the database could not take the bytes (disk full, server stopped): nothing was half-published."""

    retryable = True


class HistoryLost(KpiError):
    """A table of accepted history is gone although the books say what was accepted: it is never made again empty."""


class BuildFailed(KpiError):
    """The marts were not built or did not pass their tests; the marts in use are unchanged."""
