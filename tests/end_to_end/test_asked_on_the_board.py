"""What readers see of a question: the last figures with a word about it, then the figures with how they came to be published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from asked_feeds import BASE, MOVES, THIRD, TWICE, UNUSUAL, rows, with_rules
from typer.testing import CliRunner

from demo.estat import Simulator
from kpi_warehouse import load, marts
from kpi_warehouse.cli import app
from kpi_warehouse.errors import GateAsked


def test_the_board_follows_the_question_its_answer_and_what_is_taken_back(
    warehouse: str, use_estat: Callable[[Simulator], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate_status(as_of: datetime | None = None) -> str:
        (row,) = [row for row in marts.board(as_of) if row["kpi_id"] == "K12"]
        return f"{row['gate_status_ja']}"

    with Simulator([BASE]) as simulator:
        use_estat(simulator)
        with_rules(tmp_path, monkeypatch, MOVES, TWICE)
        load.run(MOVES)
        marts.build()
        simulator.publish(UNUSUAL)
        with pytest.raises(GateAsked):
            load.run(MOVES)
        assert marts.build().state == "published", "a question alone makes the board say so"
        assert "問い合わせ中（前回値を表示中）" in gate_status()
        (instant,) = rows(warehouse, "select clock_timestamp()")[0]
        ended = CliRunner().invoke(app, ["hold", "release", "2", "--reason", "市町村課に確認"])
        assert ended.exit_code == 0 and "盤面に反映しました" in ended.output, ended.output
        assert "確認のうえ公表" in gate_status()
        assert "問い合わせ中（前回値を表示中）" in gate_status(instant)
        shown = CliRunner().invoke(app, ["receipt", "K12", THIRD])
        assert shown.exit_code == 0 and "市町村課に確認" in shown.output, shown.output
        (published,) = rows(warehouse, "select clock_timestamp()")[0]
        ended = CliRunner().invoke(app, ["load", "undo", "2", "--reason", "誤りと分かった"])
        assert ended.exit_code == 0 and "盤面に反映しました" in ended.output, ended.output
        assert CliRunner().invoke(app, ["receipt", "K12", THIRD]).exit_code == 1
        assert "確認のうえ公表" in gate_status(published)
