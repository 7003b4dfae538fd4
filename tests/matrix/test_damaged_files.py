"""Files of the site are damaged: a journal whose last record is torn, a `.env` that goes in the middle of one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graasp_local.journal.read import trusted_operations
from graasp_local.journal.records import GateMove, unfinished_operation
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, Ended, MatrixSite
from tests.matrix.parts import WORKING
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves


def newest_journal(site: MatrixSite) -> Path:
    return max((site.directory / "journal").glob("*.jsonl"))


def last_record_begins(content: bytes) -> int:
    return content.rstrip(b"\n").rindex(b"\n") + 1


def test_a_last_record_torn_at_any_byte_is_no_record(site: MatrixSite, record: Record, tmp_path: Path) -> None:
    before = site.data()
    assert site.end(*WORKING, fault=Point(When.AFTER, "migrate")).code == KILLED
    journal = newest_journal(site)
    whole = journal.read_bytes()
    copy = shutil.copytree(journal.parent, tmp_path / "journal") / journal.name
    beginning = last_record_begins(whole)
    for end in range(beginning, len(whole) + 1):
        copy.write_bytes(whole[:end])
        operation = unfinished_operation(trusted_operations(copy.parent))
        assert operation is not None, f"cut at byte {end}"
        assert (operation.operation, operation.database_is_changed) == (journal.stem, True)
    record.did = f"deploy killed after migrate; its last record cut at each of its {len(whole) - beginning} bytes"
    journal.write_bytes(whole[: (beginning + len(whole)) // 2])
    names_the_two_ways(site)
    site.run("rollback")
    record.saw = f"read as unfinished each time; cut in the middle, rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before)


def test_an_operation_whose_end_is_torn_is_finished_again(site: MatrixSite, record: Record, tmp_path: Path) -> None:
    before = site.data()
    site.deploy("1.1.0")
    journal = newest_journal(site)
    whole = journal.read_bytes()
    copy = shutil.copytree(journal.parent, tmp_path / "journal") / journal.name
    beginning = last_record_begins(whole)
    for end in range(beginning, len(whole) - 1):
        copy.write_bytes(whole[:end])
        operation = unfinished_operation(trusted_operations(copy.parent))
        assert operation is not None, f"cut at byte {end}"
        assert GateMove.OPENING in operation.gate_moves
    record.did = f"deploy; its last record cut at each of its {len(whole) - beginning} bytes"
    journal.write_bytes(whole[: (beginning + len(whole)) // 2])
    names_the_two_ways(site)
    site.run("resume")
    record.saw = f"read as unfinished each time; cut in the middle, resume (exit code 0): {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before)
    site.back_to_1_0_0()


def test_a_first_record_that_is_torn_is_an_operation_that_touched_nothing(site: MatrixSite, record: Record) -> None:
    before = site.data()
    assert site.end(*WORKING, fault=Point(When.BEFORE, "preflight")).code == KILLED
    journal = newest_journal(site)
    record.did = "deploy killed before preflight; its journal cut within the first record"
    journal.write_bytes(journal.read_bytes()[:40])
    record.saw = f"as before: {serves(site, '1.0.0')}"
    site.run("apply", "running")
    record.data = nothing_is_lost(site, before)


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_text("")


def make_a_directory_of(file: Path) -> None:
    file.unlink()
    file.mkdir()


HARMS = [("removed", remove), ("emptied", empty), ("made unreadable: a directory in its place", make_a_directory_of)]


def site_without_env(site: MatrixSite, step: str, harm: Callable[[Path], None]) -> tuple[Ended, Ended]:
    """A deployment that loses `.env` before a step, and `status` after it; then the file is put back."""
    file = site.directory / ".env"
    kept = file.read_text()
    try:
        with site.met(Point(When.BEFORE, step), *WORKING) as met:
            harm(file)
            ended = met.go_on()
        return ended, site.end("status")
    finally:
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        file.write_text(kept)
        file.chmod(0o600)


REPRESENTATIVE = ("emptied", "stop-graasp")


@pytest.mark.parametrize(
    ("did", "harm", "step"),
    [
        pytest.param(did, harm, step, marks=[pytest.mark.representative] * ((did, step) == REPRESENTATIVE))
        for did, harm in HARMS
        for step in ("close-gate", "stop-graasp", "migrate")
    ],
)
def test_env_is_gone_in_the_middle(
    site: MatrixSite, record: Record, step: str, did: str, harm: Callable[[Path], None]
) -> None:
    """The rollback works with the copy of it with which the site was last known to work."""
    record.did = f".env is {did} before {step}"
    before = site.data()
    with site.visited() as visitor:
        ended, said = site_without_env(site, step, harm)
        assert ended.code == 20, ended.said
        assert said.code == 2, said.said
        record.saw = f"exit code 20; status: exit code 2; .env is put back: {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize(("did", "harm"), HARMS)
def test_env_is_gone_once_all_containers_are_made(
    site: MatrixSite, record: Record, did: str, harm: Callable[[Path], None]
) -> None:
    """Nothing needs it any more: what was made while the database was migrated is only started."""
    record.did = f".env is {did} before start-graasp"
    before = site.data()
    with site.visited() as visitor:
        ended, said = site_without_env(site, "start-graasp", harm)
        assert ended.code == 0, ended.said
        assert said.code == 2, said.said
        record.saw = f"exit code 0; status: exit code 2; .env is put back: {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()
