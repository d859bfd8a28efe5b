"""`python -m demo.inbox_files`: tells which demo files differ from what the figures make; `--write` makes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from demo.inbox_files import companies, people, progress, schools, texts
from demo.inbox_files.stable import same_content

INBOX = Path(__file__).parents[1] / "inbox"
# Path below `demo/inbox/` → what makes it. `corrected/` holds what is delivered again, `http/` what is pulled.
FILES: dict[str, Callable[[], bytes]] = {
    "移住定住の状況（R6.9月末）.xlsx": partial(people.migration_briefing, as_printed=True),
    "corrected/移住定住の状況（R6.9月末）（訂正）.xlsx": partial(people.migration_briefing, as_printed=False),
    "空家対策総合支援事業の実績（R6）.xlsx": people.vacant_houses,
    "UIJターン・奨学金返還等支援実績（R6.10月末）.csv": texts.uij_turn,
    "プロ人材マッチング成約件数.csv": texts.professional_matching,
    "http/line_subscribers.json": texts.line_subscribers,
    "移住相談会等の実施状況（R6）.xlsx": people.relocation_events,
    "インターンシップ実施率.xlsx": schools.internships,
    "県立高校半導体関連人材育成事業.xlsx": schools.semiconductor_training,
    "伴走型支援の実績.csv": texts.company_support,
    "私立学校経常費補助の実績.xlsx": schools.private_schools,
    "くまもと産業復興エキスポ.xlsx": schools.expo,
    "半導体関連企業と学校との交流の実績（R6）.xlsx": companies.company_contacts,
    "進捗管理シート（R6.10月末）.xlsx": progress.kpi_progress,
}


def stale(folder: Path = INBOX) -> dict[str, bytes]:
    """Files that are missing below the folder or say something else than the figures, with what they should be."""
    made = {name: make() for name, make in FILES.items()}
    return {
        name: body
        for name, body in made.items()
        if not (folder / name).is_file() or not same_content((folder / name).read_bytes(), body)
    }


def unknown(folder: Path = INBOX) -> list[str]:
    """Files below the folder that nothing here makes."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(set(found) - set(FILES))


def main(arguments: list[str] | None = None) -> int:
    """Check or write; 1 where something is not current and was not written."""
    parser = argparse.ArgumentParser(prog="python -m demo.inbox_files", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what differs to demo/inbox/")
    asked = parser.parse_args(arguments)
    differing = stale()
    for name, body in differing.items():
        if asked.write:
            (INBOX / name).parent.mkdir(parents=True, exist_ok=True)
            (INBOX / name).write_bytes(body)
        print(("written: " if asked.write else "not current: ") + name)
    for name in unknown():
        print(f"made by nothing: {name}")
    return 1 if unknown() or (differing and not asked.write) else 0


if __name__ == "__main__":
    sys.exit(main())
