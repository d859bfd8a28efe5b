"""A text whose parts have fonts of their own: what is data, what is raised or lowered, what has a line through it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["raised", "lowered"]

# m² and km³ are typed as a letter with a raised digit; CO₂ with a lowered one. They are part of the word, no footnote.
_METRES = re.compile(r"[mｍ㎜㎝㎞]$", re.IGNORECASE)
_POWERS = {"2": "2", "3": "3", "２": "2", "３": "3"}
_LETTER = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ]$")


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a text.

    Args:
        text: the characters.
        struck: a line goes through them; None where the font of the cell says it.
        level: raised (superscript) or lowered (subscript); None for neither.
    """

    text: str
    struck: bool | None = None
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class RunText:
    """The same text sorted: what is left as data, and the parts taken out, in order, without white space around."""

    text: str
    raised: tuple[str, ...]
    struck: tuple[str, ...]

    @property
    def whole_struck(self) -> bool:
        """Nothing is left but what is struck out."""
        return bool(self.struck) and not self.text


def says_more(runs: Sequence[Run]) -> bool:
    """Whether a font in it changes what the text says."""
    return any(run.struck or run.level for run in runs)


def sorted_runs(runs: Sequence[Run], struck: bool) -> RunText:
    """Sort the parts of a text.

    Args:
        runs: its parts in order.
        struck: whether the font of the cell has a line through it.
    """
    left: list[str] = []
    taken: list[tuple[Literal["raised", "struck"], str]] = []
    open_kind: str | None = None  # parts of the same kind that follow each other are one
    for run in runs:
        kind: Literal["raised", "struck"] | None = None
        if struck if run.struck is None else run.struck:
            kind = "struck"
        elif run.level is not None and run.text.strip() and not _is_word(run, "".join(left)):
            kind = "raised"
        if kind is None:
            left.append(_POWERS.get(run.text, run.text) if run.level == "raised" else run.text)
        elif kind == open_kind:
            taken[-1] = (kind, taken[-1][1] + run.text)
        else:
            taken.append((kind, run.text))
        open_kind = kind if run.text else open_kind
    text = "".join(left)
    return RunText(
        text.strip() if taken else text,
        tuple(each.strip() for kind, each in taken if kind == "raised" and each.strip()),
        tuple(each.strip() for kind, each in taken if kind == "struck" and each.strip()),
    )


def _is_word(run: Run, before: str) -> bool:
    """Whether a raised or lowered part belongs to the word before it."""
    if run.level == "lowered":
        return bool(_LETTER.search(before))
    return run.text.strip() in _POWERS and bool(_METRES.search(before))
