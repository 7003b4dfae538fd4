"""Waiting for services: patience with one that comes up by and by, a clear word about one that never will."""

from __future__ import annotations

import pytest

from graasp_local.errors import NeedsYou
from graasp_local.perform.starting import wait_until_on
from graasp_local.states import Health, Status
from tests.unit.fakes import FakeWorld


def restarting(fake: FakeWorld, service: str) -> None:
    fake.state.observed = fake.state.observed.with_services((service,), Status.RESTARTING, Health.NONE)


def test_one_that_crashed_long_before_is_given_its_time(running: FakeWorld) -> None:
    restarting(running, "umami")
    running.engine.restart_count = 40

    def comes_up() -> None:
        running.state.observed = running.state.observed.with_services(("umami",), Status.RUNNING, Health.HEALTHY)

    running.clock.on_sleep = comes_up
    assert list(wait_until_on(running.world, ("umami",))) == []


def test_one_that_crashes_again_and_again_is_given_up(running: FakeWorld) -> None:
    restarting(running, "umami")
    running.engine.restart_count = 40

    def crashes() -> None:
        running.engine.restart_count += 1

    running.clock.on_sleep = crashes
    with pytest.raises(NeedsYou, match="umami has crashed 3 times in a row"):
        list(wait_until_on(running.world, ("umami",)))
