"""Words that say how final a number is: 速報, 暫定, 見込, 支援中."""

from __future__ import annotations

# The longer and the stronger word is looked for first.
_WORDS = (
    ("予定", "planned"),
    ("計画", "planned"),
    ("見込", "planned"),
    ("支援中", "partial"),
    ("途中", "partial"),
    ("末現在", "partial"),
    ("速報", "provisional"),
    ("暫定", "provisional"),
    ("概数", "provisional"),
    ("訂正", "revised"),
    ("改訂", "revised"),
    ("改定", "revised"),
    ("目標", "target"),
)


def status_word(text: str | None) -> str | None:
    """value_status that a qualifier or a note beside a number means; None where it says nothing of it."""
    if not text:
        return None
    return next((status for word, status in _WORDS if word in text), None)
