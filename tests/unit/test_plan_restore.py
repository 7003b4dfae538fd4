"""Restores, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_restore import RestoreRequest, plan_restore
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import Direction
from graasp_local.planning.states import InfraState, ObservedState
from graasp_local.version import Version
from tests.unit.sites import new_site, site_in

V = Version(1, 0, 0)
EVERYTHING = Restore("0003-x", "0007", ("graasp", "umami"), ("files",))
DATABASE_ALONE = Restore("0003-x", "0007", ("graasp",), ())


def restored(observed: ObservedState, restore: Restore = EVERYTHING, end: InfraState = InfraState.RUNNING) -> Plan:
    return plan_restore(observed, RestoreRequest(restore, V, end))


def lines(plan: Plan) -> list[str]:
    """A line a step, with a mark where the gate is closed."""
    return [f"{'*' if i in plan.closed_span else ' '} {step.title}" for i, step in enumerate(plan.steps)]


FROM_RUNNING = """\
  Check the backup 0003-x
  Check that 1.0.0 can be deployed here
  Restore the images that 1.0.0 was deployed with
  Load graasp into a new database and verify it
  Load umami into a new database and verify it
  Unpack files next to the current files
* Close the gate
* Verify that the gate is closed
* Seal the gate against the bypass
* Wait for requests in flight to finish (limit 10 s)
* Stop redis, core and workers
* Stop umami
* Put graasp, umami and files from the backup in place
* Verify that the database has the migrations of 1.0.0
* Select 1.0.0 for every service started from now on
* Start umami and wait until healthy
* Start redis and core and wait until healthy
* Verify that core answers as 1.0.0
* Start workers and wait until healthy
* Open the gate
  Verify that the gate is open
  Record 1.0.0 as deployed"""

ONTO_A_NEW_SITE = """\
  Check the backup 0003-x
  Check that 1.0.0 can be deployed here
  Restore the images that 1.0.0 was deployed with
  Check the configuration of nginx
* Close the gate
* Start nginx and wait until healthy
* Verify that the gate is closed
* Seal the gate against the bypass
* Start db and wait until healthy
* Load graasp into a new database and verify it
* Load umami into a new database and verify it
* Unpack files next to the current files
* Put graasp, umami and files from the backup in place
* Verify that the database has the migrations of 1.0.0
* Select 1.0.0 for every service started from now on
* Start umami and wait until healthy
* Start redis and core and wait until healthy
* Verify that core answers as 1.0.0
* Start workers and wait until healthy
* Open the gate
  Verify that the gate is open
  Record 1.0.0 as deployed"""


def test_on_a_running_site_all_that_takes_long_is_done_while_visitors_are_served() -> None:
    assert lines(restored(site_in(InfraState.RUNNING))) == FROM_RUNNING.splitlines()


def test_a_new_site_gets_its_database_first() -> None:
    assert lines(restored(new_site())) == ONTO_A_NEW_SITE.splitlines()


def test_umami_is_left_alone_where_its_database_is() -> None:
    steps = lines(restored(site_in(InfraState.RUNNING), DATABASE_ALONE))
    assert not [step for step in steps if "umami" in step]


def test_held_it_ends_behind_the_gate() -> None:
    plan = restored(site_in(InfraState.RUNNING), end=InfraState.RESTRICTED)
    assert plan.target is InfraState.RESTRICTED
    assert "* Open the gate" not in lines(plan)


def test_a_migration_that_runs_is_ended_before_its_database_is_replaced() -> None:
    steps = lines(restored(replace(site_in(InfraState.DB_ONLY), migrations=("site-migrate-run-1",))))
    ended = steps.index("  End everything still connected to the database")
    assert ended < steps.index("  Load graasp into a new database and verify it")


def undone(observed: ObservedState, end: InfraState, *, is_in_place: bool = True) -> Plan:
    return plan_rollback(observed, RollbackRequest(V, end, restore=EVERYTHING, is_in_place=is_in_place))


def test_a_rollback_restores_what_was_there() -> None:
    plan = undone(site_in(InfraState.DB_ONLY), InfraState.RUNNING)
    assert [line[2:] for line in lines(plan)] == [
        "Restore the images that 1.0.0 was deployed with",
        "Stop umami",
        "Put back graasp, umami and files from before the restore",
        "Verify that the database has the migrations of 1.0.0",
        "Select 1.0.0 for every service started from now on",
        "Start umami and wait until healthy",
        "Start redis and core and wait until healthy",
        "Verify that core answers as 1.0.0",
        "Start workers and wait until healthy",
        "Open the gate",
        "Verify that the gate is open",
    ]
    assert plan.restore is not None
    assert plan.restore.way is Direction.BACK


def test_a_rollback_of_a_restore_that_had_not_begun_restores_nothing() -> None:
    steps = lines(undone(site_in(InfraState.DB_ONLY), InfraState.RUNNING, is_in_place=False))
    assert not [step for step in steps if "before the restore" in step]


@pytest.mark.parametrize("end", InfraState)
def test_a_rollback_ends_in_the_original_state(end: InfraState) -> None:
    assert undone(site_in(InfraState.DB_ONLY), end).target is end
