"""Operations in a fake world, for tests to start, fail and interrupt."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graasp_local.journal.events import Event, OperationEnded, StepStarted
from graasp_local.operations import run
from graasp_local.operations.deployments import deployment_plan
from graasp_local.operations.plans import Shown
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.requests import Deploy, OnFailure
from graasp_local.planning.states import ObservedState
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld


def under_way(
    fake: FakeWorld,
    planner: Callable[[ObservedState], Plan],
    on_failure: OnFailure = OnFailure.HOLD,
    shown: Shown | None = None,
) -> Iterator[Event]:
    """Run an operation with the test's own planner. By default a failure is held, so that the test can inspect it."""
    return run.run(fake.world, Deploy("1.1.0", on_failure=on_failure), run.RunOptions(shown), planner)


def events_of(
    fake: FakeWorld, planner: Callable[[ObservedState], Plan], on_failure: OnFailure = OnFailure.HOLD
) -> list[Event]:
    return list(under_way(fake, planner, on_failure))


def deploying(fake: FakeWorld, version: str = "1.1.0", **request: object) -> Callable[[ObservedState], Plan]:
    wanted = DeployRequest(Version.parse(version), **request)  # type: ignore[arg-type]
    return lambda observed: deployment_plan(fake.world, observed, wanted)


def ended_of(events: list[Event]) -> OperationEnded:
    ended = events[-1]
    assert isinstance(ended, OperationEnded)
    return ended


def deploy(
    fake: FakeWorld, version: str = "1.1.0", on_failure: OnFailure = OnFailure.HOLD, **request: object
) -> OperationEnded:
    """Run a deployment. By default a failure is held, so that the test can inspect it."""
    return ended_of(events_of(fake, deploying(fake, version, **request), on_failure=on_failure))


def killed_at(fake: FakeWorld, name: str, planner: Callable[[ObservedState], Plan] | None = None) -> None:
    """Run an operation, by default a deployment of 1.1.0, and stop dead once the named step has started."""
    for event in under_way(fake, planner or deploying(fake), OnFailure.ROLLBACK):
        if isinstance(event, StepStarted) and event.name == name:
            return
