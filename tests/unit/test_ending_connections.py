"""What was open before the gate closed: requests are waited for within a limit, the rest is ended."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.errors import Interrupted, NeedsYou
from graasp_local.journal.events import OperationEnded, Outcome
from graasp_local.journal.records import OperationRecord, left_connections_open
from graasp_local.operations.deployments import transition_plan
from graasp_local.operations.steps.ending_connections import end_connections
from graasp_local.planning.states import InfraState
from tests.unit.fakes import FakeWorld
from tests.unit.operating import under_way
from tests.unit.sites import site_in

DONE = {"outcome": "done", "seconds": 0.1}


def told(fake: FakeWorld, limit: float = 10.0) -> list[str]:
    return [*end_connections(fake.world, limit)]


def test_where_nothing_is_open_nginx_is_left_alone(fake: FakeWorld) -> None:
    assert told(fake) == []
    assert fake.state.calls == []


def test_websockets_are_ended_at_once_and_counted(fake: FakeWorld) -> None:
    fake.old_connections.held_open = 3
    began = fake.clock.seconds
    assert told(fake) == ["ended 3 connection(s) from before the gate closed, such as websockets"]
    assert fake.state.calls == ["set-apart", "end-connections"]
    assert fake.clock.seconds == began


def test_requests_are_waited_for_and_cut_at_the_limit(fake: FakeWorld) -> None:
    fake.old_connections.requests_left = [2, 1, 0]
    assert told(fake) == []
    fake.old_connections.requests_left = [1] * 1000
    assert told(fake, limit=1.0)[0] == "1 request(s) still running after 1 s: they will be cut off"


def test_an_nginx_that_does_not_obey_is_reported_with_what_helps(fake: FakeWorld) -> None:
    fake.old_connections.held_open, fake.old_connections.obeys = 1, False
    with pytest.raises(NeedsYou, match="still open"):
        told(fake)


def test_an_interruption_ends_the_waiting_and_not_the_closing(fake: FakeWorld) -> None:
    fake.old_connections.requests_left = [1] * 1000
    fake.interruption.request()
    with pytest.raises(Interrupted):
        told(fake)
    assert fake.state.calls[-1] == "end-connections"


def record(*started: str, outcome: str | None = None, ended: tuple[str, ...] = ()) -> OperationRecord:
    return OperationRecord(
        "0001-apply-restricted",
        "graasp-local apply restricted",
        "",
        None,
        outcome,
        "",
        None,
        None,
        started,
        tuple({"name": name, **DONE} for name in ended),
    )


def test_a_closing_that_was_cut_off_left_open_what_was() -> None:
    assert left_connections_open(record("close-gate"))
    assert left_connections_open(record("close-gate", "prove-closed", "end-connections", outcome="failed"))
    assert not left_connections_open(record("close-gate", "end-connections", ended=("end-connections",)))
    assert not left_connections_open(record("close-gate", outcome="done"))
    assert not left_connections_open(record("close-gate", "drain", "stop-graasp"))
    assert not left_connections_open(record("start-graasp"))


def test_restricted_that_was_killed_while_closing_is_ended_by_the_next_one(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.RUNNING))
    fake.old_connections.held_open, fake.old_connections.obeys = 1, False
    planner = lambda observed: transition_plan(fake.world, observed, InfraState.RESTRICTED)  # noqa: E731
    for _ in under_way(fake, planner):
        pass
    assert transition_plan(fake.world, fake.world.observe(), InfraState.RESTRICTED).steps != ()
    fake.old_connections.obeys = True
    for _ in under_way(fake, planner):
        pass
    assert fake.old_connections.held_open == 0
    assert transition_plan(fake.world, fake.world.observe(), InfraState.RESTRICTED).steps == ()


def test_an_nginx_that_would_not_start_is_refused_before_the_gate_closes(fake: FakeWorld) -> None:
    observed = site_in(InfraState.RUNNING)
    services = tuple(replace(service, outdated=service.name == "nginx") for service in observed.services)
    fake.become(replace(observed, services=services))
    fake.engine.refuses_edge = 'unknown directive "x" in /etc/nginx/conf.d/15-addresses.conf:3'
    planner = lambda observed: transition_plan(fake.world, observed, InfraState.RUNNING)  # noqa: E731
    ended = [*under_way(fake, planner)][-1]
    assert isinstance(ended, OperationEnded)
    assert ended.outcome is Outcome.REFUSED
    assert 'nginx refuses its configuration: unknown directive "x"' in " ".join(ended.problem)
    assert fake.state.calls == []
