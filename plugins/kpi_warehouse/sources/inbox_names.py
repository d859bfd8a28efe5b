"""File names: which files of an inbox are meant for us, and which contract a name belongs to.

Names are compared after NFKC (macOS writes か and ゙ apart, Windows users type full-width brackets) and without regard to
case; people are shown the name as they gave it. A name is never used as a path here: what was listed is what is read.
"""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Protocol, TypeVar

SKIPPED_FOLDERS = ("返却", "処理済")
_ENDING = re.compile(r"[.．]\w{1,10}\Z")
_UNFINISHED = (".part", ".tmp", ".temp", ".partial", ".filepart", ".crdownload", ".download", ".swp", ".lock")
_OF_THE_SYSTEM = ("thumbs.db", "desktop.ini")
# What people add to a name that they send again; the contract's name is looked for without it, too.
_REVISION = re.compile(
    r"[\s_・-]*(?:[(【\[]?(?:最終|最新|確定|訂正|修正|改訂|改定|差替え?|差し替え|再送|再提出|完成|差し?戻し)(?:版|済み?|後|分)?\d{0,2}[)】\]]?"
    r"|\(\d{1,2}\)|コピー(?: ?\(\d{1,2}\))?|copy|のコピー|(?:ver|rev|v)\.?\d{1,2}|第\d{1,2}版)[\s_・-]*$",
    re.IGNORECASE,
)
_REVISION_BEFORE = re.compile(
    r"^[(【\[](?:最終|最新|確定|訂正|修正|改訂|改定|差替え?|再送|再提出)版?\d{0,2}[)】\]][\s_・-]*"
)
# Hidden in the workbooks that we generate.
CONTRACT_PROPERTIES = ("kpi_contract_id", "kpi_contract", "kpi_feed", "contract_id", "contract")
LISTED_CANDIDATES = 20


class FileSource(Protocol):
    """Where a departmental feed comes from, as far as the inbox needs it."""

    @property
    def file_names(self) -> tuple[str, ...]:
        """Globs on the file name."""

    @property
    def not_personal(self) -> tuple[str, ...]:
        """Headings that look like personal data and are none."""


class FileFeed(Protocol):
    """A contract, as far as the inbox needs it."""

    @property
    def feed(self) -> str: ...
    @property
    def title_ja(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def source(self) -> FileSource: ...


Feed = TypeVar("Feed", bound=FileFeed)


def given_name(raw: str) -> str:
    """A name as its author wrote it, for people, with its ending in narrow letters.

    CP932 bytes that an old tool left in it become the letters they are.
    """
    if any("\udc80" <= sign <= "\udcff" for sign in raw):
        try:
            raw = os.fsencode(raw).decode("cp932")
        except (UnicodeError, ValueError):
            raw = os.fsencode(raw).decode("utf-8", "replace")
    composed = unicodedata.normalize("NFC", raw).strip()
    return _ENDING.sub(lambda found: unicodedata.normalize("NFKC", found[0]), composed)


def readable_name(raw: str) -> str:
    """A name as it is compared: as given, and NFKC with single spaces."""
    raw = given_name(raw)
    # A full-width slash is a letter of a name; folded it would look like a path.
    folded = "".join(
        part if part in "／＼" else unicodedata.normalize("NFKC", part) for part in re.split("([／＼])", raw)
    )
    return re.sub(r" +", " ", folded).strip()


def is_skipped(raw: str) -> bool:
    """Whether a name is none of a delivery: hidden, a lock file, not yet whole, or the system's own."""
    name = readable_name(raw).casefold()
    return (
        name.startswith((".", "~$", "~wrl", "#"))
        or name.endswith((*_UNFINISHED, "~"))
        or name in _OF_THE_SYSTEM
    )


def is_skipped_folder(raw: str) -> bool:
    """Whether a folder is not looked into: hidden, or where slips and settled files are put."""
    name = readable_name(raw)
    return name.startswith((".", "$", "@")) or name in SKIPPED_FOLDERS


def name_fault(name: str) -> str | None:
    """What is wrong with a name that wants to be more than a name, in Japanese; None when nothing is."""
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        return "ファイル名にフォルダーの区切り（/ や \\）が含まれています"
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for sign in name):
        return "ファイル名に目に見えない文字（制御文字や向きを変える文字）が含まれています"
    return None


