"""Upgrades of the database server, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.estimate import estimate_downtime
from graasp_local.planning.plan import render
from graasp_local.planning.plan_upgrade import UpgradeRequest, plan_upgrade, plan_upgrade_back
from graasp_local.planning.server import DatabaseServer, Upgrade
from graasp_local.planning.states import Health, InfraState, ObservedState, Status
from graasp_local.planning.timings import Run
from graasp_local.planning.upgrade_steps import DumpServer, ProveCopy, RestoreServer
from graasp_local.version import Version
from tests.unit.sites import new_site, site_in

OLD = DatabaseServer("postgres:15.8", "graasp_db-data")
NEW = DatabaseServer("postgres:17", "graasp_db-data-17")
REQUEST = UpgradeRequest(Upgrade(OLD, 15, NEW, 17), OLD, Version(1, 0, 0), InfraState.RUNNING, 650_000_000)


def titles(observed: ObservedState, request: UpgradeRequest = REQUEST) -> list[str]:
    return [step.title for step in plan_upgrade(observed, request).steps]


def titles_back(observed: ObservedState, request: UpgradeRequest = REQUEST) -> list[str]:
    return [step.title for step in plan_upgrade_back(observed, request).steps]


DEPLOYMENT_OF_AN_OPEN_SITE = """
 1          Check that Postgres 17 can replace Postgres 15
            because problems are found while visitors are still served
 2          Pull the image postgres:17
            because nothing is downloaded while the site is closed
 3          Start Postgres 17 next to the old one, on the new volume graasp_db-data-17
            because anything it lacks shows before the gate closes
 4  closed  Close the gate
            because nothing may be written while the databases are copied
 5  closed  Verify that the gate is closed
            because only a visitor's request proves that visitors are kept out
 6  closed  Seal the gate against the bypass
            because nothing may be written before Postgres 17 is verified, not even through the bypass
 7  closed  Wait for requests in flight to finish (limit 10 s)
            because core cuts off its requests when it stops
 8  closed  Stop redis, core and workers
            because its database is on this server
 9  closed  Stop umami
            because its database is on this server
10  closed  End everything still connected to the database
            because a killed migration may have left a statement that holds locks
11  closed  Dump all databases and roles with the tools of Postgres 17
            because one major version cannot read another's files
12  closed  Load all databases and roles into Postgres 17
            because Postgres fills the new volume itself; the old one is only read
13  closed  Verify that both servers hold the same data
            because only a verified copy may be selected
14  closed  Stop db
            because Postgres 17 takes over
15  closed  Stop Postgres 17 and keep its volume
            because two servers must never share a volume
16  closed  Select Postgres 17 on graasp_db-data-17 as the database server
            because the databases are there from now on
17  closed  Start db and wait until healthy
            because running needs the database group
18  closed  Start umami and wait until healthy
            because running needs the administration group
19  closed  Start redis and core and wait until healthy
            because running needs the graasp group
20  closed  Verify that core answers as 1.0.0
            because the gate opens only if core answers
21  closed  Start workers and wait until healthy
            because services that write on their own start only once core is verified
22  closed  Open the gate
            because running lets visitors in
23          Verify that the gate is open
            because only a visitor's request proves that visitors get in
24          Record the upgrade to Postgres 17
            because what is kept of the old server must be on record
