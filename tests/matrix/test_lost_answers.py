"""An answer is lost after the effect: each step of each kind of operation, with an error as of an engine timing out.

Someone writes all the time. Whatever was confirmed is there afterwards, or a rollback asks before it is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from graasp_local.planning.plan_upgrade import UpgradeRequest, plan_upgrade
from graasp_local.planning.server import DatabaseServer, Upgrade
from graasp_local.planning.states import InfraState
from graasp_local.version import Version
from tests.integration.database_data import remove_volumes
from tests.matrix import test_killed_deploying, test_killed_restoring, test_killed_rolling, test_killed_rolling_back
from tests.matrix.faulty import Point, What, When
from tests.matrix.matrix_site import Data, Ended, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves_with_a_migration_made
from tests.unit.sites import site_in

DEPLOYING = [step.name for step in test_killed_deploying.PLAN]
ROLLING_BACK = test_killed_rolling_back.STEPS
RESTORING = list(dict.fromkeys(step.name for step in test_killed_restoring.PLAN))
ROLLING = list(dict.fromkeys(step.name for step in test_killed_rolling.TOUCHING))

_TO_16 = Upgrade(DatabaseServer("postgres:15", "db-data"), 15, DatabaseServer("postgres:16", "db-data-16"), 16)
UPGRADING = [
    step.name
    for step in plan_upgrade(
        site_in(InfraState.RUNNING), UpgradeRequest(_TO_16, _TO_16.source, Version(1, 0, 0), InfraState.RUNNING)
    ).steps
]

OPENED = ("open-gate", "prove-open", "record", "record-upgrade")
"""From here on visitors are served by what was deployed."""


def points(names: list[str], *representative: str) -> list[ParameterSet]:
    return [pytest.param(n, marks=[pytest.mark.representative] * (n in representative)) for n in names]


def losing(step: str) -> Point:
    return Point(When.AFTER, step, What.LOSE_ANSWER)


def settled(site: MatrixSite, ended: Ended, record: Record, *, goes_on: bool) -> None:
    """What is left to do after the failure is done, by one command."""
    record.saw = f"exit code {ended.code}"
    if site.status()["unfinished"]:
        names_the_two_ways(site)
        verb = "resume" if goes_on else "rollback"
        site.run(verb)
        record.saw = f"{record.saw}, then {verb} (exit code 0)"


@pytest.mark.parametrize("step", points(DEPLOYING, "open-gate", "migrate"))
def test_deploying(site: MatrixSite, record: Record, step: str) -> None:
    record.did = f"deploy 1.1.0, the answer of {step} is lost"
    before = site.data()
    with site.visited() as visitor:
        ended = site.end(*test_killed_deploying.DEPLOY, fault=losing(step))
        opened = step in OPENED
        assert ended.code == (21 if opened else 3 if step in test_killed_deploying.OPEN_BEFORE else 20), ended.said
        if opened:
            site.run("rollback", code=10)  # it would discard what was written
        settled(site, ended, record, goes_on=opened)
    version = "1.1.0" if opened else "1.0.0"
    record.saw = f"{record.saw}: {serves_with_a_migration_made(site, version)}"
    record.data = nothing_is_lost(site, before, visitor)
    if opened:
        site.back_to_1_0_0()


@pytest.mark.parametrize("step", points(ROLLING_BACK, "swap-back"))
def test_rolling_back(site: MatrixSite, record: Record, step: str) -> None:
    record.did = f"rollback from a failed deployment, the answer of {step} is lost"
    before = site.data()
    with site.visited() as visitor:
        site.deploy(test_killed_rolling_back.FAILED, "--on-failure", "hold", code=21)
        ended = site.end("rollback", fault=losing(step))
        settled(site, ended, record, goes_on=False)
    record.saw = f"{record.saw}: {serves_with_a_migration_made(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.fixture(scope="module")
def backed_up(site: MatrixSite) -> Data:
    site.run("backup")
    return site.data()


@pytest.mark.parametrize("step", points(RESTORING))
def test_restoring(site: MatrixSite, backed_up: Data, record: Record, step: str) -> None:
    record.did = f"restore, the answer of {step} is lost"
    before = site.data()
    with site.visited() as visitor:
        ended = site.end(*test_killed_restoring.RESTORE, fault=losing(step))
        opened = step in test_killed_restoring.OPEN_AFTER
        settled(site, ended, record, goes_on=opened)
    record.saw = f"{record.saw}: {serves_with_a_migration_made(site, '1.0.0')}"
    record.data = (
        f"as in the backup: {nothing_is_lost(site, backed_up)}" if opened else nothing_is_lost(site, before, visitor)
    )


@pytest.mark.parametrize("step", points(ROLLING, "lead-to-services"))
def test_rolling(site: MatrixSite, record: Record, step: str) -> None:
    if site.status()["version"] != "1.1.0":
        site.deploy("1.1.0")
    record.did = f"deploy 1.2.0 --strategy rolling, the answer of {step} is lost"
    before = site.data()
    with site.visited() as visitor:
        ended = site.end(*test_killed_rolling.ROLLING, fault=losing(step))
        settled(site, ended, record, goes_on=True)
    version = str(site.status()["version"])
    record.saw = f"{record.saw}: {serves_with_a_migration_made(site, version)}"
    record.saw = f"{record.saw}, {test_killed_rolling.no_visitor_was_turned_away(visitor)}"
    record.data = nothing_is_lost(site, before, visitor)


def upgraded(site: MatrixSite, record: Record, step: str) -> None:
    record.did = f"upgrade-database --to 16, the answer of {step} is lost"
    before, opened = site.data(), step in OPENED
    with site.visited() as visitor:
        ended = site.end("upgrade-database", "--to", "16", "--yes", "--json", fault=losing(step))
        assert ended.code == (21 if opened else 3 if step in ("check-upgrade", "pull-server") else 20), ended.said
        if opened:
            site.run("rollback", code=10)  # it would leave behind what was written
        settled(site, ended, record, goes_on=opened)
    record.saw = f"{record.saw}: {serves_with_a_migration_made(site, '1.0.0')}"
    ((major,),) = site.sql("SELECT current_setting('server_version_num')::int / 10000")
    assert major == ("16" if opened else "15")
    record.saw = f"{record.saw}, Postgres {major}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("step", points([step for step in UPGRADING if step not in OPENED]))
def test_upgrading(site: MatrixSite, record: Record, step: str) -> None:
    if site.status()["version"] != "1.0.0":
        site.back_to_1_0_0()
    upgraded(site, record, step)


@pytest.fixture
def another_site(tmp_path: Path) -> Iterator[MatrixSite]:
    """For what ends on the newer server, which a rollback does not leave."""
    site = MatrixSite(tmp_path / "site")
    try:
        site.make_ready()
        yield site
    finally:
        site.down()
        remove_volumes(site)


@pytest.mark.parametrize("step", points([step for step in UPGRADING if step in OPENED]))
def test_upgrading_once_visitors_are_let_in(another_site: MatrixSite, record: Record, step: str) -> None:
    upgraded(another_site, record, step)
