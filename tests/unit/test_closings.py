"""Seconds closed: what counts, from when to when, and that every figure is made of the same closings."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.cli.main import cli
from graasp_local.journal.closings import (
    Closing,
    GateMoment,
    GateNote,
    OperationAtGate,
    by_month,
    closing_of,
    closings,
    ongoing,
)
from graasp_local.journal.events import OperationEnded, summary
from graasp_local.journal.read import read_journal, read_operations, read_recent
from graasp_local.operations import run
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning.requests import ChangeState, OnFailure
from graasp_local.planning.states import Gate, InfraState
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, ended_of, events_of, killed_at

OLD_SITE = Path(__file__).parent / "site_of_0_1_0" / "journal"
CLOSING, CLOSED, OPENING, OPENED, FOUND_OPEN, NOT_KNOWN = GateNote


def told(
    *operations: tuple[tuple[float, GateNote], ...], gate: Gate = Gate.UNKNOWN, now: float = 1000.0
) -> list[tuple]:  # type: ignore[type-arg]
    """Since, until, who closed and who opened, for every closing of operations named a, b, c."""
    at_gate = [
        OperationAtGate(name, f"graasp-local {name}", tuple(GateMoment(at, note) for at, note in notes))
        for name, notes in zip("abcdef", operations, strict=False)
    ]
    return [(c.since, c.until, c.operation, c.opened_by) for c in closings(at_gate, gate, now)]


@pytest.mark.parametrize(
    ("operations", "gate", "expected"),
    [
        pytest.param(
            [((0, FOUND_OPEN), (1, CLOSING), (1.1, CLOSED), (9, OPENING), (9.1, OPENED), (9.2, FOUND_OPEN))],
            Gate.OPEN,
            [(1, 9.1, "a", "a")],
            id="a deployment",
        ),
        pytest.param(
            [((1, CLOSING), (1.1, CLOSED)), ((50, CLOSED), (60, OPENED))],
            Gate.OPEN,
            [(1, 60, "a", "b")],
            id="closed by one, opened by another",
        ),
        pytest.param([((1, CLOSING), (2, CLOSED))], Gate.CLOSED, [(1, None, "a", "")], id="closed still"),
        pytest.param([((1, CLOSING), (2, CLOSED))], Gate.UNKNOWN, [(1, None, "a", "")], id="nginx does not answer"),
        pytest.param(
            [((1, CLOSING), (2, CLOSED)), ((50, FOUND_OPEN),)],
            Gate.OPEN,
            [(1, 50, "a", "b")],
            id="killed: until it is found open",
        ),
        pytest.param([((1, CLOSING), (2, CLOSED))], Gate.OPEN, [(1, 1000, "a", "")], id="killed: seen open only now"),
        pytest.param(
            [((1, CLOSING), (2, CLOSED), (7, OPENING))],
            Gate.OPEN,
            [(1, 7, "a", "")],
            id="killed while it opened the gate",
        ),
        pytest.param(
            [((1, CLOSING), (2, CLOSED), (7, OPENING), (8, CLOSED))],
            Gate.CLOSED,
            [(1, None, "a", "")],
            id="an opening that had no effect",
        ),
        pytest.param([((0, FOUND_OPEN), (1, CLOSING))], Gate.OPEN, [], id="killed before it had closed it"),
        pytest.param([((1, CLOSING),), ((5, CLOSED), (6, OPENED))], Gate.OPEN, [(1, 6, "a", "b")], id="just after"),
        pytest.param([((5, CLOSED), (6, OPENED))], Gate.OPEN, [(5, 6, "", "a")], id="closed by nothing of ours"),
        pytest.param(
            [((1, CLOSING), (2, CLOSED)), ((50, NOT_KNOWN), (51, CLOSING), (52, CLOSED), (60, OPENED))],
            Gate.OPEN,
            [(1, 60, "a", "b")],
            id="stopped, and started again",
        ),
        pytest.param([((5, FOUND_OPEN),)], Gate.CLOSED, [], id="closed since an unknown time"),
        pytest.param([((9, CLOSING), (9, CLOSED)), ((4, OPENED),)], Gate.OPEN, [(9, 9, "a", "b")], id="clock set back"),
    ],
)
def test_what_counts(operations: list[tuple[tuple[float, GateNote], ...]], gate: Gate, expected: list[object]) -> None:
    assert told(*operations, gate=gate) == expected


notes = st.lists(st.sampled_from(GateNote), max_size=6)


@given(st.lists(notes, max_size=6), st.sampled_from(Gate), st.integers(1, 10))
def test_closings_never_overlap_and_the_months_add_up(all_notes: list[list[GateNote]], gate: Gate, pace: int) -> None:
    at, operations = 1_790_000_000.0, []
    began = at
    for number, of_one in enumerate(all_notes):
        moments = []
        for note in of_one:
            at += pace * 86400 * 3
            moments.append(GateMoment(at, note))
        operations.append(OperationAtGate(str(number), "", tuple(moments)))
    now = at + 1
    found = closings(operations, gate, now)
    for one, following in pairwise(found):
        assert one.until is not None
        assert one.since <= one.until <= following.since
    assert ongoing(found) is None or gate is not Gate.OPEN
    total = sum(closing.seconds(now) for closing in found)
    months = by_month(found, began, now)
    assert sum(month.closed_seconds for month in months) == pytest.approx(total)
    assert sum(month.seconds for month in months) == pytest.approx(now - began)
    assert all(0 <= month.availability <= 1 for month in months)


@given(st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from(GateNote)), max_size=12))
def test_no_closing_is_negative_whatever_the_clock_says(moments: list[tuple[float, GateNote]]) -> None:
    found = closings([OperationAtGate("a", "", tuple(GateMoment(at, note) for at, note in moments))])
    assert all(closing.seconds(0.0) >= 0 for closing in found)


def test_a_closing_over_the_end_of_a_month_counts_in_both() -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    closing = Closing(new_year - 60, new_year + 30, "a", "")
    december, january = by_month([closing], new_year - 86400, new_year + 86400)
    assert (december.month, december.closed_seconds, december.closings) == ("2026-12", 60.0, 1)
    assert (january.month, january.closed_seconds, january.availability) == ("2027-01", 30.0, 1 - 30 / 86400)


def apply(fake: FakeWorld, state: InfraState) -> OperationEnded:
    return ended_of(list(run.run(fake.world, ChangeState(state))))


def closed(fake: FakeWorld) -> list[tuple[float, float]]:
    """Since when, in seconds of the fake's clock, and how long."""
    operations = read_journal(fake.world.site.journal_directory).operations
    return [(c.since - 1_000_000, c.seconds(fake.clock.now())) for c in closings(operations, fake.world.edge.gate())]