"""


def test_the_operation_of_an_open_site() -> None:
    lines = render(plan_upgrade(site_in(InfraState.RUNNING), REQUEST)).splitlines()
    halves = [half.rstrip() for line in lines for half in line.split("  because ")]
    shown = [half if number % 2 == 0 else f"            because {half}" for number, half in enumerate(halves)]
    assert shown == DEPLOYMENT_OF_AN_OPEN_SITE.strip("\n").splitlines()


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY])
def test_a_site_ends_where_it_was(state: InfraState) -> None:
    steps = titles(site_in(state), replace(REQUEST, end=state))
    assert "Close the gate" not in steps
    assert "Open the gate" not in steps
    assert ("Verify that core answers as 1.0.0" in steps) == (state is InfraState.RESTRICTED)


@pytest.mark.parametrize("page", [True, False])
def test_a_stopped_site_starts_its_old_server_to_read_it_and_is_stopped_again(*, page: bool) -> None:
    steps = titles(site_in(InfraState.STOPPED, page_when_stopped=page), replace(REQUEST, end=InfraState.STOPPED))
    if not page:
        assert steps[2:6] == [
            "Check the configuration of nginx",
            "Close the gate and seal it against the bypass",
            "Start nginx and wait until healthy",
            "Verify that the gate is sealed",
        ]
        assert steps[-2] == "Stop nginx"
        del steps[2:6], steps[-2]
    assert steps[2:4] == [
        "Start db and wait until healthy",
        "Start Postgres 17 next to the old one, on the new volume graasp_db-data-17",
    ]
    assert steps[-2:] == [
        "Select Postgres 17 on graasp_db-data-17 as the database server",
        "Record the upgrade to Postgres 17",
    ]


def test_a_new_image_in_env_does_not_start_on_old_files() -> None:
    changed = replace(REQUEST, selected=DatabaseServer(NEW.image, OLD.volume))
    steps = titles(new_site(), replace(changed, end=InfraState.STOPPED))
    selecting = steps.index("Select Postgres 15 on graasp_db-data as the database server")
    assert steps[selecting + 1] == "Start db and wait until healthy"


def test_a_database_that_does_not_answer_is_recreated_once_everything_is_off() -> None:
    stuck = site_in(InfraState.RUNNING).with_services(("db",), Status.RUNNING, Health.UNHEALTHY)
    steps = titles(stuck)
    assert steps.index("Stop umami") < steps.index("Stop db") < steps.index("Start db and wait until healthy")


def test_once_the_new_server_is_selected_only_the_rest_is_left() -> None:
    switched = replace(REQUEST, selected=NEW)
    off = site_in(InfraState.DB_ONLY).with_services(("db", "umami"), Status.EXITED, Health.NONE)
    assert titles(off, switched)[:2] == ["Start db and wait until healthy", "Start umami and wait until healthy"]


def test_a_rollback_from_a_copy_leaves_the_old_server_alone() -> None:
    copying = site_in(InfraState.DB_ONLY).with_services(("umami",), Status.EXITED, Health.NONE)
    assert titles_back(copying) == [
        "Remove Postgres 17 and its volume graasp_db-data-17",
        "Start umami and wait until healthy",
        "Start redis and core and wait until healthy",
        "Verify that core answers as 1.0.0",
        "Start workers and wait until healthy",
        "Open the gate",
        "Verify that the gate is open",
    ]


def test_a_rollback_before_anything_was_closed_closes_nothing() -> None:
    assert titles_back(site_in(InfraState.RUNNING)) == ["Remove Postgres 17 and its volume graasp_db-data-17"]


def test_a_rollback_from_the_new_server_is_a_switch() -> None:
    assert titles_back(site_in(InfraState.RESTRICTED), replace(REQUEST, selected=NEW))[:5] == [
        "Stop redis, core and workers",
        "Stop umami",
        "Stop db",
        "Select Postgres 15 on graasp_db-data as the database server",
        "Remove Postgres 17 and its volume graasp_db-data-17",
    ]


def test_the_estimate_grows_with_the_databases() -> None:
    plan = plan_upgrade(site_in(InfraState.RUNNING), REQUEST)
    nothing = plan_upgrade(site_in(InfraState.RUNNING), replace(REQUEST, size_bytes=0))
    seen = {"restore-server": [Run(1.0)]}
    estimate, least = estimate_downtime(plan, seen), estimate_downtime(nothing, seen)
    assert estimate is not None
    assert least is not None
    copying = sum(650_000_000 / step.bytes_per_second for step in (DumpServer, RestoreServer, ProveCopy))
    assert estimate.seconds == pytest.approx(least.seconds + copying)
    assert least.seconds > next(s.typical_seconds for s in plan.steps if s.name == "start-graasp")
