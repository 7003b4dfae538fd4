"""What holds for every plan, whatever the site looks like and wherever the operation is cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from graasp_local.planning.migrations import Forecast, NotKnownYet, Pending
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.plan_restore import RestoreRequest, plan_restore
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.plan_upgrade import UpgradeRequest, plan_upgrade, plan_upgrade_back
from graasp_local.planning.restore_steps import PutInPlace, Restore
from graasp_local.planning.server import DatabaseServer, Direction, Upgrade
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import Gate, InfraState, ObservedState, ServiceGroup, is_in, lacking
from graasp_local.planning.steps import (
    CloseGate,
    Drain,
    Migrate,
    OpenGate,
    ProveGate,
    ProveMigrations,
    StartServices,
    StopServices,
    SwapBack,
    VerifyCore,
)
from graasp_local.planning.upgrade_steps import (
    DiscardNewServer,
    DumpServer,
    ProveCopy,
    RestoreServer,
    SelectServer,
    StartNewServer,
    StopNewServer,
)
from graasp_local.version import Version
from tests.unit.sites import WRITING, observed_sites

TARGETS = st.sampled_from(InfraState)
ENDS = st.sampled_from([InfraState.RUNNING, InfraState.RESTRICTED])
FORECASTS: st.SearchStrategy[Forecast] = st.sampled_from([Pending(()), Pending(("0002_x",)), NotKnownYet()])
VERSION = Version(1, 1, 0)
SNAPSHOTS = st.sampled_from([None, "graasp_snapshot_x"])
RESTORES = st.sampled_from(
    [Restore("0003-x", "0007", ("graasp", "umami"), ("files",)), Restore("0003-x", "0007", ("graasp",), ())]
)


UPGRADE = Upgrade(DatabaseServer("postgres:15.8", "db-data"), 15, DatabaseServer("postgres:17", "db-data-17"), 17)


def ends_in(site: ObservedState, state: InfraState) -> bool:
    return is_in(site, state) and not lacking(site, state)


@st.composite
def upgrade_requests(draw: st.DrawFn) -> UpgradeRequest:
    """From either server, or with DB_IMAGE changed in `.env` already; to any state."""
    selected = draw(st.sampled_from([UPGRADE.source, UPGRADE.target, DatabaseServer("postgres:17", "db-data")]))
    return UpgradeRequest(UPGRADE, selected, VERSION, draw(TARGETS), draw(st.sampled_from([None, 10_000_000])))


@st.composite
def rollback_requests(draw: st.DrawFn) -> RollbackRequest:
    """Of a deployment or a restore that got to any point, to a version or to nothing, to any state."""
    return RollbackRequest(
        draw(st.sampled_from([VERSION, None])),
        draw(TARGETS),
        snapshot=draw(SNAPSHOTS),
        restore=draw(st.one_of(st.none(), RESTORES)),
        is_in_place=draw(st.booleans()),
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[ObservedState, Plan]:
    site = draw(observed_sites())
    kind = draw(st.sampled_from(["restore", "transition", "deploy", "upgrade", "rollback", "upgrade-back"]))
    if kind == "upgrade":
        return site, plan_upgrade(site, draw(upgrade_requests()))
    if kind == "upgrade-back":
        return site, plan_upgrade_back(site, draw(upgrade_requests()))
    if kind == "restore":
        return site, plan_restore(site, RestoreRequest(draw(RESTORES), VERSION, draw(ENDS)))
    if kind == "rollback":
        return site, plan_rollback(site, draw(rollback_requests()))
    if kind == "transition":
        return site, plan_transition(site, draw(TARGETS))
    return site, plan_deploy(site, DeployRequest(VERSION, draw(ENDS)), draw(FORECASTS))


@given(plans())
def test_the_simulated_end_of_every_plan_is_its_target(case: tuple[ObservedState, Plan]) -> None:
    site, plan = case
    assert ends_in(simulate(site, plan.steps), plan.target)


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
            assert at_that_time.gate is Gate.SEALED


@given(plans())
def test_nothing_writes_before_core_is_verified(case: tuple[ObservedState, Plan]) -> None:
    """What was written by then would be lost by the rollback: a change of state has none, so nothing is lost by it."""
    site, plan = case
    puts_away = (Migrate, PutInPlace, SelectServer)
    changed = next((i for i, step in enumerate(plan.steps) if isinstance(step, puts_away)), None)
    if changed is None or (plan.upgrade is not None and plan.upgrade.way is Direction.BACK):
        return
    if not any(isinstance(step, StartServices) and step.group is ServiceGroup.GRAASP for step in plan.steps[changed:]):
        return
    for index, step in enumerate(plan.steps[changed:], start=changed):
        if isinstance(step, VerifyCore):
            return
        assert simulate(site, plan.steps[:index]).gate is Gate.SEALED
        if isinstance(step, StartServices) and step.group is ServiceGroup.GRAASP:
            assert not {*step.services} & {*WRITING}


@given(plans())
def test_an_nginx_that_was_down_starts_sealed_while_data_may_still_be_discarded(
    case: tuple[ObservedState, Plan],
) -> None:
    site, plan = case
    if not plan.can_be_resumed or (plan.upgrade is not None and plan.upgrade.way is Direction.BACK):
        return  # nothing goes back from a change of state, or from a rollback
    if plan.goes_back and not any(isinstance(step, PutInPlace | SwapBack) for step in plan.steps):
        return  # it leaves the database as it is
    for index, step in enumerate(plan.steps):
        if isinstance(step, StartServices) and step.group is ServiceGroup.EDGE:
            before = simulate(site, plan.steps[:index])
            seals = any(isinstance(earlier, CloseGate) and earlier.sealed for earlier in plan.steps[:index])
            assert seals or before.group_is_off(ServiceGroup.GRAASP)


@given(plans())
def test_the_gate_never_opens_before_the_last_verification(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, OpenGate):
            before, after = plan.steps[:index], plan.steps[index + 1 :]
            last = next(s for s in reversed(before) if not (isinstance(s, StartServices) and s.writers))
            assert isinstance(last, VerifyCore)
            assert not any(
                isinstance(
                    later,
                    StartServices | StopServices | Migrate | ProveMigrations | VerifyCore | ProveCopy | SelectServer,
                )
                for later in after
            )


@given(plans())
def test_an_opened_and_a_closed_gate_are_both_proven(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, OpenGate | CloseGate):
            wanted = Gate.OPEN if isinstance(step, OpenGate) else Gate.SEALED if step.sealed else Gate.CLOSED
            following = plan.steps[index + 1 :]
            if plan.target is InfraState.STOPPED and following and isinstance(following[0], StopServices):
                assert following[0].group is ServiceGroup.EDGE  # one that does not answer, and can prove nothing
                continue
            assert any(isinstance(later, ProveGate) and later.gate is wanted for later in following)


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
        return  # fixing single services of an open site: nginx shows the page for a core that is away
    for index, step in enumerate(plan.steps):
        if isinstance(step, StopServices) and step.group is not ServiceGroup.EDGE:
            at_that_time = simulate(site, plan.steps[:index])
            assert at_that_time.gate in (Gate.CLOSED, Gate.SEALED) or (
                plan.target is InfraState.STOPPED and at_that_time.group_is_off(ServiceGroup.EDGE)
            )


@given(plans())
def test_the_edge_stops_only_to_be_started_again_or_with_everything_else(case: tuple[ObservedState, Plan]) -> None:
    site, plan = case
    for index, step in enumerate(plan.steps):
        if isinstance(step, StopServices) and step.group is ServiceGroup.EDGE:
            following = plan.steps[index + 1 :]
            if following and isinstance(following[0], StartServices):
                assert set(step.services) <= set(following[0].services)
                continue
            assert plan.target is InfraState.STOPPED
            assert not site.page_when_stopped
            assert not any(isinstance(later, StartServices | ProveGate | Drain) for later in following)
            if site.gate is not Gate.UNKNOWN:
                # As long as it shows the page, it is the last to stop. One that was silent is not believed to begin.
                assert not any(isinstance(later, StopServices) for later in following)


@given(observed_sites(), TARGETS, st.data())
def test_replanning_a_change_of_state_after_a_failure_at_any_step_is_never_longer_and_ends_there(
    site: ObservedState, target: InfraState, data: st.DataObject
) -> None:
    plan = plan_transition(site, target)
    left_behind = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    again = plan_transition(left_behind, target)
    assert len(again.steps) <= len(plan.steps)
    assert ends_in(simulate(left_behind, again.steps), target)


@given(observed_sites(), ENDS, FORECASTS, st.data())
def test_replanning_a_deployment_after_a_failure_at_any_step_is_never_longer_and_ends_there(
    site: ObservedState, end: InfraState, forecast: Forecast, data: st.DataObject
) -> None:
    request = DeployRequest(VERSION, end)
    plan = plan_deploy(site, request, forecast)
    done = plan.steps[: data.draw(st.integers(0, len(plan.steps)))]
    left_behind = simulate(site, done)
    then = Pending(()) if any(isinstance(step, ProveMigrations) for step in done) else forecast
    again = plan_deploy(left_behind, request, then)
    assert len(again.steps) <= len(plan.steps)
    assert ends_in(simulate(left_behind, again.steps), end)


@given(observed_sites(), ENDS, FORECASTS, TARGETS, st.data())
def test_a_rollback_from_a_failure_at_any_step_ends_in_the_original_state(
    site: ObservedState, end: InfraState, forecast: Forecast, came_from: InfraState, data: st.DataObject
) -> None:
    plan = plan_deploy(site, DeployRequest(VERSION, end), forecast)
    left_behind = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    request = RollbackRequest(Version(1, 0, 0), came_from, snapshot=data.draw(SNAPSHOTS))
    back = plan_rollback(left_behind, request)
    assert ends_in(simulate(left_behind, back.steps), came_from)


@pytest.mark.parametrize("kind", [StartServices, StopServices])
def test_no_step_has_an_empty_list_of_services(kind: type[StartServices | StopServices]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        kind(ServiceGroup.GRAASP, (), "no cause")


@given(plans())
def test_every_step_says_why(case: tuple[ObservedState, Plan]) -> None:
    _, plan = case
    assert all(step.cause for step in plan.steps)


@given(observed_sites(), upgrade_requests())
def test_databases_are_copied_only_while_nothing_but_the_database_works_with_them(
    site: ObservedState, request: UpgradeRequest
) -> None:
    plan = plan_upgrade(site, request)
    for index, step in enumerate(plan.steps):
        if isinstance(step, DumpServer | RestoreServer | ProveCopy):
            at_that_time = simulate(site, plan.steps[:index])
            assert at_that_time.group_is_off(ServiceGroup.GRAASP)
            assert at_that_time.group_is_off(ServiceGroup.ADMINISTRATION)
            assert at_that_time.group_is_on(ServiceGroup.DATABASE)
            assert at_that_time.gate in (Gate.CLOSED, Gate.SEALED)


@given(observed_sites(), upgrade_requests())
def test_a_newer_server_is_selected_only_when_proven_and_while_no_server_runs(
    site: ObservedState, request: UpgradeRequest
) -> None:
    plan = plan_upgrade(site, request)
    for index, step in enumerate(plan.steps):
        if isinstance(step, SelectServer) and step.server == UPGRADE.target:
            before = plan.steps[:index]
            assert simulate(site, before).group_is_off(ServiceGroup.DATABASE)
            assert [
                type(s) for s in before if isinstance(s, StartNewServer | RestoreServer | ProveCopy | StopNewServer)
            ] == [
                StartNewServer,
                RestoreServer,
                ProveCopy,
                StopNewServer,
            ]


@given(observed_sites(), upgrade_requests())
def test_a_rollback_selects_the_old_server_before_it_starts_one_and_discards_only_the_new(
    site: ObservedState, request: UpgradeRequest
) -> None:
    plan = plan_upgrade_back(site, request)
    selected = request.selected
    for index, step in enumerate(plan.steps):
        if isinstance(step, SelectServer):
            assert simulate(site, plan.steps[:index]).group_is_off(ServiceGroup.DATABASE) or (
                request.selected.volume == UPGRADE.source.volume
            )
            selected = step.server
        if isinstance(step, DiscardNewServer):
            assert selected == UPGRADE.source
        if isinstance(step, StartServices) and step.group is ServiceGroup.DATABASE:
            assert selected == UPGRADE.source


@given(observed_sites(), upgrade_requests(), TARGETS, st.data())
def test_an_upgrade_that_fails_at_any_step_can_be_resumed_and_rolled_back(
    site: ObservedState, request: UpgradeRequest, came_from: InfraState, data: st.DataObject
) -> None:
    plan = plan_upgrade(site, request)
    done = plan.steps[: data.draw(st.integers(0, len(plan.steps)))]
    left_behind = simulate(site, done)
    selected = next((s.server for s in reversed(done) if isinstance(s, SelectServer)), request.selected)
    left = replace(request, selected=selected)
    again = plan_upgrade(left_behind, left)
    assert len(again.steps) <= len(plan.steps)
    assert ends_in(simulate(left_behind, again.steps), request.end)
    back = plan_upgrade_back(left_behind, replace(left, end=came_from))
    assert ends_in(simulate(left_behind, back.steps), came_from)
