"""The version that runs already, deployed again: to other images of it, or to repair a site that is broken."""

from __future__ import annotations

import pytest

from graasp_local.errors import ExitCode, Refused
from graasp_local.journal.events import OperationEnded, Outcome, RollbackStarted, StepOutput
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.operations.deployments import deployment_plan
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning.plan import render
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.states import Gate, Health, Status
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, deploying, ended_of, events_of, killed_at

ONE_ONE = Version(1, 1, 0)


def roll_back(fake: FakeWorld, *, discard: bool = False) -> OperationEnded:
    fake.forget_pins()
    return ended_of(events_of(fake, lambda observed: rollback_plan(fake.world, observed, discard=discard)))


def build(fake: FakeWorld, name: str, *services: str) -> None:
    """Let the tags of 1.1.0 lead to another build from here on."""
    fake.engine.builds |= {f"graasp:{service}-v1.1.0": name for service in services or ("core", "workers", "migrate")}
    fake.forget_pins()


def core_image(fake: FakeWorld) -> str:
    return dict(fake.world.site.selection.images)["CORE_IMAGE"].rpartition(":")[2]


@pytest.fixture
def deployed(running: FakeWorld) -> FakeWorld:
    """Deployed to 1.1.0, which has migrated its database, from 1.0.0."""
    deploy(running)
    running.forget_pins()
    running.state.calls.clear()
    return running


def test_with_the_same_images_there_is_nothing_to_do(deployed: FakeWorld) -> None:
    assert deploy(deployed).outcome is Outcome.NOTHING_TO_DO


def test_its_tags_name_another_core_now_so_that_is_deployed_and_reported(deployed: FakeWorld) -> None:
    build(deployed, "second", "core")
    plan = deployment_plan(deployed.world, deployed.world.observe(), DeployRequest(ONE_ONE))
    assert "because 1.1.0 is already running, and its images of core have changed" in render(plan)
    assert deploy(deployed).outcome is Outcome.DONE
    assert core_image(deployed) == "second"
    deployed.forget_pins()
    assert deploy(deployed).outcome is Outcome.NOTHING_TO_DO


def test_afterwards_rollback_brings_the_images_from_before_it(deployed: FakeWorld) -> None:
    build(deployed, "second")
    deploy(deployed)
    ended = roll_back(deployed)
    assert (ended.outcome, ended.version, core_image(deployed)) == (Outcome.DONE, "1.1.0", "first")
    assert deployed.state.gate() is Gate.OPEN
    # What was deployed last is not what the record of deployments ends with.
    deployed.engine.builds.clear()
    deployed.forget_pins()
    assert deploy(deployed).outcome is Outcome.NOTHING_TO_DO


def test_after_a_repair_rollback_undoes_the_last_deployment_that_changed_something(
    deployed: FakeWorld,
) -> None:
    deployed.state.observed = deployed.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    assert deploy(deployed).outcome is Outcome.DONE
    deployed.state.observed = deployed.state.observed.with_services(("workers",), Status.ABSENT, Health.NONE)
    deployed.forget_pins()
    assert deploy(deployed).outcome is Outcome.DONE
    with pytest.raises(Refused, match=r"1\.1\.0 has changed the database"):
        roll_back(deployed)
    ended = roll_back(deployed, discard=True)
    assert (ended.outcome, ended.version, len(deployed.state.applied)) == (Outcome.DONE, "1.0.0", 2)


def test_a_repair_keeps_what_a_rollback_needs(deployed: FakeWorld) -> None:
    snapshots, kept = dict(deployed.database.snapshots), dict(deployed.engine.kept)
    deployed.state.observed = deployed.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    deploy(deployed)
    assert (deployed.database.snapshots, deployed.engine.kept) == (snapshots, kept)


