"""Upgrades of the database server, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.estimate import BYTES_PER_SECOND, REFERENCE_SECONDS, estimate_downtime
from graasp_local.planning.plan import render
from graasp_local.planning.plan_upgrade import UpgradeRequest, plan_upgrade, plan_upgrade_back
from graasp_local.planning.server import DatabaseServer, Upgrade
from graasp_local.planning.states import Health, InfraState, ObservedState, Status
from graasp_local.planning.timings import Run
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
 1          check that Postgres 17 can take over from 15 here
            because whatever can be found wrong is found while visitors are served
 2          have the image postgres:17 on this machine
            because nothing is downloaded while the site is closed
 3          start Postgres 17 beside it, on the new volume graasp_db-data-17
            because what it lacks shows before anything is closed
 4  closed  close the gate
            because nobody may write while the databases are copied
 5  closed  prove that the gate is closed
            because whether visitors are kept out is proven by asking as one
 6  closed  seal the gate, for the bypass too
            because nobody may write before Postgres 17 is verified, with the bypass neither
 7  closed  let requests in flight finish (at most 10 s)
            because core cuts its requests when it stops
 8  closed  stop redis, core and workers
            because its database is on this server
 9  closed  stop umami
            because its database is on this server
10  closed  end what is still connected to the database
            because a statement left over from a migration that was killed may hold locks
11  closed  dump all databases and roles with the tools of Postgres 17
            because the files of one major cannot be read by another
12  closed  restore them into Postgres 17
            because Postgres fills the new volume itself; the old one is only read
13  closed  prove that both servers hold the same
            because what is not proven to be the same is not selected
14  closed  stop db
            because Postgres 17 takes over
15  closed  stop Postgres 17 and keep its volume
            because two servers must never have one volume
16  closed  select Postgres 17 on graasp_db-data-17 for everything started from here on
            because from here on the databases are there
17  closed  start db and wait until healthy
            because running needs database
18  closed  start umami and wait until healthy
            because running needs administration
19  closed  start redis and core and wait until healthy
            because running needs graasp
20  closed  ask core whether it is 1.0.0
            because the gate opens only onto a core that answers
21  closed  start workers and wait until healthy
            because what writes by itself waits until core is verified
22  closed  open the gate
            because running lets visitors in
23          prove that the gate is open
            because whether visitors get in is proven by asking as one
24          record the upgrade to Postgres 17
            because what is kept of the old server must not be forgotten
"""


def test_the_operation_of_an_open_site() -> None:
    lines = render(plan_upgrade(site_in(InfraState.RUNNING), REQUEST)).splitlines()
    halves = [half.rstrip() for line in lines for half in line.split("  because ")]
    shown = [half if number % 2 == 0 else f"            because {half}" for number, half in enumerate(halves)]
    assert shown == DEPLOYMENT_OF_AN_OPEN_SITE.strip("\n").splitlines()


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY])
def test_a_site_ends_where_it_was(state: InfraState) -> None:
    steps = titles(site_in(state), replace(REQUEST, end=state))
    assert "close the gate" not in steps
    assert "open the gate" not in steps
    assert ("ask core whether it is 1.0.0" in steps) == (state is InfraState.RESTRICTED)


@pytest.mark.parametrize("page", [True, False])
def test_a_stopped_site_starts_its_old_server_to_read_it_and_is_stopped_again(*, page: bool) -> None:
    steps = titles(site_in(InfraState.STOPPED, page_when_stopped=page), replace(REQUEST, end=InfraState.STOPPED))
    if not page:
        assert steps[2:6] == [
            "check the configuration of nginx",
            "close the gate, for the bypass too",
            "start nginx and wait until healthy",
            "prove that the gate is sealed",
        ]
        assert steps[-2] == "stop nginx"
        del steps[2:6], steps[-2]
    assert steps[2:4] == [
        "start db and wait until healthy",
        "start Postgres 17 beside it, on the new volume graasp_db-data-17",
    ]
    assert steps[-2:] == [
        "select Postgres 17 on graasp_db-data-17 for everything started from here on",
        "record the upgrade to Postgres 17",
    ]


def test_a_new_image_in_env_does_not_start_on_old_files() -> None:
    changed = replace(REQUEST, selected=DatabaseServer(NEW.image, OLD.volume))
    steps = titles(new_site(), replace(changed, end=InfraState.STOPPED))
    selecting = steps.index("select Postgres 15 on graasp_db-data for everything started from here on")
    assert steps[selecting + 1] == "start db and wait until healthy"


def test_a_database_that_does_not_answer_is_started_anew_once_everything_is_off() -> None:
    stuck = site_in(InfraState.RUNNING).with_services(("db",), Status.RUNNING, Health.UNHEALTHY)
    steps = titles(stuck)
    assert steps.index("stop umami") < steps.index("stop db") < steps.index("start db and wait until healthy")


def test_once_the_new_server_is_selected_only_the_rest_is_left() -> None:
    switched = replace(REQUEST, selected=NEW)
    off = site_in(InfraState.DB_ONLY).with_services(("db", "umami"), Status.EXITED, Health.NONE)
    assert titles(off, switched)[:2] == ["start db and wait until healthy", "start umami and wait until healthy"]


def test_the_way_back_from_a_copy_leaves_the_old_server_alone() -> None:
    copying = site_in(InfraState.DB_ONLY).with_services(("umami",), Status.EXITED, Health.NONE)
    assert titles_back(copying) == [
        "remove Postgres 17 and its volume graasp_db-data-17",
        "start umami and wait until healthy",
        "start redis and core and wait until healthy",
        "ask core whether it is 1.0.0",
        "start workers and wait until healthy",
        "open the gate",
        "prove that the gate is open",
    ]


def test_the_way_back_before_anything_was_closed_closes_nothing() -> None:
    assert titles_back(site_in(InfraState.RUNNING)) == ["remove Postgres 17 and its volume graasp_db-data-17"]


def test_the_way_back_from_the_new_server_is_a_switch() -> None:
    assert titles_back(site_in(InfraState.RESTRICTED), replace(REQUEST, selected=NEW))[:5] == [
        "stop redis, core and workers",
        "stop umami",
        "stop db",
        "select Postgres 15 on graasp_db-data for everything started from here on",
        "remove Postgres 17 and its volume graasp_db-data-17",
    ]


def test_the_estimate_grows_with_the_databases() -> None:
    plan = plan_upgrade(site_in(InfraState.RUNNING), REQUEST)
    nothing = plan_upgrade(site_in(InfraState.RUNNING), replace(REQUEST, size_bytes=0))
    seen = {"restore-server": [Run(1.0)]}
    estimate, least = estimate_downtime(plan, seen), estimate_downtime(nothing, seen)
    assert estimate is not None
    assert least is not None
    copying = sum(650_000_000 / BYTES_PER_SECOND[name] for name in ("dump-server", "restore-server", "prove-copy"))
    assert estimate.seconds == pytest.approx(least.seconds + copying)
    assert least.seconds > REFERENCE_SECONDS["start-graasp"]
