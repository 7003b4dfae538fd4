"""What holds for every plan, whatever the site looks like and wherever the walk is cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.migrations import Forecast, NotKnownYet, Pending
from graasp_local.plan import DeployRequest, Plan, plan_deploy, plan_rollback, plan_transition
from graasp_local.simulate import simulate
from graasp_local.states import Gate, InfraState, InState, ObservedState, ServiceGroup, classify
from graasp_local.steps import (
    CloseGate,
    Migrate,
    OpenGate,
    ProveGate,
    ProveMigrations,
    StartServices,
    StopServices,
    VerifyCore,
)
from graasp_local.version import Version
from tests.unit.sites import observed_sites

TARGETS = st.sampled_from(InfraState)
ENDS = st.sampled_from([InfraState.RUNNING, InfraState.RESTRICTED])
FORECASTS: st.SearchStrategy[Forecast] = st.sampled_from([Pending(()), Pending(("0002_x",)), NotKnownYet()])
VERSION = Version(1, 1, 0)


@st.composite
def plans(draw: st.DrawFn) -> tuple[ObservedState, Plan]:
    site = draw(observed_sites())
    kind = draw(st.sampled_from(["transition", "deploy", "rollback"]))
    if kind == "transition":
        return site, plan_transition(site, draw(TARGETS))
    if kind == "rollback":
        snapshot = draw(st.sampled_from([None, "graasp_snapshot_x"]))
        return site, plan_rollback(site, VERSION, snapshot, draw(TARGETS))
    return site, plan_deploy(site, DeployRequest(VERSION, draw(ENDS)), draw(FORECASTS))


@given(plans())
def test_the_simulated_end_of_every_plan_is_its_target(case: tuple[ObservedState, Plan]) -> None:
    site, plan = case
    assert classify(simulate(site, plan.steps)) == InState(plan.target)


@given(observed_sites(), TARGETS)
def test_planning_from_the_target_is_an_empty_plan(site: ObservedState, target: InfraState) -> None:
    there = simulate(site, plan_transition(site, target).steps)
    assert plan_transition(there, target).steps == ()


@given(plans())
def test_no_migration_while_a_service_of_the_graasp_group_runs(case: tuple[ObservedState, Plan]) -> None:
    site, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, Migrate):
            at_that_time = simulate(site, plan.steps[:index])
            assert at_that_time.group_is_off(ServiceGroup.GRAASP)
            assert at_that_time.group_is_on(ServiceGroup.DATABASE)
            assert at_that_time.gate is Gate.CLOSED


@given(plans())
def test_the_gate_never_opens_before_the_last_verification(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, OpenGate):
            before, after = plan.steps[:index], plan.steps[index + 1 :]
            assert isinstance(before[-1], VerifyCore)
            assert not any(
                isinstance(later, StartServices | StopServices | Migrate | ProveMigrations | VerifyCore)
                for later in after
            )


@given(plans())
def test_an_opened_and_a_closed_gate_are_both_proven(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, OpenGate | CloseGate):
            wanted = Gate.OPEN if isinstance(step, OpenGate) else Gate.CLOSED
            assert any(isinstance(later, ProveGate) and later.gate is wanted for later in plan.steps[index + 1 :])


@given(plans())
def test_the_database_never_stops_while_something_that_needs_it_runs(case: tuple[ObservedState, Plan]) -> None:
    site, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, StopServices) and step.group is ServiceGroup.DATABASE:
            at_that_time = simulate(site, plan.steps[:index])
            assert at_that_time.group_is_off(ServiceGroup.GRAASP)
            assert at_that_time.group_is_off(ServiceGroup.ADMINISTRATION)


@given(plans())
def test_visitors_are_kept_out_before_the_database_or_the_code_under_them_stops(
    case: tuple[ObservedState, Plan],
) -> None:
    site, plan = case
    if plan.version is None and plan.target is InfraState.RUNNING:
        return  # mending single services of an open site: nginx shows the page for a core that is away
    for index, step in enumerate(plan.steps):
        if isinstance(step, StopServices) and step.group is not ServiceGroup.EDGE:
            assert simulate(site, plan.steps[:index]).gate is Gate.CLOSED


@given(plans())
def test_the_edge_stops_only_to_be_started_again(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, StopServices) and step.group is ServiceGroup.EDGE:
            following = plan.steps[index + 1]
            assert isinstance(following, StartServices)
            assert set(step.services) <= set(following.services)


@given(observed_sites(), TARGETS, st.data())
def test_replanning_a_change_of_state_after_a_failure_at_any_step_is_never_longer_and_ends_there(
    site: ObservedState, target: InfraState, data: st.DataObject
) -> None:
    plan = plan_transition(site, target)
    left_behind = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    again = plan_transition(left_behind, target)
    assert len(again.steps) <= len(plan.steps)
    assert classify(simulate(left_behind, again.steps)) == InState(target)


@given(observed_sites(), ENDS, FORECASTS, st.data())
def test_replanning_a_deployment_after_a_failure_at_any_step_is_never_longer_and_ends_there(
    site: ObservedState, end: InfraState, forecast: Forecast, data: st.DataObject
) -> None:
    request = DeployRequest(VERSION, end)
    plan = plan_deploy(site, request, forecast)
    left_behind = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    again = plan_deploy(left_behind, request, forecast)
    assert len(again.steps) <= len(plan.steps)
    assert classify(simulate(left_behind, again.steps)) == InState(end)


@given(observed_sites(), ENDS, FORECASTS, TARGETS, st.data())
def test_the_way_back_from_a_failure_at_any_step_ends_in_the_state_that_the_walk_came_from(
    site: ObservedState, end: InfraState, forecast: Forecast, came_from: InfraState, data: st.DataObject
) -> None:
    plan = plan_deploy(site, DeployRequest(VERSION, end), forecast)
    left_behind = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    back = plan_rollback(
        left_behind, Version(1, 0, 0), data.draw(st.sampled_from([None, "graasp_snapshot_x"])), came_from
    )
    assert classify(simulate(left_behind, back.steps)) == InState(came_from)


@pytest.mark.parametrize("kind", [StartServices, StopServices])
def test_no_step_has_an_empty_list_of_services(kind: type[StartServices | StopServices]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        kind(ServiceGroup.GRAASP, (), "no cause")


@given(plans())
def test_every_step_says_why(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    assert all(step.cause for step in plan.steps)
