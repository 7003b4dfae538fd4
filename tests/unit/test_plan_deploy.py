"""Deployments, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.migrations import NotKnownYet, Pending
from graasp_local.planning.plan import render
from graasp_local.planning.plan_deploy import Backup, DeployRequest, plan_deploy
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState, Status
from graasp_local.planning.steps import MakeServices, StartServices
from graasp_local.version import Version
from tests.unit.sites import new_site, site_in

V = Version(1, 1, 0)
TO_1_0_0 = RollbackRequest(Version(1, 0, 0), InfraState.RUNNING)
PENDING = Pending(("0002_item_lang",))


def titles(observed: ObservedState, forecast: Pending | NotKnownYet = PENDING, **request: object) -> list[str]:
    return [step.title for step in plan_deploy(observed, DeployRequest(V, **request), forecast).steps]  # type: ignore[arg-type]


def test_the_operation_of_an_open_site() -> None:
    assert render(plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), PENDING)).splitlines() == [
        f"{number:>2}  {closed:<6}  {what:<60}  because {cause}"
        for number, closed, what, cause in [
            (
                1,
                "",
                "Check that 1.1.0 can be deployed here",
                "problems are found while visitors are still served",
            ),
            (2, "", "Pull the images of 1.1.0", "nothing is downloaded while the site is closed"),
            (3, "", "Read which migrations 1.1.0 needs", "a migration that cannot work is refused before it starts"),
            (
                4,
                "",
                "Make sure there is a backup less than an hour old",
                "a snapshot is on the same disk as the database",
            ),
            (
                5,
                "",
                "Create the migration container of 1.1.0",
                "this does not have to happen while the site is closed",
            ),
            (6, "closed", "Close the gate", "visitors must not write while the database changes"),
            (
                7,
                "closed",
                "Verify that the gate is closed",
                "only a visitor's request proves that visitors are kept out",
            ),
            (
                8,
                "closed",
                "Seal the gate against the bypass",
                "nothing may be written before 1.1.0 is verified, not even through the bypass",
            ),
            (
                9,
                "closed",
                "Wait for requests in flight to finish (limit 10 s)",
                "core cuts off its requests when it stops",
            ),
            (10, "closed", "Stop redis, core and workers", "db-only does not need the graasp group"),
            (
                11,
                "closed",
                "End everything still connected to the database",
                "a killed migration may have left a statement that holds locks",
            ),
            (
                12,
                "closed",
                "Take a snapshot of the database",
                "a failed migration can then be undone in a second",
            ),
            (
                13,
                "closed",
                "Run migrations of 1.1.0 (limit 1800 s) and create containers",
                "0002_item_lang is pending",
            ),
            (
                14,
                "closed",
                "Verify that the database has the migrations of 1.1.0",
                "a migration's exit code and output prove nothing",
            ),
            (
                15,
                "closed",
                "Select 1.1.0 for every service started from now on",
                "the database belongs to this version now",
            ),
            (16, "closed", "Start redis and core and wait until healthy", "1.1.0 takes over"),
            (
                17,
                "closed",
                "Verify that core answers as 1.1.0",
                "visitors must not be the first to find a fault",
            ),
            (
                18,
                "closed",
                "Start workers and wait until healthy",
                "services that write on their own start only once core is verified",
            ),
            (19, "closed", "Open the gate", "the new version is verified"),
            (20, "", "Verify that the gate is open", "only a visitor's request proves that visitors get in"),
            (21, "", "Record 1.1.0 as deployed", "the next deployment starts from here"),
        ]
    ]


def test_nothing_pending_leaves_the_migration_out_and_keeps_its_proof() -> None:
    steps = titles(site_in(InfraState.RUNNING), Pending(()))
    assert not any(step.startswith("Run migrations") for step in steps)
    assert "Verify that the database has the migrations of 1.1.0" in steps


def test_a_migration_that_outlived_its_operation_is_waited_for_before_anything_is_read() -> None:
    site = replace(site_in(InfraState.DB_ONLY), migrations=("site-migrate-run-1",))
    steps = titles(site, NotKnownYet())
    waiting = steps.index("Wait for the running migration to end (limit 1800 s)")
    assert steps[waiting + 1] == "Read which migrations 1.1.0 needs"


def test_without_a_backup_the_plan_has_none() -> None:
    wanted = DeployRequest(V, backup=Backup.LEFT_OUT)
    steps = plan_deploy(site_in(InfraState.RUNNING), wanted, PENDING).steps
    assert "backup" not in [step.name for step in steps]


def test_on_an_open_site_the_backup_is_taken_before_the_gate_closes() -> None:
    names = [step.name for step in plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), PENDING).steps]
    assert names.index("backup") < names.index("close-gate")


@pytest.mark.parametrize("state", InfraState)
def test_the_backup_is_taken_before_the_database_changes(state: InfraState) -> None:
    names = [step.name for step in plan_deploy(site_in(state), DeployRequest(V), PENDING).steps]
    assert names.index("backup") < names.index("snapshot")


ROLLBACK_FROM_DB_ONLY = """
Restore the images that 1.0.0 was deployed with
End everything still connected to the database
Replace the database with the snapshot graasp_snapshot_x
Verify that the database has the migrations of 1.0.0
Select 1.0.0 for every service started from now on
Start redis and core and wait until healthy
Verify that core answers as 1.0.0
Start workers and wait until healthy
Open the gate
Verify that the gate is open
"""


def test_a_rollback_after_a_migration_began() -> None:
    plan = plan_rollback(site_in(InfraState.DB_ONLY), replace(TO_1_0_0, snapshot="graasp_snapshot_x"))
    assert [step.title for step in plan.steps] == ROLLBACK_FROM_DB_ONLY.strip().splitlines()


def test_a_rollback_before_a_migration_began_leaves_the_database_alone() -> None:
    plan = plan_rollback(site_in(InfraState.DB_ONLY), TO_1_0_0)
    assert not any("snapshot" in step.title for step in plan.steps)


def test_a_rollback_stops_the_new_code_behind_a_closed_gate() -> None:
    plan = plan_rollback(site_in(InfraState.RUNNING), replace(TO_1_0_0, snapshot="graasp_snapshot_x"))
    assert [step.title for step in plan.steps][:5] == [
        "Restore the images that 1.0.0 was deployed with",
        "Close the gate",
        "Verify that the gate is closed",
        "Wait for requests in flight to finish (limit 10 s)",
        "Stop redis, core and workers",
    ]


def test_a_rollback_from_a_first_deployment_ends_without_a_version() -> None:
    sealed = replace(site_in(InfraState.DB_ONLY), gate=Gate.SEALED)
    plan = plan_rollback(sealed, RollbackRequest(None, InfraState.STOPPED, snapshot="graasp_snapshot_x"))
    assert [step.title for step in plan.steps] == [
        "End everything still connected to the database",
        "Replace the database with the snapshot graasp_snapshot_x",
        "Select no version",
        "Stop umami",
        "Stop db",
        "Stop nginx",
    ]
    before = plan_rollback(sealed, RollbackRequest(None, InfraState.STOPPED))
    assert before.steps[0].title == "Select no version"
    assert (plan.version, plan.goes_back) == (None, True)


def test_a_new_site_has_its_containers_made_at_once_and_reads_its_migrations_once_the_database_is_up() -> None:
    plan = plan_deploy(new_site(), DeployRequest(V), NotKnownYet())
    assert [step.title for step in plan.steps[2:]] == [
        "Check the configuration of nginx",
        "Create db, umami, redis, core, workers and nginx of 1.1.0 without starting them",
        "Close the gate",
        "Start nginx and wait until healthy",
        "Verify that the gate is closed",
        "Seal the gate against the bypass",
        "Start db and wait until healthy",
        "Read which migrations 1.1.0 needs",
        "Make sure there is a backup less than an hour old",
        "End everything still connected to the database",
        "Take a snapshot of the database",
        "Run migrations of 1.1.0 (limit 1800 s)",
        "Verify that the database has the migrations of 1.1.0",
        "Select 1.1.0 for every service started from now on",
        "Start umami and wait until healthy",
        "Start redis and core and wait until healthy",
        "Verify that core answers as 1.1.0",
        "Start workers and wait until healthy",
        "Open the gate",
        "Verify that the gate is open",
        "Record 1.1.0 as deployed",
    ]
    starts = [step for step in plan.steps if isinstance(step, StartServices)]
    assert {step.services: step.ahead for step in starts if step.ahead} == {
        ("nginx",): ("db",),
        ("db",): ("umami",),
    }


def test_of_a_site_with_a_single_container_nothing_is_started_ahead() -> None:
    left = new_site().with_services(("db",), Status.EXITED, Health.NONE)
    steps = plan_deploy(left, DeployRequest(V), NotKnownYet()).steps
    assert not any(isinstance(step, MakeServices) or (isinstance(step, StartServices) and step.ahead) for step in steps)


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_a_closed_site_is_not_closed_again_and_requests_with_the_bypass_are_waited_for(state: InfraState) -> None:
    steps = titles(site_in(state, page_when_stopped=True))
    assert "Close the gate" not in steps
    core_is_on = state is InfraState.RESTRICTED
    assert ("Wait for requests in flight to finish (limit 10 s)" in steps) is core_is_on
    assert steps[-3:] == ["Open the gate", "Verify that the gate is open", "Record 1.1.0 as deployed"]


def test_hold_stops_behind_the_gate() -> None:
    steps = titles(site_in(InfraState.RUNNING), end=InfraState.RESTRICTED)
    assert steps[-5:] == [
        "Verify that core answers as 1.1.0",
        "Start workers and wait until healthy",
        "Unseal the gate for the bypass",
        "Verify that the gate is closed",
        "Record 1.1.0 as deployed",
    ]


def test_umami_is_left_alone_while_it_is_on() -> None:
    assert not any("umami" in step for step in titles(site_in(InfraState.RUNNING)))


def test_a_version_that_is_deployed_needs_no_step() -> None:
    plan = plan_deploy(site_in(InfraState.RUNNING, "1.1.0"), DeployRequest(V), Pending(()))
    assert plan.steps == ()
    assert render(plan) == "Nothing to do: 1.1.0 is deployed and the site is already running."


def test_half_deployed_is_not_deployed() -> None:
    site = site_in(InfraState.RUNNING, "1.1.0").with_services(("workers",), Status.RUNNING, Health.HEALTHY, "1.0.0")
    assert plan_deploy(site, DeployRequest(V), Pending(())).steps


def test_the_gate_is_closed_from_the_closing_to_the_opening_step() -> None:
    plan = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), PENDING)
    assert [plan.steps[index].title for index in (plan.closed_span[0], plan.closed_span[-1])] == [
        "Close the gate",
        "Open the gate",
    ]
    assert all(step.touches_site for step in plan.steps[plan.closed_span[0] :])
