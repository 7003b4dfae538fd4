"""The journal: complete records count, a torn one does not, and nothing in it is guessed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graasp_local.errors import ConfigurationError, ExitCode, NeedsYou, Refused
from graasp_local.journal.events import (
    OperationEnded,
    OperationStarted,
    Outcome,
    StepEnded,
    StepOutcome,
    StepOutput,
    StepStarted,
)
from graasp_local.journal.history import History
from graasp_local.journal.read import output_of, read_journal, read_operations, read_recent, trusted_operations
from graasp_local.journal.records import (
    READ_ONLY_NAMES,
    DamagedOperation,
    JournalContents,
    last_success,
    seconds_by_step,
    state_left,
    uncertain_migration,
    unfinished_operation,
)
from graasp_local.journal.write import Journal
from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.states import Gate, InfraState
from graasp_local.planning.steps import Step
from graasp_local.version import Version
from tests.unit.sites import site_in

PLAN = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_x",)))
NOW = 1_790_000_000.0


def write_operation(
    directory: Path, *steps: str, outcome: Outcome | None, now: float = NOW, gate: Gate = Gate.OPEN
) -> Path:
    journal = Journal(directory, "deploy-1.1.0", now)
    journal.write(OperationStarted(journal.operation, "graasp-local deploy --version 1.1.0", PLAN, gate=gate), now)
    for index, name in enumerate(steps):
        journal.write(StepStarted(index, name, name, "a cause"), now)
        journal.write(StepEnded(index, name, StepOutcome.DONE, 1.5), now)
    if outcome is not None:
        journal.write(OperationEnded(journal.operation, outcome, "running", "1.1.0", 2.5, 4.0, (), ExitCode.DONE), now)
    journal.close()
    return directory / f"{journal.operation}.jsonl"


def test_an_operation_is_read_back(tmp_path: Path) -> None:
    write_operation(tmp_path, "pull", "migrate", outcome=Outcome.DONE)
    (operation,) = read_operations(tmp_path)
    assert (operation.outcome, operation.version, operation.downtime_seconds) == ("done", "1.1.0", 2.5)
    assert operation.started_steps == ("pull", "migrate")
    assert seconds_by_step([operation]) == {"pull": [1.5], "migrate": [1.5]}


@pytest.mark.parametrize("later", [0, 1, -3600])
def test_operations_are_in_the_order_in_which_they_began_whatever_the_clock_says(tmp_path: Path, later: int) -> None:
    write_operation(tmp_path, outcome=Outcome.DONE, now=NOW)
    write_operation(tmp_path, outcome=Outcome.FAILED, now=NOW + later)
    assert [operation.outcome for operation in read_operations(tmp_path)] == ["done", "failed"]


def test_a_killed_operation_has_no_outcome(tmp_path: Path) -> None:
    write_operation(tmp_path, "pull", outcome=None)
    (operation,) = read_operations(tmp_path)
    assert operation.outcome is None
    assert operation.as_json()["outcome"] == "killed"


def test_an_operation_in_the_words_of_format_1_reads_the_same(tmp_path: Path) -> None:
    file = write_operation(tmp_path, "pull", "migrate", outcome=Outcome.DONE, gate=Gate.SEALED)
    (now,) = read_operations(tmp_path)
    content = file.read_bytes().replace(b'"format": 2', b'"format": 1').replace(b'"sealed"', b'"shut"')
    content = content.replace(b'"operation-', b'"walk-').replace(b'"operation": ', b'"walk": ')
    file.write_bytes(content)
    assert read_operations(tmp_path) == (now,)


def test_the_last_record_counts_only_when_it_is_complete(tmp_path: Path) -> None:
    file = write_operation(tmp_path, "pull", outcome=Outcome.DONE)
    complete = file.read_bytes()
    last = complete.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(complete)):
        file.write_bytes(complete[:end])
        (operation,) = read_operations(tmp_path)
        whole = end >= len(complete) - 1  # only the newline is missing
        assert operation.outcome == ("done" if whole else None), end


def test_a_file_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"some": "thing"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(b"\x00\xff\xfe")
    assert read_journal(tmp_path) == JournalContents((), ())


def test_a_link_to_a_disk_that_is_not_mounted_is_not_an_empty_journal(tmp_path: Path) -> None:
    link = tmp_path / "journal"
    link.symlink_to(tmp_path / "not-mounted")
    for read in (read_journal, read_recent, read_operations, trusted_operations):
        with pytest.raises(ConfigurationError, match=r"is a link to .*not-mounted, which does not exist"):
            read(link)
    with pytest.raises(ConfigurationError, match="is a link to"):
        History(link).newest  # noqa: B018


def test_an_operation_that_was_killed_before_its_first_record_was_written_never_began(tmp_path: Path) -> None:
    file = write_operation(tmp_path, outcome=None)
    first = file.read_bytes()
    for end in range(len(first) - 1):
        file.write_bytes(first[:end])
        assert read_journal(tmp_path) == JournalContents((), ()), end


def test_zeros_that_a_power_cut_left_at_the_end_are_no_record(tmp_path: Path) -> None:
    file = write_operation(tmp_path, "pull", outcome=None)
    file.write_bytes(file.read_bytes() + bytes(4096))
    (operation,) = trusted_operations(tmp_path)
    assert (operation.outcome, operation.started_steps) == (None, ("pull",))


def changed_line(content: bytes) -> bytes:
    first, second, *rest = content.splitlines(keepends=True)
    return b"".join([first, second.replace(b"{", b"", 1), *rest])


def lost_beginning(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[1:])


def other_format(content: bytes) -> bytes:
    return content.replace(b'"format": 2', b'"format": 3')


def lost_key(content: bytes) -> bytes:
    return content.replace(b'"outcome": "done", ', b"")


def foreign(content: bytes) -> bytes:
    return b"some,other,table\n1,2,3\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed_line, "Line 2 is not a record."),
        (lost_beginning, "It does not begin with the start of an operation."),
        (other_format, "Its format is 3, but this graasp-local reads formats 1 to 2."),
        (lost_key, "A record is malformed (KeyError: 'outcome')."),
        (foreign, "Line 1 is not a record."),
    ],
)
def test_damage_that_no_crash_can_do_is_reported_and_nothing_is_decided_on_it(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    file = write_operation(tmp_path, "pull", "migrate", outcome=Outcome.DONE)
    file.write_bytes(damage(file.read_bytes()))
    assert read_journal(tmp_path) == JournalContents((), (DamagedOperation(file, said),))
    with pytest.raises(Refused) as refused:
        trusted_operations(tmp_path)
    assert said in refused.value.what
    assert str(file) in refused.value.next_step


def test_an_old_damaged_operation_does_not_matter_once_a_later_deployment_can_be_read(tmp_path: Path) -> None:
    file = write_operation(tmp_path, "migrate", outcome=Outcome.DONE)
    file.write_bytes(changed_line(file.read_bytes()))
    write_operation(tmp_path, "migrate", outcome=Outcome.DONE)
    assert len(trusted_operations(tmp_path)) == 1
    assert [damaged.file for damaged in read_journal(tmp_path).damaged] == [file]


OPERATIONS = st.tuples(
    st.lists(st.sampled_from(["pull", "migrate", "select-version", "swap-back", "open-gate"]), max_size=3, unique=True),
    st.sampled_from([Outcome.DONE, Outcome.HELD, Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.REFUSED, None]),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(OPERATIONS, max_size=5))
def test_no_decision_depends_on_what_was_before_the_last_successful_deployment(
    operations: list[tuple[list[str], Outcome | None, bool]],
) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        for steps, outcome, is_damaged in operations:
            file = write_operation(directory, *steps, outcome=outcome)
            if is_damaged and outcome is not None:
                file.write_bytes(changed_line(file.read_bytes()))
        whole, recent = read_journal(directory), read_recent(directory)
    for decide in (unfinished_operation, last_success, state_left, uncertain_migration):
        assert decide(recent.operations) == decide(whole.operations)
    assert recent.operations[-1:] == whole.operations[-1:]
    assert recent.in_doubt == whole.in_doubt


def test_a_long_history_is_not_read_for_a_decision(tmp_path: Path) -> None:
    for _ in range(3):
        write_operation(tmp_path, "migrate", outcome=Outcome.DONE)
    last = write_operation(tmp_path, "pull", outcome=Outcome.REFUSED)
    assert [operation.outcome for operation in trusted_operations(tmp_path)] == ["done", "refused"]
    assert [operation.operation for operation in read_operations(tmp_path, newest=1)] == [last.stem]
    assert len(read_operations(tmp_path)) == 4


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
    write_operation(tmp_path, *steps, outcome=outcome)
    assert (uncertain_migration(read_operations(tmp_path)) is not None) is uncertain


def test_a_refused_operation_does_not_make_an_uncertain_migration_certain(tmp_path: Path) -> None:
    write_operation(tmp_path, "pull", "migrate", outcome=None, now=NOW)
    write_operation(tmp_path, "preflight", outcome=Outcome.REFUSED, now=NOW + 10)
    assert uncertain_migration(read_operations(tmp_path)) is not None
    write_operation(tmp_path, "pull", "migrate", "select-version", outcome=Outcome.DONE, now=NOW + 20)
    assert uncertain_migration(read_operations(tmp_path)) is None


@contextmanager
def room_for(bytes_more: int, file: Path) -> Iterator[None]:
    """The file may grow by so many bytes: more is refused by the kernel in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + bytes_more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_record_that_does_not_fit_leaves_no_half_of_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "deploy-1.1.0", NOW)
    journal.write(OperationStarted(journal.operation, "graasp-local deploy --version 1.1.0", PLAN), NOW)
    file = tmp_path / f"{journal.operation}.jsonl"
    before = file.read_bytes()
    with room_for(20, file), pytest.raises(NeedsYou, match="The journal cannot be written"):
        journal.write(StepStarted(0, "pull", "pull", "a cause"), NOW)
    assert file.read_bytes() == before
    journal.write(StepStarted(0, "pull", "pull", "a cause"), NOW)
    journal.close()
    assert trusted_operations(tmp_path)[-1].started_steps == ("pull",)


