"""The main job as a person at a terminal has it: `run` and `clean` as processes of their own, with Airflow's real scheduler. The
tests share one `KPI_HOME` with `test_slides.py` and go on from each other in the order of this file."""

from __future__ import annotations

import re
import signal
import socket
import time
from contextlib import closing

import pytest
from openpyxl import load_workbook
from stack_home import Book, Ended, Home, soon

from kpi_warehouse.settings import Settings

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(900)]

BRIEFING = "migration_briefing"
FEEDS = {path.name.removesuffix(".odcs.yaml") for path in Settings().contracts.glob("*.odcs.yaml")}


def test_one_command_loads_every_feed_and_prints_the_board(first: tuple[Ended, Ended, Book]) -> None:
    ended, _, held = first
    assert ended.code == 0
    assert len(re.findall(r"^│ [KTD]\d\d ", ended.output, re.MULTILINE)) == 32
    assert re.search(r"^│ K12 .*国内間の社会増減.*-1,542", ended.output, re.MULTILINE)
    assert "模擬サーバー" in ended.output
    assert {load[0] for load in held.loads} == FEEDS
    assert {load[:2] for load in held.loads if load[1] != "published"} == {(BRIEFING, "rejected")}
    assert held.run_types == {"manual"}, "a sweep that falls due takes no file of this run"
    assert len(held.builds) == 1
    assert [row[1] for row in held.rows] == [53_016, 12_384]


def test_a_file_with_a_lost_digit_is_sent_back_and_its_correction_taken(
    home: Home, first: tuple[Ended, Ended, Book]
) -> None:
    output = first[0].output
    assert "16 → 165。最後の 5 が落ちた打ち間違いと考えられます" in output
    assert [load[1:] for load in first[2].loads if load[0] == BRIEFING] == [
        ("rejected", "gate.rejected"),
        ("published", None),
    ]
    slip = re.search(r"差し戻し票：(.+)", output)
    assert slip is not None
    assert load_workbook(slip[1].strip()).sheetnames[0] == "差し戻し票"


def test_the_division_is_told_of_its_file_and_of_its_recovery(
    home: Home, first: tuple[Ended, Ended, Book]
) -> None:
    told = re.findall(r"^  ✉ (【.+?】)移住定住の状況.*INC-(\d+)　mailbox$", first[0].output, re.MULTILINE)
    assert [subject for subject, _ in told] == ["【KPI取込エラー／要対応】", "【復旧】"]
    assert len({number for _, number in told}) == 1
    mails = [mail.read_bytes() for mail in (home.path / "mailbox/new").iterdir()]
    assert sum(f"X-Idempotency-Key: INC-{told[0][1]}/".encode() in mail for mail in mails) == 2


def test_figures_of_every_department_are_printed(first: tuple[Ended, Ended, Book]) -> None:
    output = first[0].output
    for figure in ("2,684名", "235件", "78人（予定）", "10,180人", "2,387人", "91.3%", "7,203人"):
        assert figure in output, figure
    assert re.search(r"D08 2024年度 途中 7/12：235件", output)
    lines = output.replace("\n", "")
    assert "K12 2025年の見込み（2025年2月末）：例年の季節 -1,604人" in lines
    assert "移動者数は模擬データです。引用しないでください。" in lines


def test_progress_without_a_terminal_is_one_line_a_run(first: tuple[Ended, Ended, Book]) -> None:
    lines = [line for line in first[0].output.splitlines() if line.endswith(" 秒") and "✓" in line]
    assert len(lines) == len(set(lines)) >= 3
    assert sum("fetch✓ stage✓ gate✓ publish✓" in line for line in lines) == len(FEEDS)


def test_everything_listened_on_loopback_only(first: tuple[Ended, Ended, Book]) -> None:
    listening = first[0].listening
    assert len(listening) >= 3  # PostgreSQL, the simulator, Airflow's API
    assert {address for address, _ in listening} == {"127.0.0.1"}


def test_two_runs_at_once_are_one_and_a_clear_message(first: tuple[Ended, Ended, Book]) -> None:
    beside = first[1]
    assert beside.code == 1
    assert "stack.busy" in beside.output and "別の make run / up / down が動いています" in beside.output


def test_a_terminated_run_stops_what_it_started(home: Home, first: tuple[Ended, Ended, Book]) -> None:
    process = home.begin("run")
    soon(lambda: home.stack.supervisor() is not None and len(home.parts()) > 3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)  # as make does, which was sent the first one too
    assert home.watch(process).code == 128 + signal.SIGTERM
    assert home.parts() == []


def test_a_taken_port_is_named_and_nothing_is_left(home: Home, first: tuple[Ended, Ended, Book]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as somebody:
        port = str(somebody.getsockname()[1])
        refused = home.command("up", KPI_API_PORT=port)
    assert refused.code == 1
    assert f"ポート {port}（KPI_API_PORT）" in refused.output
    assert home.parts() == []


def test_clean_removes_what_the_project_made_and_nothing_else(
    home: Home, first: tuple[Ended, Ended, Book]
) -> None:
    place = home.place
    assert place.exists()
    assert home.command("clean").code == 0
    assert not place.exists()
    assert [path.name for path in home.path.rglob("*")] == ["somebody.txt"]
    assert home.parts() == []
