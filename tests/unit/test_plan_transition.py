"""Changes of state, each as the plan that a person would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.plan import render
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState, Status
from graasp_local.version import Version
from tests.unit.sites import new_site, site_in

R, S, D, X = InfraState.RUNNING, InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED

CLOSE = """
Close the gate
Verify that the gate is closed
"""
OPEN = """
Verify that core and its database answer
Open the gate
Verify that the gate is open
"""
END = "End connections opened before the gate closed (requests get 10 s)\n"
START_GRAASP = "Start redis, core and workers and wait until healthy\n"
DRAIN = "Wait for requests in flight to finish (limit 10 s)\n"
STOP_GRAASP = "Stop redis, core and workers\n"

STOP_ALL = "Stop umami\nStop db\nStop nginx\n"
FROM_NOTHING = (
    "Check the configuration of nginx\nClose the gate\nStart nginx and wait until healthy\n"
    "Verify that the gate is closed\nStart db and wait until healthy\nStart umami and wait until healthy\n"
)

PLANS = {
    (R, S): CLOSE + END,
    (R, D): CLOSE + DRAIN + STOP_GRAASP,
    (R, X): CLOSE + DRAIN + STOP_GRAASP + STOP_ALL,
    (S, R): OPEN,
    (S, D): DRAIN + STOP_GRAASP,
    (S, X): DRAIN + STOP_GRAASP + STOP_ALL,
    (D, R): START_GRAASP + OPEN,
    (D, S): START_GRAASP,
    (D, X): STOP_ALL,
    (X, R): FROM_NOTHING + START_GRAASP + OPEN,
    (X, S): FROM_NOTHING + START_GRAASP,
    (X, D): FROM_NOTHING,
}


def titles(observed: ObservedState, target: InfraState) -> list[str]:
    return [step.title for step in plan_transition(observed, target).steps]


@pytest.mark.parametrize(("before", "after"), PLANS)
def test_every_change_between_two_states(before: InfraState, after: InfraState) -> None:
    assert titles(site_in(before), after) == [line for line in PLANS[before, after].splitlines() if line]


START_BEHIND_PAGE = "Start db and wait until healthy\nStart umami and wait until healthy\n"


@pytest.mark.parametrize(
    ("before", "after", "plan"),
    [
        (R, X, CLOSE + DRAIN + STOP_GRAASP + "Stop umami\nStop db\n"),
        (D, X, "Stop umami\nStop db\n"),
        (X, R, START_BEHIND_PAGE + START_GRAASP + OPEN),
        (X, D, START_BEHIND_PAGE),
        (X, X, ""),
    ],
)
def test_where_the_page_stays_nginx_is_left_alone(before: InfraState, after: InfraState, plan: str) -> None:
    site = site_in(before, page_when_stopped=True)
    assert titles(site, after) == [line for line in plan.splitlines() if line]


def test_the_setting_for_the_page_applies_in_stopped_too() -> None:
    page = site_in(X, page_when_stopped=True)
    assert titles(replace(page, page_when_stopped=False), X) == ["Stop nginx"]
    assert titles(replace(site_in(X), page_when_stopped=True), X) == [
        "Check the configuration of nginx",
        "Close the gate",
        "Start nginx and wait until healthy",
        "Verify that the gate is closed",
    ]


def test_a_stop_says_that_visitors_then_reach_nothing_and_how_to_keep_the_page() -> None:
    last = plan_transition(site_in(R), X).steps[-1]
    assert last.title == "Stop nginx"
    assert last.cause == "stopped serves nothing; STOPPED_PAGE=on would keep nginx and its page"


def test_an_nginx_that_does_not_answer_stops_first_without_waiting_for_its_requests() -> None:
    stuck = replace(site_in(R).with_services(("nginx",), Status.RUNNING, Health.UNHEALTHY), gate=Gate.UNKNOWN)
    silent = replace(site_in(R), gate=Gate.UNKNOWN)
    for site in (stuck, silent):
        assert titles(site, X) == ["Close the gate", "Stop nginx", *STOP_GRAASP.splitlines(), "Stop umami", "Stop db"]
    gone = site_in(R).with_services(("nginx",), Status.EXITED, Health.NONE)
    assert titles(replace(gone, gate=Gate.UNKNOWN), X) == [*STOP_GRAASP.splitlines(), "Stop umami", "Stop db"]


def test_settings_of_an_nginx_that_is_going_to_stop_need_not_be_taken_over() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert titles(outdated, X) == titles(site, X)


@pytest.mark.parametrize("state", InfraState)
def test_a_site_that_is_there_already_needs_no_step(state: InfraState) -> None:
    assert plan_transition(site_in(state), state).steps == ()


def test_what_a_closing_that_was_cut_off_left_open_is_ended() -> None:
    site = site_in(S)
    assert [step.name for step in plan_transition(site, S, left_open=True).steps] == ["end-connections"]
    assert "end-connections" not in [step.name for step in plan_transition(site, D, left_open=True).steps]
    assert plan_transition(site_in(D), D, left_open=True).steps == ()


def test_a_recreated_nginx_has_no_connections_from_before() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert "end-connections" not in [step.name for step in plan_transition(outdated, S).steps]


def test_a_new_site_comes_up_behind_a_closed_gate() -> None:
    assert render(plan_transition(new_site(), R)).splitlines() == [
        f"{number:>2}  {closed:<6}  {what:<52}  because {cause}"
        for number, closed, what, cause in [
            (1, "", "Check the configuration of nginx", "a configuration that nginx refuses would take the site down"),
            (2, "closed", "Close the gate", "not everything is up yet"),
            (3, "closed", "Start nginx and wait until healthy", "nginx shows the maintenance page"),
            (
                4,
                "closed",
                "Verify that the gate is closed",
                "only a visitor's request proves that visitors are kept out",
            ),
            (5, "closed", "Start db and wait until healthy", "running needs the database group"),
            (6, "closed", "Start umami and wait until healthy", "running needs the administration group"),
            (7, "closed", "Start redis, core and workers and wait until healthy", "running needs the graasp group"),
            (8, "closed", "Verify that core and its database answer", "the gate opens only if core answers"),
            (9, "closed", "Open the gate", "running lets visitors in"),
            (10, "", "Verify that the gate is open", "only a visitor's request proves that visitors get in"),
        ]
    ]


def test_a_crashed_worker_is_fixed_without_closing_the_site() -> None:
    site = site_in(R).with_services(("workers",), Status.EXITED, Health.NONE)
    assert titles(site, R) == [
        "Start workers and wait until healthy",
        "Verify that core and its database answer",
    ]


def test_an_unhealthy_core_is_stopped_before_it_is_started_again() -> None:
    site = site_in(R).with_services(("core",), Status.RUNNING, Health.UNHEALTHY)
    assert titles(site, R)[:2] == ["Stop core", "Start core and wait until healthy"]


def test_an_unhealthy_database_restarts_with_everything_that_needs_it_behind_a_closed_gate() -> None:
    site = site_in(R).with_services(("db",), Status.RUNNING, Health.UNHEALTHY)
    assert titles(site, R) == [
        "Close the gate",
        "Verify that the gate is closed",
        "Wait for requests in flight to finish (limit 10 s)",
        "Stop redis, core and workers",
        "Stop umami",
        "Stop db",
        "Start db and wait until healthy",
        "Start umami and wait until healthy",
        "Start redis, core and workers and wait until healthy",
        "Verify that core and its database answer",
        "Open the gate",
        "Verify that the gate is open",
    ]


def test_a_site_whose_nginx_died_is_closed_before_nginx_starts() -> None:
    site = replace(site_in(R).with_services(("nginx",), Status.EXITED, Health.NONE), gate=Gate.UNKNOWN)
    assert titles(site, R)[:4] == [
        "Check the configuration of nginx",
        "Close the gate",
        "Start nginx and wait until healthy",
        "Verify that the gate is closed",
    ]


def test_an_nginx_that_is_healthy_and_silent_is_recreated() -> None:
    assert titles(replace(site_in(R), gate=Gate.UNKNOWN), R)[:5] == [
        "Check the configuration of nginx",
        "Close the gate",
        "Stop nginx",
        "Start nginx and wait until healthy",
        "Verify that the gate is closed",
    ]


@pytest.mark.parametrize("target", InfraState)
def test_the_cause_for_stopping_a_silent_nginx_says_whether_its_address_may_have_changed(target: InfraState) -> None:
    def cause(observed: ObservedState) -> str:
        steps = plan_transition(observed, target).steps
        return next(step.cause for step in steps if step.title == "Stop nginx")

    site = replace(site_in(R), gate=Gate.UNKNOWN)
    moved = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert cause(site) == "it is running but does not answer"
    assert cause(moved) == "it runs with its old settings and does not answer at the address that .env names now"


@pytest.mark.parametrize("target", InfraState)
def test_a_gate_that_was_left_sealed_is_closed_and_nginx_keeps_running(target: InfraState) -> None:
    planned = titles(replace(site_in(R, page_when_stopped=True), gate=Gate.SEALED), target)
    assert planned[:2] == ["Close the gate", "Verify that the gate is closed"]
    assert "Stop nginx" not in planned


def test_a_core_with_old_settings_is_recreated_without_closing_the_site() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "core") for s in site.services))
    start = plan_transition(outdated, R).steps[0]
    assert start.title == "Start core and wait until healthy"
    assert start.cause.startswith("its settings have changed; requests in flight are cut off, and visitors see the mai")
    behind = plan_transition(replace(outdated, gate=Gate.CLOSED), InfraState.RESTRICTED).steps[0]
    assert (behind.title, behind.cause) == (start.title, "its settings have changed")


def test_an_nginx_with_old_settings_is_recreated_behind_a_closed_gate() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert titles(outdated, R)[:4] == [
        "Check the configuration of nginx",
        "Close the gate",
        "Start nginx and wait until healthy",
        "Verify that the gate is closed",
    ]


def test_the_gate_opens_only_onto_the_selected_version() -> None:
    plan = plan_transition(site_in(S), R, Version(1, 1, 0))
    assert plan.steps[0].title == "Verify that core answers as 1.1.0"


def test_nothing_to_do_is_reported() -> None:
    assert render(plan_transition(site_in(R), R)) == "Nothing to do: the site is already running."
