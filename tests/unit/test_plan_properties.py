"""What holds for every plan, whatever the site looks like and wherever the walk is cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.migrations import Forecast, NotKnownYet, Pending
from graasp_local.plan import DeployRequest, Plan, plan_deploy, plan_rollback, plan_transition, simulate
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


@given(plans(), st.data())
def test_replanning_after_a_failure_at_any_step_is_never_longer_and_ends_in_the_target(
    case: tuple[ObservedState, Plan], data: st.DataObject
) -> None:
    site, plan = case
    failed_at = data.draw(st.integers(0, len(plan.steps)))
    left_behind = simulate(site, plan.steps[:failed_at])
    if plan.version is None:
        again = plan_transition(left_behind, plan.target)
    else:
        again = plan_rollback(left_behind, plan.version, None, plan.target)
    if plan.version is None:
        assert len(again.steps) <= len(plan.steps)
    assert classify(simulate(left_behind, again.steps)) == InState(plan.target)


@pytest.mark.parametrize("kind", [StartServices, StopServices])
def test_no_step_has_an_empty_list_of_services(kind: type[StartServices | StopServices]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        kind(ServiceGroup.GRAASP, (), "no cause")


@given(plans())
def test_every_step_says_why(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    assert all(step.cause for step in plan.steps)
