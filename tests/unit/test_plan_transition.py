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
close the gate
prove that the gate is closed
"""
OPEN = """
ask core for its version and its database
open the gate
prove that the gate is open
"""
END = "end connections from before the gate closed (requests may finish within 10 s)\n"
START_GRAASP = "start redis, core and workers and wait until healthy\n"
DRAIN = "let requests in flight finish (at most 10 s)\n"
STOP_GRAASP = "stop redis, core and workers\n"

STOP_ALL = "stop umami\nstop db\nstop nginx\n"
FROM_NOTHING = (
    "check the configuration of nginx\nclose the gate\nstart nginx and wait until healthy\n"
    "prove that the gate is closed\nstart db and wait until healthy\nstart umami and wait until healthy\n"
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


START_BEHIND_PAGE = "start db and wait until healthy\nstart umami and wait until healthy\n"


@pytest.mark.parametrize(
    ("before", "after", "plan"),
    [
        (R, X, CLOSE + DRAIN + STOP_GRAASP + "stop umami\nstop db\n"),
        (D, X, "stop umami\nstop db\n"),
        (X, R, START_BEHIND_PAGE + START_GRAASP + OPEN),
        (X, D, START_BEHIND_PAGE),
        (X, X, ""),
    ],
)
def test_where_the_page_stays_nginx_is_left_alone(before: InfraState, after: InfraState, plan: str) -> None:
    site = site_in(before, page_when_stopped=True)
    assert titles(site, after) == [line for line in plan.splitlines() if line]


def test_the_wish_for_the_page_is_met_in_stopped_too() -> None:
    page = site_in(X, page_when_stopped=True)
    assert titles(replace(page, page_when_stopped=False), X) == ["stop nginx"]
    assert titles(replace(site_in(X), page_when_stopped=True), X) == [
        "check the configuration of nginx",
        "close the gate",
        "start nginx and wait until healthy",
        "prove that the gate is closed",
    ]


def test_a_stop_says_that_visitors_then_reach_nothing_and_how_to_keep_the_page() -> None:
    last = plan_transition(site_in(R), X).steps[-1]
    assert last.title == "stop nginx"
    assert last.cause == "visitors reach nothing in stopped; STOPPED_PAGE=on keeps nginx and its page"


def test_an_nginx_that_does_not_answer_stops_first_and_nobody_waits_for_its_requests() -> None:
    stuck = replace(site_in(R).with_services(("nginx",), Status.RUNNING, Health.UNHEALTHY), gate=Gate.UNKNOWN)
    silent = replace(site_in(R), gate=Gate.UNKNOWN)
    for site in (stuck, silent):
        assert titles(site, X) == ["close the gate", "stop nginx", *STOP_GRAASP.splitlines(), "stop umami", "stop db"]
    gone = site_in(R).with_services(("nginx",), Status.EXITED, Health.NONE)
    assert titles(replace(gone, gate=Gate.UNKNOWN), X) == [*STOP_GRAASP.splitlines(), "stop umami", "stop db"]


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


def test_an_nginx_that_starts_anew_has_no_connections_from_before() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert "end-connections" not in [step.name for step in plan_transition(outdated, S).steps]


def test_a_new_site_comes_up_behind_a_closed_gate() -> None:
    assert render(plan_transition(new_site(), R)).splitlines() == [
        f"{number:>2}  {closed:<6}  {what:<52}  because {cause}"
        for number, closed, what, cause in [
            (1, "", "check the configuration of nginx", "one that it refuses would take the site down"),
            (2, "closed", "close the gate", "not all is up yet"),
            (3, "closed", "start nginx and wait until healthy", "nginx shows the maintenance page"),
            (4, "closed", "prove that the gate is closed", "whether visitors are kept out is proven by asking as one"),
            (5, "closed", "start db and wait until healthy", "running needs database"),
            (6, "closed", "start umami and wait until healthy", "running needs administration"),
            (7, "closed", "start redis, core and workers and wait until healthy", "running needs graasp"),
            (8, "closed", "ask core for its version and its database", "the gate opens only onto a core that answers"),
            (9, "closed", "open the gate", "running lets visitors in"),
            (10, "", "prove that the gate is open", "whether visitors get in is proven by asking as one"),
        ]
    ]


def test_a_crashed_worker_is_mended_without_closing_the_site() -> None:
    site = site_in(R).with_services(("workers",), Status.EXITED, Health.NONE)
    assert titles(site, R) == [
        "start workers and wait until healthy",
        "ask core for its version and its database",
    ]


def test_an_unhealthy_core_is_stopped_before_it_is_started_again() -> None:
    site = site_in(R).with_services(("core",), Status.RUNNING, Health.UNHEALTHY)
    assert titles(site, R)[:2] == ["stop core", "start core and wait until healthy"]


def test_an_unhealthy_database_restarts_with_everything_that_needs_it_behind_a_closed_gate() -> None:
    site = site_in(R).with_services(("db",), Status.RUNNING, Health.UNHEALTHY)
    assert titles(site, R) == [
        "close the gate",
        "prove that the gate is closed",
        "let requests in flight finish (at most 10 s)",
        "stop redis, core and workers",
        "stop umami",
        "stop db",
        "start db and wait until healthy",
        "start umami and wait until healthy",
        "start redis, core and workers and wait until healthy",
        "ask core for its version and its database",
        "open the gate",
        "prove that the gate is open",
    ]


def test_a_site_whose_nginx_died_is_closed_before_nginx_starts() -> None:
    site = replace(site_in(R).with_services(("nginx",), Status.EXITED, Health.NONE), gate=Gate.UNKNOWN)
    assert titles(site, R)[:4] == [
        "check the configuration of nginx",
        "close the gate",
        "start nginx and wait until healthy",
        "prove that the gate is closed",
    ]


def test_an_nginx_that_is_healthy_and_silent_is_started_anew() -> None:
    assert titles(replace(site_in(R), gate=Gate.UNKNOWN), R)[:5] == [
        "check the configuration of nginx",
        "close the gate",
        "stop nginx",
        "start nginx and wait until healthy",
        "prove that the gate is closed",
    ]


@pytest.mark.parametrize("target", InfraState)
def test_a_gate_that_was_left_shut_is_closed_and_nginx_goes_on(target: InfraState) -> None:
    planned = titles(replace(site_in(R, page_when_stopped=True), gate=Gate.SHUT), target)
    assert planned[:2] == ["close the gate", "prove that the gate is closed"]
    assert "stop nginx" not in planned


def test_a_core_with_old_settings_is_made_anew_without_closing_the_site() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "core") for s in site.services))
    assert titles(outdated, R)[0] == "start core and wait until healthy"


def test_an_nginx_with_old_settings_is_made_anew_behind_a_closed_gate() -> None:
    site = site_in(R)
    outdated = replace(site, services=tuple(replace(s, outdated=s.name == "nginx") for s in site.services))
    assert titles(outdated, R)[:4] == [
        "check the configuration of nginx",
        "close the gate",
        "start nginx and wait until healthy",
        "prove that the gate is closed",
    ]


def test_the_gate_opens_only_onto_the_selected_version() -> None:
    plan = plan_transition(site_in(S), R, Version(1, 1, 0))
    assert plan.steps[0].title == "ask core whether it is 1.1.0"


def test_nothing_to_do_is_said() -> None:
    assert render(plan_transition(site_in(R), R)) == "Nothing to do: already running."
