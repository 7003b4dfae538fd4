"""A client that was built again under its name, for a site whose address changed, and what the next `apply` does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.errors import ExitCode
from graasp_local.operations.deployments import apply_plan, deployment_plan
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.requests import ChangeState
from graasp_local.planning.states import Health, InfraState, ObservedService, ServiceGroup, Status
from graasp_local.planning.steps import OpenGate, SelectImages, StartServices
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.test_settings_from_before import command, done

CLIENT = ObservedService("client", ServiceGroup.GRAASP, Status.RUNNING, Health.HEALTHY, "client:own", "1.0.0")


@pytest.fixture
def site(running: FakeWorld) -> FakeWorld:
    """A running site whose client is an image of its own."""
    env = running.directory / ".env"
    kept = [line for line in env.read_text().splitlines() if not line.startswith("COMPOSE_PROFILES=")]
    env.write_text("\n".join([*kept, "COMPOSE_PROFILES=client", "CLIENT_IMAGE=client:own", ""]))
    done(running, ChangeState(InfraState.RUNNING))
    observed = running.state.observed
    running.state.observed = replace(observed, services=(*observed.services, CLIENT))
    return running


def build_again(site: FakeWorld) -> None:
    """The name leads to another image now, so the engine calls the one that runs by its id."""
    site.engine.builds["client:own"] = "second"
    services = (replace(s, image="first") if s.name == "client" else s for s in site.state.observed.services)
    site.state.observed = replace(site.state.observed, services=tuple(services))


def selected(site: FakeWorld) -> str | None:
    return dict(site.world.site.selection.images).get("CLIENT_IMAGE")


def test_as_long_as_its_tag_is_what_runs_there_is_nothing_to_do(site: FakeWorld) -> None:
    assert apply_plan(site.world, site.world.observe(), InfraState.RUNNING).steps == ()


@pytest.mark.parametrize("state", [InfraState.RUNNING, InfraState.RESTRICTED])
def test_it_is_selected_and_started_and_nothing_else_is(site: FakeWorld, state: InfraState) -> None:
    build_again(site)
    plan = apply_plan(site.world, site.world.observe(), state)
    assert plan.steps[0] == SelectImages(
        ("client",),
        (("CLIENT_IMAGE", "second"),),
        (("CLIENT_IMAGE", "first"),),
        "it has been rebuilt since it was started",
    )
    started = [step.services for step in plan.steps if isinstance(step, StartServices)]
    assert started == [("client",)]
    assert done(site, ChangeState(state)).exit_code is ExitCode.DONE
    assert (selected(site), "second" in site.engine.kept) == ("second", True)


@pytest.mark.parametrize("state", [InfraState.DB_ONLY, InfraState.STOPPED])
def test_where_it_is_off_it_is_left_for_later(site: FakeWorld, state: InfraState) -> None:
    build_again(site)
    plan = apply_plan(site.world, site.world.observe(), state)
    assert not any(isinstance(step, SelectImages) for step in plan.steps)


def test_visitors_stay_served_all_the_time(site: FakeWorld) -> None:
    build_again(site)
    plan = apply_plan(site.world, site.world.observe(), InfraState.RUNNING)
    assert not any(isinstance(step, OpenGate) for step in plan.steps)


def test_if_it_does_not_come_up_the_one_before_is_started(site: FakeWorld) -> None:
    build_again(site)
    site.engine.never_on = {"client": Health.UNHEALTHY}
    events = []
    for event in command(site, ChangeState(InfraState.RUNNING)):
        if event.__class__.__name__ == "RollbackStarted":
            site.engine.never_on = {}
        events.append(event)
    ended = events[-1]
    assert (ended.exit_code, ended.state) == (ExitCode.ROLLED_BACK, "running")  # type: ignore[union-attr]
    assert selected(site) == "first"


def test_a_deployment_of_the_same_version_takes_it_too(site: FakeWorld) -> None:
    request = DeployRequest(Version(1, 0, 0))
    site.engine.pinned.clear()
    before = deployment_plan(site.world, site.world.observe(), request)
    build_again(site)
    assert "client" not in str(before)
    assert "its images of client have changed" in str(deployment_plan(site.world, site.world.observe(), request))
