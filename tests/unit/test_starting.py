"""Waiting for services: patience with one that comes up by and by, a clear word about one that never will."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.engine.containers.recovery import progress_of_recovery
from graasp_local.errors import ConfigurationError, NeedsYou
from graasp_local.operations.steps.starting import (
    OPTIONAL_LIMIT_SECONDS,
    START_LIMIT_SECONDS,
    make_missing_databases,
    start_with_last_words,
    wait_until_on,
)
from graasp_local.planning.states import Health, InfraState, InState, Status, classify
from graasp_local.site.site import Site
from tests.unit.fakes import FakeWorld


def restarting(fake: FakeWorld, service: str) -> None:
    fake.state.observed = fake.state.observed.with_services((service,), Status.RESTARTING, Health.NONE)


def test_one_that_crashed_long_before_is_given_its_time(running: FakeWorld) -> None:
    restarting(running, "umami")
    running.engine.restart_count = 40

    def starts_at_last() -> None:
        running.state.observed = running.state.observed.with_services(("umami",), Status.RUNNING, Health.HEALTHY)

    running.clock.on_sleep = starts_at_last
    assert list(wait_until_on(running.world, ("umami",))) == []


def test_one_that_crashes_again_and_again_fails(running: FakeWorld) -> None:
    restarting(running, "umami")
    running.engine.restart_count = 40

    def crashes() -> None:
        running.engine.restart_count += 1

    running.clock.on_sleep = crashes
    with pytest.raises(NeedsYou, match="umami has crashed 3 times in a row"):
        list(wait_until_on(running.world, ("umami",)))


def without_umami(fake: FakeWorld, status: Status, health: Health) -> None:
    """umami, which Graasp serves without, is like this and stays so."""
    there = fake.state.observed.with_services(("umami",), status, health)
    services = tuple(replace(service, optional=service.name == "umami") for service in there.services)
    fake.state.observed = replace(there, services=services)


@pytest.mark.parametrize(
    ("status", "health", "said"),
    [
        (Status.RUNNING, Health.UNHEALTHY, "umami runs but does not become healthy"),
        (Status.EXITED, Health.NONE, "umami has exited instead of serving"),
        (Status.RUNNING, Health.STARTING, "umami is still starting after 30 s"),
    ],
)
def test_what_graasp_serves_without_is_reported_and_delays_no_operation(
    running: FakeWorld, status: Status, health: Health, said: str
) -> None:
    without_umami(running, status, health)
    began = running.clock.monotonic()
    lines = list(wait_until_on(running.world, ("umami", "core")))
    assert lines[-1] == f"{said}: Graasp works without it, so the operation continues"
    assert "  last words of umami" in lines
    assert running.clock.monotonic() - began <= OPTIONAL_LIMIT_SECONDS + 1


def test_a_site_that_lacks_only_what_graasp_serves_without_is_in_its_state(running: FakeWorld) -> None:
    without_umami(running, Status.EXITED, Health.NONE)
    found = classify(replace(running.state.observed, gate=running.state.flag))
    assert found == InState(InfraState.RUNNING, ("umami is stopped; Graasp works without it.",))


def test_a_part_that_was_switched_off_is_not_lacking_though_its_container_is_left(running: FakeWorld) -> None:
    without_umami(running, Status.EXITED, Health.NONE)
    observed = replace(running.state.observed, gate=running.state.flag)
    left = tuple(replace(service, is_defined=service.name != "umami") for service in observed.services)
    assert classify(replace(observed, services=left)) == InState(InfraState.RUNNING)


def test_a_service_with_a_database_gets_it_before_it_starts(running: FakeWorld) -> None:
    env = running.world.site.env_file
    env.write_text(env.read_text().replace("COMPOSE_PROFILES=", "COMPOSE_PROFILES=etherpad,"))
    running.world = replace(running.world, site=Site(running.world.site.directory))
    assert list(make_missing_databases(running.world, ("core", "etherpad"))) == ["created the database etherpad"]
    assert list(make_missing_databases(running.world, ("core", "etherpad"))) == []
    assert list(make_missing_databases(running.world, ("core",))) == []


def test_a_database_without_a_password_is_not_made(running: FakeWorld) -> None:
    override = running.world.site.override_file
    labels = "{ org.graasp.group: graasp, org.graasp.database: reports }"
    override.write_text(f"services: {{ reports: {{ image: x, labels: {labels} }} }}")
    running.world = replace(running.world, site=Site(running.world.site.directory))
    with pytest.raises(ConfigurationError, match="has no REPORTS_DB_PASSWORD"):
        list(make_missing_databases(running.world, ("reports",)))


def waiting_for_db(fake: FakeWorld, health: Health) -> None:
    fake.state.observed = fake.state.observed.with_services(("db",), Status.RUNNING, health)


@pytest.mark.parametrize("health", [Health.STARTING, Health.UNHEALTHY])
def test_a_database_that_recovers_is_waited_for_as_long_as_it_makes_progress(
    running: FakeWorld, health: Health
) -> None:
    waiting_for_db(running, health)
    running.engine.recovery = [f"redo in progress, elapsed time: {number}0.00 s" for number in range(1000)]
    began = running.clock.monotonic()

    def starts_after_half_an_hour() -> None:
        if running.clock.monotonic() - began > 1800:
            waiting_for_db(running, Health.HEALTHY)

    running.clock.on_sleep = starts_after_half_an_hour
    lines = list(wait_until_on(running.world, ("db",)))
    assert lines[0].startswith("db is recovering from a crash: redo in progress")
    assert running.clock.monotonic() - began > 1800


def test_a_database_that_makes_no_progress_is_not_waited_for(running: FakeWorld) -> None:
    waiting_for_db(running, Health.STARTING)
    running.engine.recovery = ["redo in progress, elapsed time: 10.00 s"] * 1000
    with pytest.raises(NeedsYou, match=f"db is still starting after {START_LIMIT_SECONDS:.0f} s"):
        list(wait_until_on(running.world, ("db",)))


def test_an_unhealthy_database_that_does_not_recover_fails_at_once(running: FakeWorld) -> None:
    waiting_for_db(running, Health.UNHEALTHY)
    began = running.clock.monotonic()
    with pytest.raises(NeedsYou, match="db runs but does not become healthy"):
        list(wait_until_on(running.world, ("db",)))
    assert running.clock.monotonic() == began


@pytest.mark.parametrize(
    ("processes", "log", "progress"),
    [
        (
            ["postgres", "postgres: startup"],
            ["LOG:  redo starts at 0/1549F48", "LOG:  redo in progress, elapsed time: 10.01 s", "FATAL:  starting up"],
            "LOG:  redo in progress, elapsed time: 10.01 s, postgres: startup",
        ),
        (
            ["postgres: startup recovering 00000001000000000000002A"],
            [],
            "postgres: startup recovering 00000001000000000000002A",
        ),
        (["postgres", "postgres: checkpointer"], ["LOG:  redo starts at 0/1549F48"], ""),
        (["postgres: startup"], ["LOG:  redo done at 0/2", "LOG:  database system is ready to accept connections"], ""),
    ],
)
def test_how_far_a_recovery_is(processes: list[str], log: list[str], progress: str) -> None:
    assert progress_of_recovery(processes, log) == progress


def test_one_that_others_wait_for_in_vain_has_its_last_lines_shown(running: FakeWorld) -> None:
    """Compose waits for what others depend on, and says nothing but that it is unhealthy."""
    running.state.observed = running.state.observed.with_services(("redis",), Status.RUNNING, Health.UNHEALTHY)

    def start() -> None:
        raise NeedsYou("Compose failed: dependency failed to start: container site-redis-1 is unhealthy.")

    told = start_with_last_words(running.world, ("redis", "core"), start)
    assert next(told) == "the health check of redis says: health check of redis: no"
    assert next(told).startswith("the end of the log of redis")
    assert next(told) == "  last words of redis"
    with pytest.raises(NeedsYou, match=r"redis is unhealthy\. Compose failed"):
        list(told)
