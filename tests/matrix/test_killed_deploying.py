"""SIGKILL of graasp-local while it deploys: before, during and after each step of the plan, then one command.

The steps come out of the planner, so a new kind of step is killed too. Only the process itself is killed: a docker
command that it had started goes on without it, as after a real `kill -9`.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.states import InfraState
from graasp_local.planning.steps import CloseGate, OpenGate
from graasp_local.version import Version
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, Data, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves, serves_with_a_migration_made
from tests.unit.sites import site_in

PLAN = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_item_lang",))).steps
CLOSING = next(index for index, step in enumerate(PLAN) if isinstance(step, CloseGate))
OPENING = next(index for index, step in enumerate(PLAN) if isinstance(step, OpenGate))
DEPLOY = ("deploy", "--version", "1.1.0", "--json")

OPEN_BEFORE, CLOSED, OPEN_AFTER = (
    [step.name for step in part] for part in (PLAN[:CLOSING], PLAN[CLOSING:OPENING], PLAN[OPENING:])
)


REPRESENTATIVE = {(When.DURING, "migrate"), (When.DURING, "start-graasp"), (When.AFTER, "open-gate")}


def points(names: list[str]) -> list[ParameterSet]:
    return [
        pytest.param(when, name, marks=[pytest.mark.representative] if (when, name) in REPRESENTATIVE else [])
        for name in names
        for when in When
    ]


@pytest.fixture(scope="module")
def halves(site: MatrixSite) -> dict[str, float]:
    """Half of what each step took in a deployment that nothing happened to, which carried out the steps of the plan."""
    steps = site.deploy("1.1.0")["steps"]
    assert [step["name"] for step in steps] == [step.name for step in PLAN]
    assert not any(step.touches_site for step in PLAN[:CLOSING])
    site.back_to_1_0_0()
    return {step["name"]: step["seconds"] / 2 for step in steps}


def killed(site: MatrixSite, record: Record, when: When, step: str, seconds: float) -> None:
    record.did = f"deploy 1.1.0, SIGKILL {when} {step}"
    assert site.end(*DEPLOY, fault=Point(when, step, seconds=seconds)).code == KILLED


def restores_the_state_before(site: MatrixSite, before: Data, record: Record) -> None:
    """One rollback, after the kill and the resume; what was written in between is agreed to be discarded."""
    site.run("rollback", code=10)
    site.run("rollback", "--discard", "written-since")
    record.saw = f"{record.saw}; rollback --discard written-since: {serves(site, '1.0.0')}"
    # What was written before the gate closed is there as well.
    assert site.data().restricted_to(before).rows == before.rows, "not the data from before"


@pytest.mark.parametrize(("when", "step"), points(OPEN_BEFORE))
def test_killed_while_open_nothing_was_touched(
    site: MatrixSite, halves: dict[str, float], record: Record, when: When, step: str
) -> None:
    before = site.data()
    with site.visited() as visitor:
        killed(site, record, when, step, halves[step])
        record.saw = f"as before: {serves_with_a_migration_made(site, '1.0.0')}"
        site.run("resume", code=10)
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize(("when", "step"), points(CLOSED))
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


@pytest.mark.parametrize("step", CLOSED)
def test_killed_while_closed_it_is_resumed(
    site: MatrixSite, halves: dict[str, float], record: Record, step: str
) -> None:
    before = site.data()
    with site.visited() as visitor:
        killed(site, record, When.DURING, step, halves[step])
        names_the_two_ways(site)
        site.run("resume")
        record.saw = f"resume (exit code 0): {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    restores_the_state_before(site, before, record)


@pytest.mark.parametrize(("when", "step"), points(OPEN_AFTER))
def test_killed_once_it_opens_it_is_finished(
    site: MatrixSite, halves: dict[str, float], record: Record, when: When, step: str
) -> None:
    before = site.data()
    with site.visited() as visitor:
        killed(site, record, when, step, halves[step])
        site.run("resume")
        record.saw = f"resume (exit code 0): {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    restores_the_state_before(site, before, record)