def pass_time(fake: FakeWorld, seconds: float) -> None:
    fake.clock.sleep(seconds)


def test_a_first_deployment_counts(fake: FakeWorld) -> None:
    fake.engine.in_flight = [1] * 1000
    ended = deploy(fake, "1.0.0")
    assert ended.downtime_seconds is not None
    assert ended.closing is not None
    assert [seconds for _, seconds in closed(fake)] == [pytest.approx(ended.downtime_seconds)]


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_what_apply_closed_counts_until_it_is_opened(running: FakeWorld, state: InfraState) -> None:
    assert apply(running, state).downtime_seconds is None
    pass_time(running, 100)
    ended = apply(running, InfraState.RUNNING)
    assert ended.downtime_seconds is None
    assert ended.closing is not None
    assert ended.closing.seconds(0) == pytest.approx(100, abs=1)
    assert "The site was closed for 100." in summary(ended)
    assert f"since `graasp-local apply {state}`" in summary(ended)
    (seconds,) = [length for _, length in closed(running)]
    assert seconds == pytest.approx(ended.closing.seconds(0))
    by_operation = [operation.downtime_seconds for operation in read_operations(running.world.site.journal_directory)]
    assert by_operation == [pytest.approx(seconds), None]


def test_what_was_killed_counts_until_it_is_opened_again(running: FakeWorld) -> None:
    killed_at(running, "snapshot")
    pass_time(running, 3600)
    ended = ended_of(events_of(running, lambda observed: rollback_plan(running.world, observed)))
    assert ended.closing is not None
    assert ended.closing.seconds(0) == pytest.approx(3600, abs=1)
    assert [seconds for _, seconds in closed(running)] == [pytest.approx(ended.closing.seconds(0))]


def test_a_deployment_that_is_rolled_back_counts(running: FakeWorld) -> None:
    running.engine.migration_code = 1
    running.engine.in_flight = [1] * 3
    ended = deploy(running, on_failure=OnFailure.ROLLBACK)
    found = closed(running)
    assert sum(seconds for _, seconds in found) == pytest.approx(ended.downtime_seconds or 0)


