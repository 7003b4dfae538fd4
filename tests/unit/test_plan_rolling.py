"""Deployments without closing, each as the plan that a person would read, and what holds for all of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from graasp_local.planning.migrations import Forecast, NotKnownYet, Pending
from graasp_local.planning.plan import render
from graasp_local.planning.plan_deploy import Backup, DeployRequest, plan_deploy
from graasp_local.planning.plan_rolling import NOTHING_PENDING, plan_rolling, plan_rolling_back, why_not_rolling
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.rolling_steps import DrainSide, LeadVisitors, ProveSide, RemoveHandover, Side, StartHandover
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import (
    Gate,
    Health,
    InfraState,
    InState,
    ObservedService,
    ObservedState,
    ServiceGroup,
    Status,
    classify,
)
from graasp_local.planning.steps import CloseGate, SelectVersion, StartServices, Step, StopServices, VerifyCore
from graasp_local.version import Version
from tests.unit.sites import observed_sites, site_in

OLD, NEW = Version(1, 1, 0), Version(1, 2, 0)
REQUEST = DeployRequest(NEW)
VISITED = ("core",)


def second_core(version: Version = NEW, health: Health = Health.HEALTHY) -> ObservedService:
    return ObservedService("core", ServiceGroup.GRAASP, Status.RUNNING, health, version=str(version))


def open_site(version: Version = OLD, *handovers: ObservedService) -> ObservedState:
    return replace(site_in(InfraState.RUNNING, str(version)), handovers=handovers)


def titles(steps: tuple[Step, ...]) -> list[str]:
    return [step.title for step in steps]


PLAN = """
 1  Check that 1.2.0 can be deployed here
    because problems are found before anything is changed
 2  Pull the images of 1.2.0
    because nothing is downloaded while two cores run
 3  Read which migrations 1.2.0 needs
    because two versions can share the database only if nothing is migrated
 4  Make sure there is a backup less than an hour old
    because the new version will write to the database
 5  Start a second core of 1.2.0 as a stand-in and wait until healthy
    because it serves while the service itself is replaced, and needs memory of its own
 6  Verify that the second core answers as 1.2.0
    because visitors must not be the first to find a fault
 7  Stop workers
    because jobs of 1.2.0 must wait in the queue for its own workers
 8  Route visitors to the stand-in
    because it is verified to be 1.2.0
 9  Verify that core answers as 1.2.0
    because only a visitor's request proves what visitors get
10  Wait for the remaining requests to finish (limit 10 s)
    because core cuts off its requests when it stops
11  Stop core
    because no visitor is routed to it any more; its websockets end and reconnect to the stand-in
12  Select 1.2.0 for every service started from now on
    because a restart must not bring the other version back
13  Start core and workers and wait until healthy
    because 1.2.0 takes over
14  Verify that core itself answers as 1.2.0
    because visitors are routed only to a core that answers
15  Route visitors back from the stand-in
    because the stand-in was needed only during the change
16  Verify that core answers as 1.2.0
    because only a visitor's request proves what visitors get
17  Wait for the stand-in's requests to finish (limit 10 s)
    because core cuts off its requests when it stops
18  Remove the stand-in
    because no visitor is routed to it any more
19  Record 1.2.0 as deployed
    because the next deployment starts from here
