"""One mapping of a contract's YAML with its path: typed values out, and a fault for every value or key not expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

Path = tuple[str | int, ...]
Fault = Callable[[Path, object, str], None]


class Part:
    """One mapping of the YAML with its path: hands out typed values, tells every value and key it did not expect."""

    def __init__(self, found: object, path: Path, fault: Fault) -> None:
        self.path, self.fault = path, fault
        self.asked: list[str] = []
        if not isinstance(found, Mapping):
            fault(path, found, "キーと値の並び")
        self.values: Mapping[str, Any] = found if isinstance(found, Mapping) else {}

    def wrong(self, key: str, expected: str) -> None:
        self.fault((*self.path, key), self.values.get(key), expected)

    def _get(self, key: str) -> Any:
        self.asked.append(key)
        return self.values.get(key)

    def text(self, key: str, expected: str = "") -> str | None:
        """A text; where `expected` is given it must be there."""
        found = self._get(key)
        if found is None and not expected:
            return None
        if not isinstance(found, str) or not found.strip():
            self.wrong(key, expected or "引用符で囲んだ文字列")
            return None
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        found = self._get(key)
        listed = [] if found is None else found if isinstance(found, list) else [found]
        if not all(isinstance(each, str) for each in listed):
            self.wrong(key, "文字列、または文字列の並び（数値は引用符で囲む）")
            return ()
        return tuple(listed)

    def pairs(self, key: str) -> dict[str, str]:
        """Text → text; a code without quotes (01100 is octal) is a fault."""
        found = self._get(key)
        if found is None:
            return {}
        if not isinstance(found, Mapping) or not all(
            isinstance(each, str) for pair in found.items() for each in pair
        ):
            self.wrong(key, "文字列から文字列への対応（コードと数は引用符で囲む）")
            return {}
        return dict(found)

    def factors(self, key: str) -> dict[str, Decimal]:
        """Text → positive number (1000, or "0.001")."""
        found = self._get(key)
        if found is None:
            return {}
        made: dict[str, Decimal] = {}
        for name, number in found.items() if isinstance(found, Mapping) else [(None, None)]:
            try:
                factor = Decimal(str(number))
            except ArithmeticError:
                factor = Decimal(0)
            if not isinstance(name, str) or isinstance(number, bool) or not factor.is_finite() or factor <= 0:
                self.wrong(key, "単位から正の倍率への対応（例：{千人: 1000}）")
                return {}
            made[name] = factor
        return made

    def number(self, key: str) -> int | None:
        """A whole number from 1 on."""
        found = self._get(key)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            self.wrong(key, "1 からの整数")
            return None
        return found

    def choice(self, key: str, allowed: Sequence[str], default: str | None) -> str | None:
        found = self._get(key)
        if found is None:
            return default
        if found not in allowed:
            self.wrong(key, " / ".join(allowed))
            return default
        return str(found)

    def flag(self, key: str, default: bool = False) -> bool:
        found = self._get(key)
        if found is None:
            return default
        if not isinstance(found, bool):
            self.wrong(key, "true / false")
            return default
        return found

    def parts(self, key: str) -> list[Part]:
        found = self._get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.wrong(key, "並び（- で始まる行）")
            return []
        return [Part(each, (*self.path, key, at), self.fault) for at, each in enumerate(found)]

    def part(self, key: str) -> Part:
        return Part(self._get(key) or {}, (*self.path, key), self.fault)

    def close(self) -> None:
        """Every key that nobody asked for is a fault: a misspelt one must not be passed over in silence."""
        for key in self.values:
            if key not in self.asked:
                near = get_close_matches(str(key), self.asked, 1)
                hint = f"（{near[0]} のことですか）" if near else f"（使えるキー：{'、'.join(self.asked)}）"
                self.fault((*self.path, str(key)), key, f"決められたキー{hint}")