def test_status_reads_back_to_the_beginning_of_a_closing(running: FakeWorld) -> None:
    """A deployment from a closed site that ends closed is the last that succeeded, and not the beginning."""
    deploy(running)
    apply(running, InfraState.RESTRICTED)
    pass_time(running, 50)
    deploy(running, "1.2.0", end=InfraState.RESTRICTED)
    journal = running.world.site.journal_directory
    recent, whole = closings(read_recent(journal).operations), closings(read_journal(journal).operations)
    assert ongoing(recent) == ongoing(whole) is not None
    assert ongoing(recent).seconds(running.clock.now()) >= 50  # type: ignore[union-attr]


def test_status_reads_back_over_a_deployment_of_a_stopped_site(running: FakeWorld) -> None:
    """nginx does not answer when it begins, and it closes the gate itself, where it was closed."""
    deploy(running)
    apply(running, InfraState.STOPPED)
    pass_time(running, 50)
    deploy(running, "1.2.0")
    journal = running.world.site.journal_directory
    recent, whole = closings(read_recent(journal).operations), closings(read_journal(journal).operations)
    assert recent[-1] == whole[-1]
    assert whole[-1].operation.endswith("-apply-stopped")
    assert whole[-1].seconds(0) >= 50


def test_a_journal_of_0_1_0_is_read() -> None:
    operations = read_operations(OLD_SITE)
    found = closings(operations)
    assert [(closing.operation[:4], closing.opened_by[:4]) for closing in found] == [
        ("0001", "0001"),
        ("0002", "0002"),
        ("0003", "0003"),
        ("0004", ""),
    ]
    assert [round(operation.downtime_seconds, 1) for operation in operations[:3] if operation.downtime_seconds] == [
        round(closing.seconds(0), 1) for closing in found[:3]
    ]
    assert operations[1].downtime_seconds == pytest.approx(30.172, abs=0.1)  # as it had counted itself


@pytest.fixture
def old_site(tmp_path: Path) -> Path:
    """A site with the journal that 0.1.0 has left, at a port where no one listens."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        words = ["init", str(tmp_path / "site"), "--demo", "--port", str(kept.getsockname()[1])]
        assert CliRunner().invoke(cli, words).exit_code == 0
        shutil.copytree(OLD_SITE, tmp_path / "site" / "journal", dirs_exist_ok=True)
    return tmp_path / "site"


def test_history_tells_downtime_by_month(old_site: Path) -> None:
    shown = CliRunner().invoke(cli, ["--site", str(old_site), "history", "--downtime"])
    assert shown.exit_code == 0, shown.output
    heading, *_ = shown.stdout.splitlines()
    assert heading.split() == ["MONTH", "AVAILABLE", "CLOSINGS", "CLOSED", "FOR"]
    assert "█" in shown.stdout  # on the first of a month not yet in the newest row
    assert "so far" in next(line for line in shown.stdout.splitlines() if "0004-" in line)
    assert "0002-20261128-210340-deploy-1.1.0" in shown.stdout


def test_the_same_as_json_adds_up(old_site: Path) -> None:
    told = json.loads(CliRunner().invoke(cli, ["--site", str(old_site), "history", "--downtime", "--json"]).stdout)
    assert told["closing"] == told["closings"][-1]
    assert sum(closing["seconds"] for closing in told["closings"]) == pytest.approx(told["seconds_closed"], abs=0.01)
    assert sum(month["closed_seconds"] for month in told["months"]) == pytest.approx(told["seconds_closed"], abs=0.01)
    listed = CliRunner().invoke(cli, ["--site", str(old_site), "history", "--json"]).stdout.splitlines()
    by_operation = {operation["operation"]: operation["downtime_seconds"] for operation in map(json.loads, listed)}
    ended = {c["operation"]: c["seconds"] for c in told["closings"] if c["until"]}
    assert {name: seconds for name, seconds in by_operation.items() if seconds is not None} == ended


def test_downtime_is_not_about_one_operation(old_site: Path) -> None:
    assert CliRunner().invoke(cli, ["--site", str(old_site), "history", "--downtime", "--last"]).exception is not None


@given(st.builds(Closing, st.integers(0, 2 * 10**9), st.none() | st.integers(0, 2 * 10**9), st.text(), st.text()))
def test_a_closing_is_read_back_as_it_was_written(closing: Closing) -> None:
    assert closing_of(closing.as_json(0.0)) == closing
