"""Walks in a fake world, for tests to begin, to fail and to cut off."""

from __future__ import annotations

from collections.abc import Callable

from graasp_local.journal.events import Event, StepStarted, WalkEnded
from graasp_local.operations import run
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.states import ObservedState
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld


def events_of(fake: FakeWorld, planner: Callable[[ObservedState], Plan], **walk: object) -> list[Event]:
    wanted = run.Walk(planner, "graasp-local deploy", "deploy", **walk)  # type: ignore[arg-type]
    return list(run.run(fake.world, wanted))


def deploying(fake: FakeWorld, version: str = "1.1.0", **request: object) -> Callable[[ObservedState], Plan]:
    wanted = DeployRequest(Version.parse(version), **request)  # type: ignore[arg-type]
    return lambda observed: run.deployment_plan(fake.world, observed, wanted)


def ended_of(events: list[Event]) -> WalkEnded:
    ended = events[-1]
    assert isinstance(ended, WalkEnded)
    return ended


def deploy(
    fake: FakeWorld, version: str = "1.1.0", on_failure: run.OnFailure = run.OnFailure.HOLD, **request: object
) -> WalkEnded:
    """By default a failure is held, so that what it left behind can be looked at."""
    return ended_of(events_of(fake, deploying(fake, version, **request), on_failure=on_failure))


def killed_at(fake: FakeWorld, name: str, planner: Callable[[ObservedState], Plan] | None = None) -> None:
    """Walk, by default a deployment of 1.1.0, until a step has started, then be gone."""
    walk = run.Walk(planner or deploying(fake), "deploy", "deploy", on_failure=run.OnFailure.ROLLBACK)
    for event in run.run(fake.world, walk):
        if isinstance(event, StepStarted) and event.name == name:
            return
