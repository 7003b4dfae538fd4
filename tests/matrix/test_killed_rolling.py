"""SIGKILL of graasp-local while it replaces core and visitors are served: during and after each step, then one command.

The steps come out of the planner. A visitor asks all the time, and must not be turned away
once: neither by the kill nor by what fixes it.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.plan_rolling import plan_rolling
from graasp_local.planning.rolling_steps import RemoveHandover
from graasp_local.planning.states import InfraState
from graasp_local.version import Version
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, MatrixSite, Visitor
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves_with_a_migration_made
from tests.unit.sites import site_in

PLAN = plan_rolling(site_in(InfraState.RUNNING, "1.1.0"), DeployRequest(Version(1, 2, 0)), ("core",)).steps
TOUCHING = [step for step in PLAN if step.touches_site]
REMOVED = next(index for index, step in enumerate(TOUCHING) if isinstance(step, RemoveHandover))
ROLLING = ("deploy", "--version", "1.2.0", "--strategy", "rolling", "--json")

REPRESENTATIVE = "start-graasp"


def points(names: list[str]) -> list[ParameterSet]:
    """Names of steps occur twice; the first of those counts."""
    return [
        pytest.param(name, marks=[pytest.mark.representative] if name == REPRESENTATIVE else [])
        for name in dict.fromkeys(names)
    ]


@pytest.fixture(scope="module")
def halves(site: MatrixSite) -> dict[str, float]:
    """Half of what each step took in a deployment that nothing happened to, which carried out the steps of the plan."""
    site.deploy("1.1.0")
    steps = site.deploy("1.2.0", "--strategy", "rolling")["steps"]
    assert [step["name"] for step in steps] == [step.name for step in PLAN]
    return {step["name"]: step["seconds"] / 2 for step in reversed(steps)}


@pytest.fixture
def on_1_1_0(site: MatrixSite, halves: dict[str, float]) -> MatrixSite:
    if site.status()["version"] != "1.1.0":
        site.deploy("1.1.0")
    return site


def no_visitor_was_turned_away(visitor: Visitor) -> str:
    assert visitor.turned_away == []
    assert visitor.confirmed
    return "no one turned away"


@pytest.mark.parametrize("step", points([step.name for step in TOUCHING]))
def test_killed_during_a_step_it_is_resumed(
    on_1_1_0: MatrixSite, halves: dict[str, float], record: Record, step: str
) -> None:
    site, before = on_1_1_0, on_1_1_0.data()
    record.did = f"deploy 1.2.0 --strategy rolling, SIGKILL during {step}"
    with site.visited() as visitor:
        assert site.end(*ROLLING, fault=Point(When.DURING, step, seconds=halves[step])).code == KILLED
        names_the_two_ways(site)
        site.run("resume")
        record.saw = f"resume (exit code 0): {serves_with_a_migration_made(site, '1.2.0')}"
    record.saw = f"{record.saw}, {no_visitor_was_turned_away(visitor)}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("step", points([step.name for step in TOUCHING[:REMOVED]]))
def test_killed_after_a_step_it_is_rolled_back(on_1_1_0: MatrixSite, record: Record, step: str) -> None:
    site, before = on_1_1_0, on_1_1_0.data()
    record.did = f"deploy 1.2.0 --strategy rolling, SIGKILL after {step}"
    with site.visited() as visitor:
        assert site.end(*ROLLING, fault=Point(When.AFTER, step)).code == KILLED
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"rollback (exit code 0): {serves_with_a_migration_made(site, '1.1.0')}"
    record.saw = f"{record.saw}, {no_visitor_was_turned_away(visitor)}"
    record.data = nothing_is_lost(site, before, visitor)