def shown_name(name: str) -> str:
    """A name that can be printed: what cannot be seen is shown as a box."""
    return "".join("□" if unicodedata.category(sign).startswith(("C", "Zl", "Zp")) else sign for sign in name)


def match_name(name: str, feeds: Sequence[Feed]) -> Feed | str:
    """The one contract that a name as given belongs to, else why there is none: a sentence for the division."""
    folded = readable_name(name)
    fault = name_fault(name) or name_fault(folded)
    if fault:
        return f"「{shown_name(name)}」：{fault}。名前を付け直して、もう一度入れてください。"
    names = {folded.casefold(), _without_revision(folded).casefold()}
    found = [feed for feed in feeds if any(_matches(own, feed) for own in names)]
    if len(found) == 1:
        return found[0]
    if found:
        return (
            f"「{name}」は {len(found)} つの提出先に当てはまり、どれか決められません。どれか一つだけに当てはまる名前に変えてください。\n"
            + _listed(found)
        )
    close = sorted(
        (feed for feed in feeds if feed.source.file_names),
        key=lambda feed: -SequenceMatcher(None, feed.title_ja, folded).ratio(),
    )
    more = len(close) - LISTED_CANDIDATES
    return (
        f"「{name}」は、どの提出物のファイル名にも当てはまりません。次のどれかの名前に変えて、もう一度入れてください。\n"
        + _listed(close[:LISTED_CANDIDATES])
        + (f"\n・ほか {more} 件" if more > 0 else "")
    )


def match_properties(properties: Mapping[str, str], feeds: Sequence[Feed]) -> Feed | None:
    """The contract that a generated workbook names in its properties (`feed` or `feed@version`); None when it names none."""
    folded = {key.casefold().replace("-", "_"): value for key, value in properties.items()}
    for key in CONTRACT_PROPERTIES:
        named = re.split(r"[@:\s]", folded.get(key, "").strip(), maxsplit=1)[0]
        for feed in feeds:
            if named == feed.feed:
                return feed
    return None


def _matches(folded: str, feed: FileFeed) -> bool:
    return any(fnmatch.fnmatchcase(folded, readable_name(glob).casefold()) for glob in feed.source.file_names)


def _without_revision(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    stem = _REVISION_BEFORE.sub("", stem)
    while (shorter := _REVISION.sub("", stem)) != stem and shorter:
        stem = shorter
    return f"{stem}{dot}{suffix}"


def _listed(feeds: Sequence[FileFeed]) -> str:
    return "\n".join(
        f"・{feed.title_ja}（{feed.owner}）：{names_ja(feed.source.file_names)}" for feed in feeds
    )


def names_ja(globs: Sequence[str]) -> str:
    """Globs on names as a person says them: `*実績*.xlsx` and `*実績*.xls` → `「実績」を含む名前（.xlsx・.xls）`."""
    endings: dict[str, list[str]] = {}
    for glob in globs:
        stem, dot, ending = glob.rpartition(".")
        if not dot or any(sign in ending for sign in "*?["):
            stem, ending = glob, ""
        endings.setdefault(stem, []).append(f".{ending}" if ending else "")
    return "、".join(_name_ja(stem, [each for each in ends if each]) for stem, ends in endings.items())


def _name_ja(stem: str, endings: list[str]) -> str:
    words = [word for word in re.split(r"[*?]+|\[[^\]]*\]", stem) if word]
    if not words:
        said = "どの名前でも"
    elif words == [stem]:
        return "・".join(f"「{stem}{ending}」" for ending in endings) or f"「{stem}」"
    else:
        quoted = "と".join(f"「{word}」" for word in words)
        said = f"{quoted}{'を含む' if len(words) > 1 or stem[0] in '*?[' else 'で始まる'}名前"
    return said + (f"（{'・'.join(endings)}）" if endings else "")
