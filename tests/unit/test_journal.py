"""The journal: complete records count, a torn one does not, and nothing in it is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from graasp_local.errors import ExitCode
from graasp_local.events import Outcome, StepEnded, StepOutcome, StepStarted, WalkEnded, WalkStarted
from graasp_local.journal import Journal, read_walks, seconds_by_step, uncertain_migration
from graasp_local.migrations import Pending
from graasp_local.plan import DeployRequest, plan_deploy
from graasp_local.states import InfraState
from graasp_local.version import Version
from tests.unit.sites import site_in

PLAN = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_x",)))
NOW = 1_790_000_000.0


def write_walk(directory: Path, *steps: str, outcome: Outcome | None, now: float = NOW) -> Path:
    journal = Journal(directory, "deploy-1.1.0", now)
    journal.write(WalkStarted(journal.walk, "graasp-local deploy --version 1.1.0", PLAN), now)
    for index, name in enumerate(steps):
        journal.write(StepStarted(index, name, name, "a cause"), now)
        journal.write(StepEnded(index, name, StepOutcome.DONE, 1.5), now)
    if outcome is not None:
        journal.write(WalkEnded(journal.walk, outcome, "running", "1.1.0", 2.5, 4.0, (), ExitCode.DONE), now)
    journal.close()
    return directory / f"{journal.walk}.jsonl"


def test_a_walk_is_read_back(tmp_path: Path) -> None:
    write_walk(tmp_path, "pull", "migrate", outcome=Outcome.DONE)
    (walk,) = read_walks(tmp_path)
    assert (walk.outcome, walk.version, walk.downtime_seconds) == ("done", "1.1.0", 2.5)
    assert walk.started_steps == ("pull", "migrate")
    assert seconds_by_step([walk]) == {"pull": [1.5], "migrate": [1.5]}


def test_two_walks_in_one_second_have_two_files(tmp_path: Path) -> None:
    assert write_walk(tmp_path, outcome=Outcome.DONE) != write_walk(tmp_path, outcome=Outcome.DONE)
    assert len(read_walks(tmp_path)) == 2


def test_a_killed_walk_has_no_outcome(tmp_path: Path) -> None:
    write_walk(tmp_path, "pull", outcome=None)
    (walk,) = read_walks(tmp_path)
    assert walk.outcome is None
    assert walk.as_json()["outcome"] == "killed"


def test_the_last_record_counts_only_when_it_is_complete(tmp_path: Path) -> None:
    file = write_walk(tmp_path, "pull", outcome=Outcome.DONE)
    complete = file.read_bytes()
    last = complete.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(complete)):
        file.write_bytes(complete[:end])
        (walk,) = read_walks(tmp_path)
        whole = end >= len(complete) - 1  # only the newline is missing
        assert walk.outcome == ("done" if whole else None), end


def test_a_file_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"some": "thing"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(b"\x00\xff\xfe")
    assert read_walks(tmp_path) == ()


@pytest.mark.parametrize(
    ("steps", "outcome", "uncertain"),
    [
        (("pull",), None, False),
        (("pull", "migrate"), None, True),
        (("pull", "migrate", "prove-migrations"), Outcome.FAILED, True),
        (("pull", "migrate", "prove-migrations", "select-version"), None, False),
        (("pull", "migrate", "prove-migrations", "select-version"), Outcome.DONE, False),
    ],
)
def test_a_migration_is_uncertain_until_its_version_is_selected(
    tmp_path: Path, steps: tuple[str, ...], outcome: Outcome | None, *, uncertain: bool
) -> None:
    write_walk(tmp_path, *steps, outcome=outcome)
    assert (uncertain_migration(read_walks(tmp_path)) is not None) is uncertain


def test_a_refused_walk_does_not_make_an_uncertain_migration_certain(tmp_path: Path) -> None:
    write_walk(tmp_path, "pull", "migrate", outcome=None, now=NOW)
    write_walk(tmp_path, "preflight", outcome=Outcome.REFUSED, now=NOW + 10)
    assert uncertain_migration(read_walks(tmp_path)) is not None
    write_walk(tmp_path, "pull", "migrate", "select-version", outcome=Outcome.DONE, now=NOW + 20)
    assert uncertain_migration(read_walks(tmp_path)) is None
