"""Slips that people make when they type a number: would somebody who meant `165` have left `16` behind?

A wrong digit (165 → 185) is left out on purpose: it would explain a difference of 1 to 9, 10 to 90, … in any cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

SlipKind = Literal[
    "digit_dropped",
    "digit_added",
    "digits_swapped",
    "sign_lost",
    "sign_added",
    "power_of_ten",
    "shifted_period",
    "copied_from_above",
]
_POWERS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Slip:
    """A kind of slip, and what happened in words that end in a noun: `最後の 5 が落ちた打ち間違い`."""

    kind: SlipKind
    says_ja: str


def slip_between(found: Decimal, meant: Decimal) -> Slip | None:
    """The slip that makes `found` of `meant`, the likeliest first; None when no single one does.

    Numbers are compared as they are written plainly, without zeros behind the last decimal: digits dropped, added or
    swapped keep the sign, and `05` is 5.
    """
    if found == meant:
        return None
    if found == -meant:
        return (
            Slip("sign_lost", "マイナス（▲）が落ちた打ち間違い")
            if meant < 0
            else Slip("sign_added", "余分なマイナス（▲）が付いた打ち間違い")
        )
    if found and meant and (found < 0) != (meant < 0):
        return None
    return (
        _of_digits(abs(found), abs(meant))
        or _of_the_unit(found, meant)
        or _swapped(abs(found), _plain(meant))
    )


def _of_digits(found: Decimal, meant: Decimal) -> Slip | None:
    written, wanted = _plain(found), _plain(meant)
    for at, rest in _without_one(wanted):
        if Decimal(rest) == found:
            return Slip("digit_dropped", f"{_where(at, wanted)} {wanted[at]} が落ちた打ち間違い")
    for at, rest in _without_one(written):
        if rest == wanted:  # 9 is not written 09, so 109 is not 9 with a digit too many.
            return Slip("digit_added", f"{_where(at, written)} {written[at]} が余分に入った打ち間違い")
    return None


def _of_the_unit(found: Decimal, meant: Decimal) -> Slip | None:
    for power in _POWERS:
        if found == meant * 10**power:
            return Slip("power_of_ten", f"{10**power:,} 倍になっている桁（単位）の間違い")
        if found * 10**power == meant:
            return Slip("power_of_ten", f"{10**power:,} 分の 1 になっている桁（単位）の間違い")
    return None


def _swapped(found: Decimal, wanted: str) -> Slip | None:
    for at in range(len(wanted) - 1):
        one, other = wanted[at], wanted[at + 1]
        if "." not in (one, other) and Decimal(wanted[:at] + other + one + wanted[at + 2 :]) == found:
            return Slip("digits_swapped", f"隣り合う {one} と {other} が入れ替わった打ち間違い")
    return None


def _plain(value: Decimal) -> str:
    text = format(abs(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _without_one(text: str) -> Iterator[tuple[int, str]]:
    """Each digit's position, and what is left without it; the end first, where digits get lost most."""
    if sum(sign.isdigit() for sign in text) < 2:
        return
    for at in reversed(range(len(text))):
        if text[at] != ".":
            yield at, text[:at] + text[at + 1 :]


def _where(at: int, text: str) -> str:
    return "先頭の" if at == 0 else "最後の" if at == len(text) - 1 else "途中の"