def test_a_repair_after_a_deployment_that_was_rolled_back_keeps_it_too(deployed: FakeWorld) -> None:
    deployed.engine.never_on_version = "1.2.0"
    assert deploy(deployed, "1.2.0", on_failure=OnFailure.ROLLBACK).outcome is Outcome.ROLLED_BACK
    deployed.forget_pins()
    deployed.state.observed = deployed.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    assert deploy(deployed).outcome is Outcome.DONE
    assert roll_back(deployed, discard=True).version == "1.0.0"


def test_a_core_that_dies_is_rolled_back_to_the_images_from_before(deployed: FakeWorld) -> None:
    build(deployed, "dies")
    deployed.engine.dying_builds = {"dies"}
    ended = deploy(deployed, on_failure=OnFailure.ROLLBACK)
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "running")
    assert core_image(deployed) == "first"
    assert "make redis core workers" in deployed.state.calls  # those that were made are of the images that failed


def test_a_migration_that_fails_is_rolled_back_to_the_database_from_before(deployed: FakeWorld) -> None:
    build(deployed, "migrates")
    deployed.engine.migrations_of_builds = {"migrates": ("0000_init", "0001_maintenance", "0002_item_lang", "0003_new")}
    deployed.engine.migration_code = 1
    before = list(deployed.state.applied)
    events = events_of(deployed, deploying(deployed), on_failure=OnFailure.ROLLBACK)
    assert ended_of(events).exit_code is ExitCode.ROLLED_BACK
    assert (deployed.state.applied, core_image(deployed)) == (before, "first")
    assert any(isinstance(event, RollbackStarted) for event in events)


def test_a_rollback_to_images_from_before_that_was_killed_is_resumed_to_those(deployed: FakeWorld) -> None:
    build(deployed, "second", "core")
    deploy(deployed)
    deployed.forget_pins()
    killed_at(deployed, "select-version", lambda observed: rollback_plan(deployed.world, observed))
    deployed.forget_pins()
    ended = ended_of(events_of(deployed, lambda observed: resume_plan(deployed.world, observed)))
    assert (ended.outcome, core_image(deployed)) == (Outcome.DONE, "first")


FROM_THE_GATE = [
    "close-gate", "prove-closed", "seal-gate", "drain", "stop-graasp", "end-sessions", "snapshot", "migrate",
    "prove-migrations", "select-version", "start-graasp", "verify-core", "start-writers",
]  # fmt: skip


@pytest.mark.parametrize("name", FROM_THE_GATE)
@pytest.mark.parametrize("verb", ["resume", "rollback"])
def test_killed_at_any_step_it_is_resumed_or_rolled_back(deployed: FakeWorld, name: str, verb: str) -> None:
    build(deployed, "second")
    deployed.engine.migrations_of_builds = {"second": ("0000_init", "0001_maintenance", "0002_item_lang", "0003_new")}
    killed_at(deployed, name)
    deployed.forget_pins()
    planner = resume_plan if verb == "resume" else rollback_plan
    events = events_of(deployed, lambda observed: planner(deployed.world, observed))
    ended = ended_of(events)
    assert (ended.outcome, ended.version, ended.state) == (Outcome.DONE, "1.1.0", "running"), ended.problem
    expected = ("second", 4) if verb == "resume" else ("first", 3)
    assert (core_image(deployed), len(deployed.state.applied)) == expected
    assert not [e for e in events if isinstance(e, StepOutput) and "was last deployed with is gone" in e.text]
    assert unfinished_operation(read_operations(deployed.world.site.journal_directory)) is None


def test_what_could_not_be_rolled_back_is_refused_while_visitors_are_served(deployed: FakeWorld) -> None:
    build(deployed, "second")
    deployed.engine.references -= {reference for reference in deployed.engine.references if reference.endswith("first")}
    deployed.engine.in_no_registry = {f"graasp:{name}-v1.1.0@sha256:first" for name in ("core", "workers", "migrate")}
    deployed.engine.missing_images = {"core": "nowhere"}
    with pytest.raises(Refused):
        deploy(deployed, needs_rollback=True)
    assert deployed.state.calls == []
