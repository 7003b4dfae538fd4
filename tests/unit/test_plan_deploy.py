"""Deployments, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.migrations import NotKnownYet, Pending
from graasp_local.planning.plan import render
from graasp_local.planning.plan_deploy import Backup, DeployRequest, plan_deploy, plan_rollback
from graasp_local.planning.states import Health, InfraState, ObservedState, Status
from graasp_local.planning.steps import READ_ONLY
from graasp_local.version import Version
from tests.unit.sites import new_site, site_in

V = Version(1, 1, 0)
PENDING = Pending(("0002_item_lang",))


def titles(observed: ObservedState, forecast: Pending | NotKnownYet = PENDING, **request: object) -> list[str]:
    return [step.title for step in plan_deploy(observed, DeployRequest(V, **request), forecast).steps]  # type: ignore[arg-type]


def test_the_operation_of_an_open_site() -> None:
    assert render(plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), PENDING)).splitlines() == [
        f"{number:>2}  {closed:<6}  {what:<53}  because {cause}"
        for number, closed, what, cause in [
            (
                1,
                "",
                "check that 1.1.0 can be deployed here",
                "whatever can be found wrong is found while visitors are served",
            ),
            (2, "", "have the images of 1.1.0 on this machine", "nothing is downloaded while the site is closed"),
            (3, "", "read which migrations 1.1.0 needs", "a migration that cannot work is refused before it starts"),
            (
                4,
                "",
                "have a backup of the database, not older than an hour",
                "a snapshot lies on the same disk as the database",
            ),
            (
                5,
                "",
                "make the container that runs the migrations of 1.1.0",
                "what can be made before is not made while the site is closed",
            ),
            (6, "closed", "close the gate", "visitors must not write while the database changes"),
            (
                7,
                "closed",
                "prove that the gate is closed",
                "whether visitors are kept out is proven by asking as one",
            ),
            (
                8,
                "closed",
                "seal the gate, for the bypass too",
                "nobody may write before 1.1.0 is verified, with the bypass neither",
            ),
            (
                9,
                "closed",
                "let requests in flight finish (at most 10 s)",
                "core cuts its requests when it stops",
            ),
            (10, "closed", "stop redis, core and workers", "db-only does not need graasp"),
            (
                11,
                "closed",
                "end what is still connected to the database",
                "a statement left over from a migration that was killed may hold locks",
            ),
            (
                12,
                "closed",
                "take a snapshot of the database",
                "a migration that goes wrong is taken back in a second",
            ),
            (
                13,
                "closed",
                "run the migrations of 1.1.0 (at most 1800 s)",
                "pending: 0002_item_lang; meanwhile the containers of redis, core and workers are made",
            ),
            (
                14,
                "closed",
                "prove that the database is migrated to 1.1.0",
                "neither the exit code nor the output of a migration is proof",
            ),
            (
                15,
                "closed",
                "select 1.1.0 for everything started from here on",
                "from here on the database belongs to this version",
            ),
            (16, "closed", "start redis and core and wait until healthy", "1.1.0 takes over"),
            (
                17,
                "closed",
                "ask core whether it is 1.1.0",
                "visitors must not be the first to meet it",
            ),
            (
                18,
                "closed",
                "start workers and wait until healthy",
                "what writes by itself waits until core is verified",
            ),
            (19, "closed", "open the gate", "the new version is verified"),
            (20, "", "prove that the gate is open", "whether visitors get in is proven by asking as one"),
            (21, "", "record 1.1.0 as deployed", "the next deployment starts from here"),
        ]
    ]


def test_nothing_pending_leaves_the_migration_out_and_keeps_its_proof() -> None:
    steps = titles(site_in(InfraState.RUNNING), Pending(()))
    assert "run the migrations of 1.1.0 (at most 1800 s)" not in steps
    assert "prove that the database is migrated to 1.1.0" in steps


def test_a_migration_that_outlived_its_operation_is_waited_for_before_anything_is_read() -> None:
    site = replace(site_in(InfraState.DB_ONLY), migrations=("site-migrate-run-1",))
    steps = titles(site, NotKnownYet())
    waiting = steps.index("wait for the migration that is running (at most 1800 s)")
    assert steps[waiting + 1] == "read which migrations 1.1.0 needs"


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
have the images on this machine that 1.0.0 was deployed with
end what is still connected to the database
put the snapshot graasp_snapshot_x back in the database's place
prove that the database is migrated to 1.0.0
select 1.0.0 for everything started from here on
start redis and core and wait until healthy
ask core whether it is 1.0.0
start workers and wait until healthy
open the gate
prove that the gate is open
"""


