"""SIGKILL of graasp-local while it rolls back: before, during and after each step of the plan, then rollback again."""

from __future__ import annotations

import pytest

from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.states import InfraState
from graasp_local.version import Version
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves
from tests.unit.sites import site_in

FAILED = "1.3.0-wrong-version"
"""Its migration succeeds and its core does not verify: the rollback is the longest that there is."""

STEPS = [
    step.name
    for step in plan_rollback(
        site_in(InfraState.RESTRICTED),
        RollbackRequest(Version(1, 0, 0), InfraState.RUNNING, snapshot="graasp_snapshot_x"),
    ).steps
]


@pytest.fixture(scope="module")
def halves(site: MatrixSite) -> dict[str, float]:
    """Half of what each step took in a rollback that nothing happened to, which carried out the steps of the plan."""
    site.end("deploy", "--version", FAILED, "--on-failure", "hold")
    ended = site.end("rollback", "--json")
    steps = ended.last["steps"]
    assert [step["name"] for step in steps] == STEPS
    return {step["name"]: step["seconds"] / 2 for step in steps}


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_rollback_is_done_by_the_next_one(
    site: MatrixSite, halves: dict[str, float], record: Record, when: When, step: str
) -> None:
    record.did = f"rollback from a failed deployment, SIGKILL {when} {step}"
    before = site.data()
    with site.visited() as visitor:
        site.deploy(FAILED, "--on-failure", "hold", code=21)
        assert site.end("rollback", fault=Point(when, step, seconds=halves[step])).code == KILLED
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)
