"""The table of states, and which state a site is in."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.states import (
    TABLE,
    Absent,
    Drifted,
    Gate,
    Health,
    InfraState,
    InState,
    ObservedState,
    ServiceGroup,
    Status,
    classify,
    differences,
    is_in,
    row_of,
    state_name,
)
from tests.unit.sites import SERVICES, new_site, site_in


def test_the_table_is_graasps_own() -> None:
    rows = {
        state.value: (row.gate.value, " ".join(sorted(group.value for group in row.groups_on)))
        for state, row in TABLE.items()
    }
    assert rows == {
        "running": ("open", "administration database edge graasp"),
        "restricted": ("closed", "administration database edge graasp"),
        "db-only": ("closed", "administration database edge"),
        "stopped": ("closed", ""),
    }
    stopped = row_of(InfraState.STOPPED, page_when_stopped=True)
    assert (stopped.gate, stopped.groups_on) == (Gate.CLOSED, frozenset({ServiceGroup.EDGE}))


@pytest.mark.parametrize("page", [True, False])
@pytest.mark.parametrize("state", InfraState)
def test_a_site_that_fits_a_row_is_in_that_state(state: InfraState, *, page: bool) -> None:
    assert classify(site_in(state, page_when_stopped=page)) == InState(state)


def test_nginx_in_stopped_is_drift_where_the_page_is_not_wanted_and_its_absence_where_it_is() -> None:
    with_page = site_in(InfraState.STOPPED, page_when_stopped=True)
    without = site_in(InfraState.STOPPED)
    assert classify(replace(with_page, page_when_stopped=False)) == Drifted(
        InfraState.STOPPED, ("nginx is running, but should be off in the state stopped.",)
    )
    assert classify(replace(without, page_when_stopped=True)) == Drifted(
        InfraState.STOPPED,
        (
            "nginx is stopped, but should be on in the state stopped.",
            "nginx does not answer, but the gate should be closed in the state stopped.",
        ),
    )


def test_an_nginx_that_does_not_listen_at_its_new_address_yet_is_reported_so() -> None:
    """As after switching on HTTPS: it is asked where `.env` says, and serves at the old address."""
    site = site_in(InfraState.RUNNING)
    outdated = tuple(replace(service, outdated=service.name == "nginx") for service in site.services)
    assert differences(replace(site, gate=Gate.UNKNOWN, services=outdated), InfraState.RUNNING) == (
        "nginx still runs with old settings: .env or the stack has changed since.",
        "nginx does not answer at the address that .env names now, but the gate should be open in the state running.",
    )


def test_a_site_without_containers_is_absent() -> None:
    assert classify(new_site()) == Absent()
    assert state_name(classify(new_site())) == "absent"
    assert is_in(new_site(), InfraState.STOPPED)  # there is nothing that `apply stopped` would have to stop


@pytest.mark.parametrize(
    ("status", "health", "sentence"),
    [
        (Status.EXITED, Health.NONE, "core is stopped, but should be on in the state running."),
        (Status.RUNNING, Health.UNHEALTHY, "core is unhealthy, but should be on in the state running."),
        (Status.RUNNING, Health.STARTING, "core is still starting, but should be on in the state running."),
        (Status.RESTARTING, Health.NONE, "core is restarting, but should be on in the state running."),
        (Status.ABSENT, Health.NONE, "core is absent, but should be on in the state running."),
    ],
)
def test_drift_names_each_difference_and_the_command_that_fixes_it(
    status: Status, health: Health, sentence: str
) -> None:
    site = site_in(InfraState.RUNNING).with_services(("core",), status, health)
    assert classify(site) == Drifted(InfraState.RUNNING, (sentence,))
    assert Drifted(InfraState.RUNNING, ()).fixing_command == "graasp-local apply running"


def test_a_site_that_is_off_altogether_differs_from_the_state_that_it_was_left_in() -> None:
    off = site_in(InfraState.RUNNING).with_services(tuple(SERVICES), Status.EXITED, Health.NONE)
    off = replace(off, gate=Gate.UNKNOWN)
    assert classify(off) == classify(off, InfraState.STOPPED) == InState(InfraState.STOPPED)
    left = classify(off, InfraState.RUNNING)
    assert isinstance(left, Drifted)
    assert left.nearest is InfraState.RUNNING
    assert "core is stopped, but should be on in the state running." in left.differences


def test_a_site_that_was_brought_into_another_state_by_hand_is_in_that_state() -> None:
    assert classify(site_in(InfraState.DB_ONLY), InfraState.RUNNING) == InState(InfraState.DB_ONLY)


def test_an_open_gate_in_db_only_is_drift() -> None:
    site = replace(site_in(InfraState.DB_ONLY), gate=Gate.OPEN)
    assert classify(site) == Drifted(
        InfraState.DB_ONLY, ("The gate is open, but should be closed in the state db-only.",)
    )


def test_a_migration_belongs_to_db_only_alone() -> None:
    migrating = replace(site_in(InfraState.DB_ONLY), migrations=("site-migrate-run-1",))
    assert classify(migrating) == InState(InfraState.DB_ONLY)
    misplaced = replace(site_in(InfraState.RUNNING), migrations=("site-migrate-run-1",))
    assert isinstance(classify(misplaced), Drifted)


def test_a_service_of_your_own_is_governed_by_its_group() -> None:
    site = site_in(InfraState.DB_ONLY)
    own = replace(site.services[0], name="search", group=ServiceGroup.GRAASP)
    drifted = classify(ObservedState((*site.services, own), site.gate))
    assert drifted == Drifted(InfraState.DB_ONLY, ("search is running, but should be off in the state db-only.",))


def test_two_versions_at_once_are_noticed() -> None:
    site = site_in(InfraState.RUNNING).with_services(("core",), Status.RUNNING, Health.HEALTHY, "1.1.0")
    assert site.graasp_versions == {"1.0.0", "1.1.0"}