"""


def test_an_open_site_with_nothing_pending() -> None:
    lines = render(plan_rolling(open_site(), REQUEST, VISITED)).splitlines()
    halves = [half.strip() for line in lines for half in line.split("  because ")]
    shown = [half if number % 2 == 0 else f"because {half}" for number, half in enumerate(halves)]
    assert [" ".join(line.split()) for line in shown] == [" ".join(line.split()) for line in PLAN.strip().splitlines()]


def test_the_client_has_a_stand_in_too() -> None:
    client = ObservedService("client", ServiceGroup.GRAASP, Status.RUNNING, Health.HEALTHY, version=str(OLD))
    site = open_site()
    site = replace(site, services=(*site.services, client))
    shown = titles(plan_rolling(site, REQUEST, ("core", "client")).steps)
    assert "Start a second core and a second client of 1.2.0 as a stand-in and wait until healthy" in shown
    assert "Stop core and client" in shown
    assert "Start core, workers and client and wait until healthy" in shown


def test_no_backup_and_recorded_images_are_as_asked_for() -> None:
    shown = titles(plan_rolling(open_site(), replace(REQUEST, backup=Backup.LEFT_OUT), VISITED).steps)
    assert not any("backup" in line for line in shown)


WHY_NOT = [
    (site_in(InfraState.RESTRICTED), NOTHING_PENDING, "The gate is closed, so there are no visitors to keep serving."),
    (open_site(), Pending(("0002_x",)), "1.2.0 has to migrate the database (pending: 0002_x)."),
    (
        open_site(),
        NotKnownYet(),
        "Which migrations 1.2.0 needs is not known until its images have been pulled.",
    ),
    (
        open_site().with_services(("db",), Status.EXITED, Health.NONE),
        NotKnownYet(),
        "db is stopped.",
    ),
    (
        open_site().with_services(("core",), Status.RUNNING, Health.UNHEALTHY),
        NOTHING_PENDING,
        "core is unhealthy, so visitors are not served.",
    ),
    (open_site().with_services(("redis",), Status.EXITED, Health.NONE), NOTHING_PENDING, "redis is stopped."),
    (replace(open_site(), migrations=("a-run",)), NOTHING_PENDING, "A migration is running (a-run)."),
    (
        open_site(OLD, second_core(Version(1, 3, 0))),
        NOTHING_PENDING,
        "A second core of 1.3.0 is left over from another deployment.",
    ),
]


@pytest.mark.parametrize(("site", "forecast", "reason"), WHY_NOT, ids=[reason[:30] for _, _, reason in WHY_NOT])
def test_where_it_cannot_be_done_the_reason_is_one_sentence(
    site: ObservedState, forecast: Forecast, reason: str
) -> None:
    assert why_not_rolling(site, REQUEST, forecast, VISITED) == reason


def test_a_hold_behind_the_gate_is_not_a_rolling_deployment() -> None:
    held = replace(REQUEST, end=InfraState.RESTRICTED)
    assert why_not_rolling(open_site(), held, NOTHING_PENDING, VISITED) == (
        "The deployment would end in restricted, with the gate closed."
    )


def test_a_core_that_is_off_can_be_replaced_while_a_second_one_serves() -> None:
    cut_off = open_site(OLD, second_core()).with_services(("core", "workers"), Status.EXITED, Health.NONE)
    assert why_not_rolling(cut_off, REQUEST, NOTHING_PENDING, VISITED) is None
    assert titles(plan_rolling(cut_off, REQUEST, VISITED).steps)[4:10] == [
        "Start a second core of 1.2.0 as a stand-in and wait until healthy",
        "Verify that the second core answers as 1.2.0",
        "Route visitors to the stand-in",
        "Verify that core answers as 1.2.0",
        "Select 1.2.0 for every service started from now on",
        "Start core and workers and wait until healthy",
    ]


def test_a_rollback_from_a_second_core_that_never_got_healthy_changes_only_that() -> None:
    failed = open_site(OLD, second_core(NEW, Health.UNHEALTHY))
    assert titles(plan_rolling_back(failed, OLD, VISITED).steps) == [
        "Restore the images that 1.1.0 was deployed with",
        "Select 1.1.0 for every service started from now on",
        "Verify that core itself answers as 1.1.0",
        "Route visitors back from the stand-in",
        "Verify that core answers as 1.1.0",
        "Wait for the stand-in's requests to finish (limit 10 s)",
        "Remove the stand-in",
    ]


def test_a_rollback_after_visitors_were_moved_keeps_serving_them() -> None:
    failed = open_site(OLD, second_core()).with_services(("core", "workers"), Status.EXITED, Health.NONE)
    assert titles(plan_rolling_back(failed, OLD, VISITED).steps)[1:4] == [
        "Route visitors to the stand-in",
        "Select 1.1.0 for every service started from now on",
        "Start core and workers and wait until healthy",
    ]


def test_a_rollback_where_no_core_serves_closes_the_gate() -> None:
    dark = open_site(OLD, second_core(NEW, Health.UNHEALTHY)).with_services(("core",), Status.EXITED, Health.NONE)
    shown = titles(plan_rolling_back(dark, OLD, VISITED).steps)
    assert shown.index("Close the gate") < shown.index("Remove the stand-in") < shown.index("Open the gate")


def test_apply_running_routes_visitors_back_before_the_second_core_is_removed() -> None:
    left = open_site(OLD, second_core())
    assert titles(plan_transition(left, InfraState.RUNNING, OLD).steps) == [
        "Verify that core itself answers as 1.1.0",
        "Route visitors back from the stand-in",
        "Verify that core answers as 1.1.0",
        "Wait for the stand-in's requests to finish (limit 10 s)",
        "Remove the stand-in",
    ]


def test_a_site_with_a_second_core_is_in_no_state_and_says_what_fixes_it() -> None:
    left = classify(open_site(OLD, second_core()))
    assert left == classify(open_site(OLD, second_core()), InfraState.RUNNING)
    assert getattr(left, "differences", ()) == ("A second core of 1.2.0 is running, left over from replacing it.",)
    assert getattr(left, "fixing_command", "") == "graasp-local apply running"


@st.composite
def rollable(draw: st.DrawFn) -> ObservedState:
    """Any site that could be met and that a rolling deployment has nothing against."""
    site = draw(observed_sites())
    on = tuple(s.name for s in site.services if s.group is not ServiceGroup.GRAASP or s.name == "redis")
    site = replace(site.with_services(on, Status.RUNNING, Health.HEALTHY), gate=Gate.OPEN)
    assume(why_not_rolling(site, REQUEST, NOTHING_PENDING, VISITED) is None)
    return site


def visitors_are_served(site: ObservedState, steps: tuple[Step, ...], side: Side) -> None:
    """Follow the steps: what nginx routes visitors to is on at every moment, and proven before they are sent to it."""
    proven: set[Side] = set()
    for index, step in enumerate(steps):
        now = simulate(site, steps[:index])
        match step:
            case ProveSide(side=asked):
                proven.add(asked)
            case LeadVisitors(to=to):
                if to is Side.HANDOVER:
                    assert all(second.is_on for second in now.handovers)
                    assert now.handovers
                else:
                    assert to in proven
                    assert all(s.is_on for s in now.services if s.name in VISITED)
                side = to
            case StopServices(services=services) | StartServices(services=services) if {*services} & {*VISITED}:
                assert side is Side.HANDOVER
            case RemoveHandover():
                assert side is Side.SERVICES
            case CloseGate():
                pytest.fail("the gate closes")
            case _:
                pass


@given(rollable())
def test_visitors_are_routed_to_a_running_core_at_every_step(site: ObservedState) -> None:
    visitors_are_served(site, plan_rolling(site, REQUEST, VISITED).steps, Side.SERVICES)


@given(rollable())
def test_it_ends_running_with_one_core_of_the_version_that_is_selected(site: ObservedState) -> None:
    plan = plan_rolling(site, REQUEST, VISITED)
    end = simulate(site, plan.steps)
    assert classify(replace(end, services=_as_current(end))) == InState(InfraState.RUNNING)
    assert end.graasp_versions == {str(NEW)}
    assert not end.handovers
    assert plan.keeps_open
    assert [step.version for step in plan.steps if isinstance(step, SelectVersion)] == [NEW]


@given(rollable(), st.data())
def test_cut_off_at_any_step_it_can_be_resumed_and_is_never_longer(site: ObservedState, data: st.DataObject) -> None:
    plan = plan_rolling(site, REQUEST, VISITED)
    count = data.draw(st.integers(0, len(plan.steps)))
    left = simulate(site, plan.steps[:count])
    assert why_not_rolling(left, REQUEST, NOTHING_PENDING, VISITED) is None
    again = plan_rolling(left, REQUEST, VISITED)
    assert len(again.steps) <= len(plan.steps)
    assert simulate(left, again.steps).graasp_versions == {str(NEW)}
    visitors_are_served(left, again.steps, _routed_to(plan.steps[:count]))


@given(rollable(), st.data())
def test_cut_off_at_any_step_it_can_be_rolled_back_without_closing(site: ObservedState, data: st.DataObject) -> None:
    plan = plan_rolling(site, REQUEST, VISITED)
    removed = next(index for index, step in enumerate(plan.steps) if isinstance(step, RemoveHandover))
    done = plan.steps[: data.draw(st.integers(0, removed))]
    left = simulate(site, done)
    back = plan_rolling_back(left, OLD, VISITED)
    end = simulate(left, back.steps)
    assert end.graasp_versions == {str(OLD)}
    assert not end.handovers
    if any(isinstance(step, StartHandover) for step in done):
        visitors_are_served(left, back.steps, _routed_to(done))


@given(rollable(), st.data(), st.sampled_from(InfraState))
def test_cut_off_at_any_step_every_other_command_ends_with_one_core(
    site: ObservedState, data: st.DataObject, target: InfraState
) -> None:
    plan = plan_rolling(site, REQUEST, VISITED)
    left = simulate(site, plan.steps[: data.draw(st.integers(0, len(plan.steps)))])
    for after in (plan_transition(left, target), plan_deploy(left, DeployRequest(NEW), NOTHING_PENDING)):
        end = simulate(left, after.steps)
        assert not end.handovers
        assert classify(end) == InState(after.target)


@given(rollable())
def test_no_core_is_stopped_undrained(site: ObservedState) -> None:
    steps = plan_rolling(site, REQUEST, VISITED).steps
    for before, step in pairwise(steps):
        if isinstance(step, RemoveHandover):
            assert isinstance(before, DrainSide)
        if isinstance(step, StopServices) and {*step.services} & {*VISITED}:
            assert isinstance(before, DrainSide)
        if isinstance(before, LeadVisitors):
            assert isinstance(step, VerifyCore)


def _routed_to(steps: tuple[Step, ...]) -> Side:
    led = [step.to for step in steps if isinstance(step, LeadVisitors)]
    return led[-1] if led else Side.SERVICES


def _as_current(site: ObservedState) -> tuple[ObservedService, ...]:
    return tuple(replace(service, outdated=False) for service in site.services)
