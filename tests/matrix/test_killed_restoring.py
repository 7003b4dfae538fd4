"""SIGKILL of graasp-local while it restores a backup: before, during and after each step, then one command.

Until the gate opens `rollback` restores what was there before the restore, every row of it. Once it opens, `resume`
finishes it, and the data is the backup's.
"""

from __future__ import annotations

import pytest

from graasp_local.planning.plan_restore import RestoreRequest, plan_restore
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.states import InfraState
from graasp_local.planning.steps import CloseGate, OpenGate
from graasp_local.version import Version
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, Data, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves
from tests.unit.sites import site_in

EVERYTHING = Restore("latest", "0001", ("graasp", "umami"), ("files",))
PLAN = plan_restore(site_in(InfraState.RUNNING), RestoreRequest(EVERYTHING, Version(1, 0, 0))).steps
CLOSING = next(index for index, step in enumerate(PLAN) if isinstance(step, CloseGate))
OPENING = next(index for index, step in enumerate(PLAN) if isinstance(step, OpenGate))
RESTORE = ("restore", "latest", "--discard", "current-data", "--json")

OPEN_BEFORE, CLOSED, OPEN_AFTER = (
    list(dict.fromkeys(step.name for step in part)) for part in (PLAN[:CLOSING], PLAN[CLOSING:OPENING], PLAN[OPENING:])
)


@pytest.fixture(scope="module")
def backed_up(site: MatrixSite) -> Data:
    site.run("backup")
    return site.data()


@pytest.fixture(scope="module")
def halves(site: MatrixSite, backed_up: Data) -> dict[str, float]:
    """Half of what each step took in a restore that nothing happened to, which carried out the steps of the plan."""
    steps = site.end(*RESTORE).last["steps"]
    assert [step["name"] for step in steps] == [step.name for step in PLAN]
    return {step["name"]: step["seconds"] / 2 for step in steps}


def killed(site: MatrixSite, record: Record, when: When, step: str, seconds: float) -> None:
    record.did = f"restore, SIGKILL {when} {step}"
    assert site.end(*RESTORE, fault=Point(when, step, seconds=seconds)).code == KILLED


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("step", OPEN_BEFORE)
def test_killed_while_open_the_site_serves_as_before(
    site: MatrixSite, halves: dict[str, float], record: Record, when: When, step: str
) -> None:
    before = site.data()
    with site.visited() as visitor:
        killed(site, record, when, step, halves[step])
        if site.status()["unfinished"]:
            names_the_two_ways(site)
            site.run("rollback")
        record.saw = f"as before: {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("step", CLOSED)
def test_killed_while_closed_it_is_rolled_back(
    site: MatrixSite, halves: dict[str, float], record: Record, when: When, step: str
) -> None:
    before = site.data()
    with site.visited() as visitor:
        killed(site, record, when, step, halves[step])
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("step", OPEN_AFTER)
def test_killed_once_it_opens_it_is_finished(
    site: MatrixSite, halves: dict[str, float], record: Record, backed_up: Data, when: When, step: str
) -> None:
    killed(site, record, when, step, halves[step])
    site.run("resume")
    record.saw = f"resume (exit code 0): {serves(site, '1.0.0')}"
    record.data = f"as in the backup: {nothing_is_lost(site, backed_up)}"
