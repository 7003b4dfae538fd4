"""SIGKILL of graasp-local while one core stands in for several: during and after each step, then one command.

All of it happens before the gate closes. So a visitor who asks all the time must not be turned away, neither by the
kill nor by a rollback.
"""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from graasp_local.planning.stand_in import StandIn, standing_in
from graasp_local.version import Version
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves

DEPLOY = ("deploy", "--version", "1.1.0", "--json")
STEPS = [step for step in standing_in(StandIn(Version(1, 0, 0), ("core",), ("core",)), 10) if step.touches_site]
NAMES = [step.name for step in STEPS]
REPRESENTATIVE = {(When.AFTER, "stop-graasp")}


def points() -> list[ParameterSet]:
    return [
        pytest.param(when, name, marks=[pytest.mark.representative] if (when, name) in REPRESENTATIVE else [])
        for name in NAMES
        for when in (When.DURING, When.AFTER)
    ]


@pytest.fixture(scope="module")
def two_cores(site: MatrixSite) -> MatrixSite:
    site.configure(CORE_REPLICAS="2")
    site.run("apply", "running")
    return site


@pytest.fixture(scope="module")
def halves(two_cores: MatrixSite) -> dict[str, float]:
    """Half of what each step took in a deployment that nothing happened to; of two of a name, the first counts."""
    steps = two_cores.deploy("1.1.0")["steps"]
    names = [step["name"] for step in steps]
    first = names.index(NAMES[0])
    assert [name for name in names[first : names.index("close-gate")] if name in NAMES] == NAMES
    two_cores.back_to_1_0_0()
    return {step["name"]: step["seconds"] / 2 for step in reversed(steps)}


@pytest.mark.parametrize(("when", "step"), points())
def test_killed_before_the_gate_closes_it_is_rolled_back(
    two_cores: MatrixSite, record: Record, request: pytest.FixtureRequest, when: When, step: str
) -> None:
    seconds = request.getfixturevalue("halves")[step] if when is When.DURING else 0.0
    site, before = two_cores, two_cores.data()
    record.did = f"deploy 1.1.0 with two cores, SIGKILL {when} {step}"
    with site.visited() as visitor:
        assert site.end(*DEPLOY, fault=Point(when, step, seconds=seconds)).code == KILLED
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"rollback (exit code 0): {serves(site, '1.0.0')}, nobody turned away"
    assert visitor.turned_away == []
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("step", NAMES)
def test_killed_before_the_gate_closes_it_is_resumed(
    two_cores: MatrixSite, halves: dict[str, float], record: Record, step: str
) -> None:
    site, before = two_cores, two_cores.data()
    record.did = f"deploy 1.1.0 with two cores, SIGKILL during {step}"
    with site.visited() as visitor:
        assert site.end(*DEPLOY, fault=Point(When.DURING, step, seconds=halves[step])).code == KILLED
        names_the_two_ways(site)
        site.run("resume")
        record.saw = f"resume (exit code 0): {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()
