"""After a deployment: going back from one that succeeded, and what may be discarded by that."""

from __future__ import annotations

import pytest

from graasp_local.errors import ExitCode, Refused
from graasp_local.journal.events import OperationEnded, Outcome
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.operations.deployments import deployment_plan, transition_plan
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import loss, rollback_plan
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.states import Gate, InfraState
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, ended_of, events_of, killed_at
from tests.unit.sites import site_in


def roll_back(fake: FakeWorld, *, discard: bool = False) -> OperationEnded:
    return ended_of(events_of(fake, lambda observed: rollback_plan(fake.world, observed, discard=discard)))


def test_without_a_migration_between_only_the_code_is_rolled_back(running: FakeWorld) -> None:
    deploy(running, "1.1.0")
    deploy(running, "1.2.0")
    running.state.calls.clear()
    ended = roll_back(running)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.1.0")
    assert not {"swap-back", "migrate 1.1.0", "snapshot"} & set(running.state.calls)


def test_behind_a_migration_it_says_what_would_be_discarded_and_does_nothing(running: FakeWorld) -> None:
    deploy(running)
    running.state.calls.clear()
    running.clock.seconds += 3 * 3600
    with pytest.raises(Refused) as refused:
        rollback_plan(running.world, running.world.observe())
    assert refused.value.what == (
        "Everything written since 1970-01-12 13:46 UTC (3 hours with 1.1.0), including 3 new row(s), "
        "would be discarded: 1.1.0 has changed the database, and a rollback restores the one from before."
    )
    assert "--discard written-since" in refused.value.next_step
    assert running.state.calls == []


def test_a_deployment_that_began_with_the_database_off_and_migrated_nothing_is_rolled_back_without_consent(
    fake: FakeWorld,
) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.1.0"), applied="1.1.0")
    deploy(fake, "1.2.0")
    assert loss(fake.world, fake.world.observe()) is None
    fake.state.calls.clear()
    ended = roll_back(fake)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.1.0")
    assert "swap-back" not in fake.state.calls


@pytest.mark.parametrize("step", ["migrate", "prove-migrations", "start-graasp", "open-gate", "record"])
def test_nor_is_it_once_it_was_cut_off(fake: FakeWorld, step: str) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.1.0"), applied="1.1.0")
    killed_at(fake, step, lambda observed: deployment_plan(fake.world, observed, DeployRequest(Version(1, 2, 0))))
    ended = roll_back(fake)
    assert (ended.outcome, ended.version, len(fake.state.applied)) == (Outcome.DONE, "1.1.0", 3)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (None, " (less than a minute with 1.1.0)"),  # they take too long to count
        (0, " (less than a minute with 1.1.0; no new rows were found)"),
        (3, " (less than a minute with 1.1.0), including 3 new row(s),"),
    ],
)
def test_it_tells_how_many_rows_it_found(running: FakeWorld, rows: int | None, expected: str) -> None:
    deploy(running)
    running.database.newer_rows = rows
    lost = loss(running.world, running.world.observe())
    assert lost is not None
    assert lost.described() == f"Everything written since 1970-01-12 13:46 UTC{expected}"


def test_with_consent_the_database_from_before_is_restored_and_the_other_kept(running: FakeWorld) -> None:
    deploy(running)
    ended = roll_back(running, discard=True)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.0.0")
    assert len(running.state.applied) == 2
    (kept,) = running.database.failed.values()
    assert len(kept) == 3


def test_behind_the_gate_it_stays_behind_the_gate(running: FakeWorld) -> None:
    deploy(running, end=InfraState.RESTRICTED)
    ended = roll_back(running, discard=True)
    assert (ended.state, ended.version) == ("restricted", "1.0.0")
    assert running.state.gate() is Gate.CLOSED


ROLLBACK = [
    "close-gate", "prove-closed", "drain", "stop-graasp", "end-sessions", "swap-back", "prove-migrations",
    "select-version", "start-graasp", "verify-core", "start-writers", "open-gate", "prove-open",
]  # fmt: skip


def test_a_rollback_checks_and_fetches_before_the_gate_closes_and_lets_requests_finish(running: FakeWorld) -> None:
    deploy(running)
    plan = rollback_plan(running.world, running.world.observe(), discard=True)
    assert [step.name for step in plan.steps] == ["preflight", "restore-images", *ROLLBACK]


@pytest.mark.parametrize("name", ROLLBACK)
@pytest.mark.parametrize("verb", ["resume", "rollback"])
def test_a_killed_rollback_is_continued_by_either_command(running: FakeWorld, name: str, verb: str) -> None:
    deploy(running)
    killed_at(running, name, lambda observed: rollback_plan(running.world, observed, discard=True))
    planner = resume_plan if verb == "resume" else rollback_plan
    ended = ended_of(events_of(running, lambda observed: planner(running.world, observed)))
    assert ended.exit_code is ExitCode.DONE, ended.problem
    assert (ended.state, ended.version, len(running.state.applied)) == ("running", "1.0.0", 2)
    assert unfinished_operation(read_operations(running.world.site.journal_directory)) is None


