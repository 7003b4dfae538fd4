"""SIGKILL while the version that runs is deployed again, to other images: before, during and after each step.

Its other images of core and workers are another build of the same; nothing is migrated, so that data has to be as it
was whichever way is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.states import InfraState
from graasp_local.planning.steps import CloseGate, OpenGate
from graasp_local.version import Version
from tests.integration.own_tags import SERVICES, OwnTags, image
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import KILLED, MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves
from tests.unit.sites import site_in

VERSION = "1.0.0"
REQUEST = DeployRequest(Version(1, 0, 0), other_images=("core",))
PLAN = plan_deploy(site_in(InfraState.RUNNING), REQUEST, Pending(())).steps
CLOSING = next(index for index, step in enumerate(PLAN) if isinstance(step, CloseGate))
OPENING = next(index for index, step in enumerate(PLAN) if isinstance(step, OpenGate))
CLOSED = [step.name for step in PLAN[CLOSING:OPENING]]


def points() -> list[ParameterSet]:
    representative = {(When.DURING, "start-graasp")}
    return [
        pytest.param(when, name, marks=[pytest.mark.representative] if (when, name) in representative else [])
        for name in CLOSED
        for when in When
    ]


@pytest.fixture(scope="module")
def tags(site: MatrixSite) -> Iterator[OwnTags]:
    tags = OwnTags(site, VERSION)
    yield tags
    tags.forget()


@pytest.fixture
def moved(tags: OwnTags) -> OwnTags:
    """Running what its tags led to at first; they lead to another build of core and workers since."""
    for service in SERVICES:
        tags.point(service, VERSION, image(service, VERSION))
    tags.site.deploy(VERSION)
    for service in ("core", "workers"):
        tags.point_to_other_build(service, VERSION)
    return tags


@pytest.mark.parametrize(("when", "step"), points())
def test_it_is_rolled_back_to_the_images_from_before(
    site: MatrixSite, moved: OwnTags, record: Record, when: When, step: str
) -> None:
    before, core = site.data(), moved.core()
    with site.visited() as visitor:
        killed(site, record, when, step)
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"rollback (exit code 0): {serves(site, VERSION)}, with the images from before"
    assert moved.core() == core
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("step", CLOSED)
def test_it_is_resumed_to_the_other_images(site: MatrixSite, moved: OwnTags, record: Record, step: str) -> None:
    before, core = site.data(), moved.core()
    with site.visited() as visitor:
        killed(site, record, When.DURING, step)
        names_the_two_ways(site)
        site.run("resume")
        record.saw = f"resume (exit code 0): {serves(site, VERSION)}, with the other images"
    assert moved.core() != core
    record.data = nothing_is_lost(site, before, visitor)


def killed(site: MatrixSite, record: Record, when: When, step: str) -> None:
    record.did = f"deploy {VERSION} again, to other images, SIGKILL {when} {step}"
    fault = Point(when, step, seconds=0.05)
    assert site.end("deploy", "--version", VERSION, "--json", fault=fault).code == KILLED
