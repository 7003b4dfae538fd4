"""The table of engines: what was seen before and is not seen now stays."""

from __future__ import annotations

from pathlib import Path

from tests.engines.checks import CHECKS
from tests.engines.engines import ENGINES
from tests.engines.table import Row, written

ALL_WELL = dict.fromkeys(CHECKS, "1 s")


def row(name: str, engine: str = "28.5.2", **results: str) -> Row:
    return Row(name, engine, "classic", "1.24 to 1.51", "2.40.3", "3.11.7", "2026-11-28, abc", {**ALL_WELL, **results})


def test_a_run_replaces_its_own_row_and_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "engines.md"
    file.write_text(written(file, [row("one"), row("two")]))
    file.write_text(written(file, [row("two", "29.0.0"), row("three")]))
    lines = [line for line in file.read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| run", "| one", "| two", "| three"]
    assert "29.0.0" in lines[2]
    assert written(file, []) == file.read_text()


def test_a_check_that_failed_or_was_not_come_to_did_not_go_through() -> None:
    assert row("one").went_through
    assert not row("one", states="failed").went_through
    assert not Row("one", "", "", "", "", "", "", {"states": "1 s"}).went_through


def test_each_engine_has_a_name_of_its_own() -> None:
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)