def test_output_that_does_not_fit_is_left_out_and_the_next_step_does_not_begin(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "deploy-1.1.0", NOW)
    journal.write(OperationStarted(journal.operation, "graasp-local deploy --version 1.1.0", PLAN), NOW)
    with room_for(20, tmp_path / f"{journal.operation}.jsonl"):
        journal.write(StepOutput(0, "a line of output"), NOW)
    with pytest.raises(NeedsYou, match="The journal cannot be written"):
        journal.raise_trouble()
    journal.raise_trouble()  # said once: what puts the site back goes on
    journal.close()
    assert trusted_operations(tmp_path)[-1].operation == journal.operation
    assert list(output_of(tmp_path / f"{journal.operation}.jsonl")) == []


def test_the_state_that_a_site_was_left_in_is_that_of_the_last_operation_that_changed_something(tmp_path: Path) -> None:
    write_operation(tmp_path, "close-gate", "open-gate", outcome=Outcome.DONE)
    write_operation(tmp_path, "preflight", outcome=Outcome.REFUSED)
    assert state_left(read_operations(tmp_path)) is InfraState.RUNNING
    write_operation(tmp_path, "close-gate", outcome=None)
    assert state_left(read_operations(tmp_path)) is None


def test_the_journal_and_a_plan_agree_on_what_leaves_a_site_as_it_is() -> None:
    assert {kind.name for kind in get_args(Step) if not kind.touches_site} == READ_ONLY_NAMES


def test_a_journal_that_is_not_a_directory_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    """Like one that another user owns: for root, that one can be read."""
    (tmp_path / "journal").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        read_operations(tmp_path / "journal")
    assert read_operations(tmp_path / "not-there-yet") == ()
