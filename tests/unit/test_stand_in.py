"""Deployments of a site with several cores: one more serves until the gate closes, whatever happens until then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from graasp_local.errors import ExitCode
from graasp_local.journal.events import Event, Outcome, StepStarted
from graasp_local.operations.deployments import transition_plan
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_scale import with_replicas
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate, Health, InfraState, InState, ObservedState, classify
from graasp_local.planning.steps import CloseGate, StopServices
from graasp_local.ports.handovers import Memory
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploying, ended_of, events_of, under_way
from tests.unit.sites import site_in

Planner = Callable[[ObservedState], Plan]
MIB = 1024**2


def several(fake: FakeWorld, state: InfraState = InfraState.RUNNING, *, core: int = 1, workers: int = 1) -> FakeWorld:
    """The site with 1.0.0 and as many healthy containers as are wanted."""
    wanted = {name: number for name, number in (("core", core), ("workers", workers)) if number > 1}
    site = site_in(state)
    services = (
        replace(service, wanted=wanted.get(service.name, 1)) for service in with_replicas(site, wanted).services
    )
    fake.become(replace(site, services=tuple(replace(service, replicas=()) for service in services)))
    return fake


@pytest.fixture
def three_cores(fake: FakeWorld) -> FakeWorld:
    return several(fake, core=3)


def names_of(fake: FakeWorld, version: str = "1.1.0", **request: object) -> list[str]:
    return [step.name for step in deploying(fake, version, **request)(fake.world.observe()).steps]


def served(fake: FakeWorld) -> bool:
    there = fake.state.observed.handovers if fake.state.leads_to is Side.HANDOVER else fake.state.observed.services
    return fake.state.gate() is Gate.OPEN and any(service.name == "core" and service.serves for service in there)


def until_closed(fake: FakeWorld, planner: Planner) -> list[Event]:
    """Operation to the end, as a visitor who looks all the time until the gate closes."""
    events: list[Event] = []
    for event in under_way(fake, planner, OnFailure.ROLLBACK):
        if not any(isinstance(earlier, StepStarted) and earlier.name == "close-gate" for earlier in (*events, event)):
            assert served(fake), event
        events.append(event)
    return events


def cut_off_at(fake: FakeWorld, name: str) -> None:
    for event in under_way(fake, deploying(fake), OnFailure.ROLLBACK):
        if isinstance(event, StepStarted) and event.name == name:
            return
    raise AssertionError(f"no step {name}")


def is_running(fake: FakeWorld, version: str) -> None:
    assert classify(fake.world.observe()) == InState(InfraState.RUNNING)
    assert fake.state.observed.graasp_versions == {version}
    assert fake.world.site.selected_version == Version.parse(version)
    assert fake.state.leads_to is Side.SERVICES
    assert fake.state.observed.handovers == ()


def test_what_still_serves_stops_at_the_same_time_as_the_stand_in(three_cores: FakeWorld) -> None:
    steps = deploying(three_cores)(three_cores.world.observe()).steps
    closed = steps[[step.name for step in steps].index("close-gate") :]
    assert "Stop redis, workers and the stand-in" in [step.title for step in closed]
    assert not any(isinstance(step, StopServices) for step in closed)
    assert ended_of(events_of(three_cores, deploying(three_cores))).outcome is Outcome.DONE
    is_running(three_cores, "1.1.0")


def test_several_cores_have_stopped_when_the_gate_closes(three_cores: FakeWorld) -> None:
    plan = deploying(three_cores)(three_cores.world.observe())
    closes = next(index for index, step in enumerate(plan.steps) if isinstance(step, CloseGate))
    stops = {index: step.services for index, step in enumerate(plan.steps) if isinstance(step, StopServices)}
    assert [services for index, services in stops.items() if index < closes] == [("core",)]
    assert not any("core" in services for index, services in stops.items() if index > closes)
    assert "start-handover" not in {plan.steps[index].name for index in plan.closed_span}


def test_visitors_are_served_until_the_gate_closes(three_cores: FakeWorld) -> None:
    ended = ended_of(until_closed(three_cores, deploying(three_cores)))
    assert (ended.outcome, ended.exit_code) == (Outcome.DONE, ExitCode.DONE)
    is_running(three_cores, "1.1.0")


def test_workers_stop_before_it_too_if_there_are_several(fake: FakeWorld) -> None:
    plan = deploying(several(fake, core=2, workers=2))(fake.world.observe())
    assert next(step.services for step in plan.steps if isinstance(step, StopServices)) == ("core", "workers")


@pytest.mark.parametrize("workers", [1, 3])
def test_one_core_needs_no_stand_in(fake: FakeWorld, workers: int) -> None:
    assert "start-handover" not in names_of(several(fake, workers=workers))


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_nor_does_a_site_without_visitors(fake: FakeWorld, state: InfraState) -> None:
    assert "start-handover" not in names_of(several(fake, state, core=3))


def test_without_memory_for_one_more_they_stop_behind_the_gate(three_cores: FakeWorld) -> None:
    three_cores.handovers.room = Memory(500 * MIB, 100 * MIB)
    assert "start-handover" not in names_of(three_cores)


def test_an_nginx_that_cannot_route_to_one_is_not_asked_to(three_cores: FakeWorld) -> None:
    three_cores.handovers.knows = False
    assert "start-handover" not in names_of(three_cores)


def test_a_core_with_other_settings_than_env_has_no_second_one_under_visitors(three_cores: FakeWorld) -> None:
    site = three_cores.state.observed
    services = tuple(replace(service, outdated=service.name == "core") for service in site.services)
    three_cores.become(replace(site, services=services))
    assert "start-handover" not in names_of(three_cores)


def test_a_stand_in_that_does_not_get_healthy_ends_the_deployment_without_closing(three_cores: FakeWorld) -> None:
    three_cores.handovers.health = Health.UNHEALTHY
    ended = ended_of(until_closed(three_cores, deploying(three_cores)))
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert "flag-closed" not in three_cores.state.calls
    is_running(three_cores, "1.0.0")


@pytest.mark.parametrize("sleeps", [1, 30, 60, 90])
def test_an_interruption_before_the_gate_closes_leaves_it_open(three_cores: FakeWorld, sleeps: int) -> None:
    left = [sleeps]

    def interrupt() -> None:
        left[0] -= 1
        if left[0] == 0 and "flag-closed" not in three_cores.state.calls:
            three_cores.interruption.request()

    three_cores.clock.on_sleep = interrupt
    events = until_closed(three_cores, deploying(three_cores))
    if three_cores.interruption.requested or ended_of(events).outcome is Outcome.ROLLED_BACK:
        assert "flag-closed" not in three_cores.state.calls
        is_running(three_cores, "1.0.0")


STEPS = ("start-handover", "prove-handover", "lead-to-handover", "verify-core", "drain-services", "stop-graasp")


@pytest.mark.parametrize("name", [*STEPS, "close-gate", "remove-handover", "snapshot", "migrate", "start-replicas"])
def test_killed_at_any_step_resume_ends_it(three_cores: FakeWorld, name: str) -> None:
    cut_off_at(three_cores, name)
    ended = ended_of(events_of(three_cores, lambda o: resume_plan(three_cores.world, o)))
    assert ended.outcome is Outcome.DONE
    is_running(three_cores, "1.1.0")


@pytest.mark.parametrize("name", STEPS)
def test_killed_before_the_gate_closes_rollback_keeps_it_open(three_cores: FakeWorld, name: str) -> None:
    cut_off_at(three_cores, name)
    ended = ended_of(until_closed(three_cores, lambda o: rollback_plan(three_cores.world, o)))
    assert ended.outcome is Outcome.DONE
    assert "flag-closed" not in three_cores.state.calls
    is_running(three_cores, "1.0.0")


@pytest.mark.parametrize("name", ["close-gate", "remove-handover", "snapshot", "migrate"])
def test_killed_behind_the_gate_rollback_restores_the_old_version(three_cores: FakeWorld, name: str) -> None:
    cut_off_at(three_cores, name)
    ended = ended_of(events_of(three_cores, lambda o: rollback_plan(three_cores.world, o)))
    assert ended.outcome is Outcome.DONE
    is_running(three_cores, "1.0.0")


@pytest.mark.parametrize("name", STEPS)
def test_killed_before_the_gate_closes_apply_running_keeps_it_open(three_cores: FakeWorld, name: str) -> None:
    cut_off_at(three_cores, name)
    until_closed(three_cores, lambda o: transition_plan(three_cores.world, o, InfraState.RUNNING))
    assert "flag-closed" not in three_cores.state.calls
    is_running(three_cores, "1.0.0")


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("target", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_killed_at_any_step_every_state_is_reached(three_cores: FakeWorld, name: str, target: InfraState) -> None:
    cut_off_at(three_cores, name)
    events_of(three_cores, lambda o: transition_plan(three_cores.world, o, target))
    assert classify(three_cores.world.observe()) == InState(target)
    assert three_cores.state.leads_to is Side.SERVICES