def test_a_deployment_instead_of_the_rest_of_a_rollback_keeps_what_was_written(running: FakeWorld) -> None:
    deploy(running)
    killed_at(running, "end-sessions", lambda observed: rollback_plan(running.world, observed, discard=True))
    running.edge.says = "0.0.1"
    request = DeployRequest(Version(1, 1, 0))
    running.state.calls.clear()
    planner = lambda observed: deployment_plan(running.world, observed, request)  # noqa: E731
    ended = ended_of(events_of(running, planner, on_failure=OnFailure.ROLLBACK))
    assert (ended.outcome, ended.state) == (Outcome.ROLLED_BACK, "db-only")  # where the rollback was cut off
    assert "swap-back" not in running.state.calls
    assert len(running.state.applied) == 3


def test_a_second_rollback_is_refused(running: FakeWorld) -> None:
    deploy(running)
    roll_back(running, discard=True)
    with pytest.raises(Refused, match=r"already rolled back to 1\.0\.0"):
        roll_back(running, discard=True)


@pytest.mark.parametrize("later", ["repairing deployment", "change of state"])
def test_a_rollback_that_is_not_the_last_operation_is_not_called_that(running: FakeWorld, later: str) -> None:
    deploy(running)
    roll_back(running, discard=True)
    if later == "repairing deployment":
        running.become(site_in(InfraState.RESTRICTED))
        assert deploy(running, "1.0.0").outcome is Outcome.DONE
    else:
        events_of(running, lambda observed: transition_plan(running.world, observed, InfraState.RESTRICTED))
    with pytest.raises(Refused) as refused:
        roll_back(running, discard=True)
    assert (
        refused.value.what == "The site was already rolled back to 1.0.0, and no other version has been deployed since."
    )


def test_a_rollback_is_not_offered_where_it_would_be_refused(running: FakeWorld) -> None:
    deploy(running)
    roll_back(running, discard=True)
    request = DeployRequest(Version(1, 2, 0))
    killed_at(running, "pull", lambda observed: deployment_plan(running.world, observed, request))
    with pytest.raises(Refused, match="changed nothing, so there is nothing to undo") as refused:
        roll_back(running, discard=True)
    assert "rollback" not in refused.value.next_step


def test_a_deployment_that_changed_nothing_is_not_taken_for_the_one_before_it(running: FakeWorld) -> None:
    deploy(running)
    request = DeployRequest(Version(1, 2, 0))
    killed_at(running, "pull", lambda observed: deployment_plan(running.world, observed, request))
    with pytest.raises(Refused, match="changed nothing, so there is nothing to undo"):
        roll_back(running, discard=True)
    events_of(running, lambda observed: transition_plan(running.world, observed, InfraState.RUNNING))
    assert roll_back(running, discard=True).version == "1.0.0"


def test_a_snapshot_that_is_gone_is_a_refusal(running: FakeWorld) -> None:
    deploy(running)
    running.database.snapshots.clear()
    with pytest.raises(Refused, match=r"The database from before 1\.1\.0 is no longer on the server"):
        roll_back(running, discard=True)


def test_what_would_be_discarded_is_not_guessed_while_the_database_is_off(running: FakeWorld) -> None:
    deploy(running)
    running.become(site_in(InfraState.STOPPED, "1.1.0"), "1.1.0")
    with pytest.raises(Refused, match="The database is off"):
        roll_back(running, discard=True)


def test_a_site_without_a_deployment_has_nothing_to_roll_back(running: FakeWorld) -> None:
    with pytest.raises(Refused, match="Nothing has been deployed"):
        roll_back(running)


def test_after_a_deployment_that_was_rolled_back_it_says_so(running: FakeWorld) -> None:
    deploy(running)
    running.engine.never_on_version = "1.2.0"
    assert deploy(running, "1.2.0", on_failure=OnFailure.ROLLBACK).outcome is Outcome.ROLLED_BACK
    with pytest.raises(Refused, match=r"The last deployment, of 1\.2\.0, has already been rolled back"):
        roll_back(running)


def test_a_first_deployment_cannot_be_rolled_back(fake: FakeWorld) -> None:
    deploy(fake, "1.0.0")
    with pytest.raises(Refused, match="was the first deployment of this site"):
        roll_back(fake)


def test_there_is_nothing_to_resume_after_a_success(running: FakeWorld) -> None:
    deploy(running)
    with pytest.raises(Refused, match="No operation was left unfinished on this site"):
        resume_plan(running.world, running.world.observe())