def test_the_way_back_after_a_migration_began() -> None:
    plan = plan_rollback(site_in(InfraState.DB_ONLY), Version(1, 0, 0), "graasp_snapshot_x", InfraState.RUNNING)
    assert [step.title for step in plan.steps] == ROLLBACK_FROM_DB_ONLY.strip().splitlines()


def test_the_way_back_before_a_migration_began_leaves_the_database_alone() -> None:
    plan = plan_rollback(site_in(InfraState.DB_ONLY), Version(1, 0, 0), None, InfraState.RUNNING)
    assert not any("snapshot" in step.title for step in plan.steps)


def test_the_way_back_stops_the_new_code_behind_a_closed_gate() -> None:
    plan = plan_rollback(site_in(InfraState.RUNNING), Version(1, 0, 0), "graasp_snapshot_x", InfraState.RUNNING)
    assert [step.title for step in plan.steps][:5] == [
        "have the images on this machine that 1.0.0 was deployed with",
        "close the gate",
        "prove that the gate is closed",
        "let requests in flight finish (at most 10 s)",
        "stop redis, core and workers",
    ]


def test_a_new_site_reads_its_migrations_once_the_database_is_up() -> None:
    steps = titles(new_site(), NotKnownYet())
    assert steps[2:10] == [
        "check the configuration of nginx",
        "close the gate",
        "start nginx and wait until healthy",
        "prove that the gate is closed",
        "seal the gate, for the bypass too",
        "start db and wait until healthy",
        "start umami and wait until healthy",
        "read which migrations 1.1.0 needs",
    ]


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_a_closed_site_is_not_closed_again_and_who_has_the_bypass_is_waited_for(state: InfraState) -> None:
    steps = titles(site_in(state, page_when_stopped=True))
    assert "close the gate" not in steps
    core_is_on = state is InfraState.RESTRICTED
    assert ("let requests in flight finish (at most 10 s)" in steps) is core_is_on
    assert steps[-3:] == ["open the gate", "prove that the gate is open", "record 1.1.0 as deployed"]


def test_hold_stops_behind_the_gate() -> None:
    steps = titles(site_in(InfraState.RUNNING), end=InfraState.RESTRICTED)
    assert steps[-5:] == [
        "ask core whether it is 1.1.0",
        "start workers and wait until healthy",
        "let the bypass through the closed gate again",
        "prove that the gate is closed",
        "record 1.1.0 as deployed",
    ]


def test_umami_is_not_touched_while_it_is_on() -> None:
    assert not any("umami" in step for step in titles(site_in(InfraState.RUNNING)))


def test_a_version_that_is_deployed_needs_no_step() -> None:
    plan = plan_deploy(site_in(InfraState.RUNNING, "1.1.0"), DeployRequest(V), Pending(()))
    assert plan.steps == ()
    assert render(plan) == "Nothing to do: 1.1.0 is deployed and the site is running."


def test_half_deployed_is_not_deployed() -> None:
    site = site_in(InfraState.RUNNING, "1.1.0").with_services(("workers",), Status.RUNNING, Health.HEALTHY, "1.0.0")
    assert plan_deploy(site, DeployRequest(V), Pending(())).steps


def test_the_gate_is_closed_from_the_closing_to_the_opening_step() -> None:
    plan = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(V), PENDING)
    assert [plan.steps[index].title for index in (plan.closed_span[0], plan.closed_span[-1])] == [
        "close the gate",
        "open the gate",
    ]
    assert not any(isinstance(step, READ_ONLY) for step in plan.steps[plan.closed_span[0] :])
