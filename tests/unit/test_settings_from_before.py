"""A rollback starts what ran before with the settings and the override with which it was last known to work."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from graasp_local.errors import ExitCode
from graasp_local.journal.events import Event, OperationEnded, RollbackStarted, StepStarted
from graasp_local.operations import run
from graasp_local.planning.requests import ChangeState, Deploy, OnFailure, Request, Resume, Rollback
from graasp_local.planning.states import Gate, InfraState
from graasp_local.planning.steps import StartServices, UseEarlierSettings
from graasp_local.settings.rotation import Rotation
from graasp_local.site import proven, rotate
from graasp_local.site.affected import outdated
from graasp_local.site.site import Site
from tests.unit.fakes import FakeWorld
from tests.unit.operating import ended_of
from tests.unit.sites import site_in
from tests.unit.test_rotation import FakeRoles

BAD = "LOG_LEVEL=unheard-of"


def command(fake: FakeWorld, request: Request) -> Iterator[Event]:
    """As another process: it reads the site's files again."""
    site = Site(fake.directory)
    fake.world, fake.engine.site = replace(fake.world, site=site), site
    return run.run(fake.world, request)


def done(fake: FakeWorld, request: Request) -> OperationEnded:
    return ended_of(list(command(fake, request)))


def spoil(fake: FakeWorld) -> None:
    env = fake.directory / ".env"
    env.write_text(f"{env.read_text()}\n{BAD}\n")
    fake.engine.dying_with = BAD
    fake.state.observed = outdated(fake.state.observed, ["core"])  # as its label says


@pytest.fixture
def proven_site(running: FakeWorld) -> FakeWorld:
    """A site of which a command has seen that it works."""
    done(running, ChangeState(InfraState.RUNNING))
    return running


def test_a_setting_with_which_no_version_comes_up_is_left_out_of_the_way_back(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    events = list(command(proven_site, Deploy("1.1.0")))
    ended = ended_of(events)
    assert (ended.exit_code, ended.state, ended.version) == (ExitCode.ROLLED_BACK, "running", "1.0.0")
    assert "settings from before LOG_LEVEL changed" in ended.problem[1]
    assert "correct or revert it first" in ended.problem[1]
    back = next(event.plan for event in events if isinstance(event, RollbackStarted))
    assert back.steps[0].title == "Use the settings from before LOG_LEVEL changed"
    assert BAD in (proven_site.directory / ".env").read_text()


def test_so_is_an_override_and_one_that_was_not_there_before(proven_site: FakeWorld) -> None:
    override = proven_site.directory / "compose.override.yaml"
    override.write_text("services: {core: {entrypoint: /nonexistent}}\n")
    proven_site.state.observed = outdated(proven_site.state.observed, ["core"])
    kept = proven.as_proven(Site(proven_site.directory))
    assert kept is not None
    assert override not in kept.compose_files
    assert proven.changed_since(Site(proven_site.directory), kept) == ("compose.override.yaml",)
    proven_site.engine.never_on_version = "1.1.0"
    ended = done(proven_site, Deploy("1.1.0"))
    assert ended.exit_code is ExitCode.ROLLED_BACK
    assert "compose.override.yaml" in ended.problem[1]


@pytest.mark.parametrize("state", [InfraState.RUNNING, InfraState.RESTRICTED])
def test_a_change_of_state_that_cannot_bring_them_into_effect_is_taken_back(
    proven_site: FakeWorld, state: InfraState
) -> None:
    spoil(proven_site)
    ended = done(proven_site, ChangeState(state))
    assert (ended.exit_code, ended.state, ended.gate) == (ExitCode.ROLLED_BACK, "running", Gate.OPEN)
    assert ended.problem[1].startswith("The site is running as before. It runs with the settings from before LOG_LEVEL")


def test_any_other_change_of_state_stops_where_it_failed(proven_site: FakeWorld) -> None:
    proven_site.engine.dying_with = "COMPOSE_PROJECT_NAME"
    proven_site.state.observed = outdated(proven_site.state.observed, ["core"])
    ended = done(proven_site, ChangeState(InfraState.RUNNING))
    assert ended.exit_code is ExitCode.NEEDS_YOU


@pytest.mark.parametrize("state", [InfraState.STOPPED, InfraState.DB_ONLY])
def test_a_site_that_served_nothing_is_as_it_was_if_they_cannot_be_brought_into_effect(
    proven_site: FakeWorld, state: InfraState
) -> None:
    done(proven_site, ChangeState(state))
    spoil(proven_site)
    ended = done(proven_site, ChangeState(InfraState.RUNNING))
    assert (ended.exit_code, ended.state) == (ExitCode.ROLLED_BACK, state)
    assert ended.problem[1] == (
        f"The site is {state} as before. Changed since it was last known to work: LOG_LEVEL. Correct or "
        "revert that, then try again."
    )


def test_what_no_container_was_made_from_yet_is_not_known_to_work(proven_site: FakeWorld) -> None:
    override = proven_site.directory / "compose.override.yaml"
    override.write_text("services: {db: {entrypoint: /nonexistent}}\n")
    proven_site.engine.created["db"] = override.stat().st_mtime - 60
    done(proven_site, ChangeState(InfraState.RESTRICTED))
    kept = proven.as_proven(Site(proven_site.directory))
    assert kept is not None
    assert not kept.override_file.exists()
    del proven_site.engine.created["db"]
    done(proven_site, ChangeState(InfraState.RUNNING))
    assert proven.as_proven(Site(proven_site.directory)) is None  # what is kept and what counts are the same


def test_a_file_that_is_broken_while_the_gate_is_closed_does_not_break_the_way_back(proven_site: FakeWorld) -> None:
    proven_site.engine.never_on_version = "1.1.0"
    ended = None
    for event in command(proven_site, Deploy("1.1.0")):
        if isinstance(event, StepStarted) and event.name == "migrate":
            (proven_site.directory / ".env").write_text("this is no setting\n")
        ended = event
    assert isinstance(ended, OperationEnded)
    assert (ended.exit_code, ended.version) == (ExitCode.ROLLED_BACK, "1.0.0")
    assert ".env changed" in ended.problem[1]


def test_the_plan_says_what_the_way_back_would_do_without(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    world = replace(proven_site.world, site=Site(proven_site.directory))
    plan = run.shown_plan(world, Deploy("1.1.0")).plan
    assert plan.hint.startswith("Changed since the site was last known to work: LOG_LEVEL. If 1.1.0 does not come up, ")
    assert not run.shown_plan(world, Deploy("1.1.0", on_failure=OnFailure.HOLD)).plan.hint


def test_a_comment_is_no_change(proven_site: FakeWorld) -> None:
    env = proven_site.directory / ".env"
    env.write_text(f"{env.read_text()}\n# seen by nobody\n")
    assert proven.as_proven(Site(proven_site.directory)) is None
    proven_site.engine.never_on_version = "1.1.0"
    assert done(proven_site, Deploy("1.1.0")).problem[1] == "The site is running with 1.0.0 as before."


def test_what_a_deployment_went_through_with_is_gone_back_to_next(proven_site: FakeWorld) -> None:
    env = proven_site.directory / ".env"
    env.write_text(f"{env.read_text()}\nLOG_LEVEL=debug\n")
    assert done(proven_site, Deploy("1.1.0")).exit_code is ExitCode.DONE
    kept = Site(proven_site.directory).proven_directory / ".env"
    assert "LOG_LEVEL=debug" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_files_that_a_failed_command_used_are_not_kept(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    done(proven_site, Deploy("1.1.0"))
    assert BAD not in (Site(proven_site.directory).proven_directory / ".env").read_text()


@pytest.mark.parametrize("request_", [Rollback(), Resume()])
def test_a_rollback_that_is_asked_for_uses_them_too(proven_site: FakeWorld, request_: Request) -> None:
    spoil(proven_site)
    for event in command(proven_site, Deploy("1.1.0")):
        if isinstance(event, StepStarted) and event.name == "start-graasp":
            break  # killed
    if isinstance(request_, Resume):
        for event in command(proven_site, Rollback()):
            if isinstance(event, StepStarted) and event.name == "start-graasp":
                break
    events = list(command(proven_site, request_))
    plan = events[0].plan  # type: ignore[union-attr]
    assert isinstance(plan.steps[0], UseEarlierSettings)
    assert (ended_of(events).exit_code, ended_of(events).version) == (ExitCode.DONE, "1.0.0")


def test_after_a_way_back_that_failed_what_a_person_has_corrected_counts(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    proven_site.engine.dying_with = "COMPOSE_PROJECT_NAME"  # with either
    ended = done(proven_site, Deploy("1.1.0"))
    assert ended.exit_code is ExitCode.NEEDS_YOU
    env = proven_site.directory / ".env"
    proven_site.engine.dying_with = BAD
    os.utime(env, (1.0, 1.0))
    world = replace(proven_site.world, site=Site(proven_site.directory))
    assert run.settings_for(world, Rollback()).site.kept is not None
    env.write_text(env.read_text().replace(BAD, "LOG_LEVEL=debug"))
    assert run.settings_for(world, Rollback()).site.kept is None


def test_a_rotation_changes_what_is_kept_since_the_old_passwords_open_nothing(proven_site: FakeWorld) -> None:
    site = Site(proven_site.directory)
    rotate.rotate(site, Rotation({"UMAMI_DB_PASSWORD": "n" * 32}), FakeRoles(), proven_site.clock)
    assert f"UMAMI_DB_PASSWORD={'n' * 32}" in (site.proven_directory / ".env").read_text()
    assert proven.as_proven(Site(proven_site.directory)) is None


@pytest.mark.parametrize("damage", ["COMPOSE_PROJECT_NAME=another", "JWT_SECRET="])
def test_what_would_be_another_site_or_none_is_not_gone_back_to(proven_site: FakeWorld, damage: str) -> None:
    kept = Site(proven_site.directory).proven_directory / ".env"
    kept.write_text(f"{kept.read_text()}\n{damage}\n")
    assert proven.as_proven(Site(proven_site.directory)) is None


def test_a_service_that_only_the_changed_override_has_is_not_started_by_the_way_back(proven_site: FakeWorld) -> None:
    observed = site_in(InfraState.RUNNING)
    own = replace(observed.services[-1], name="own", version="", is_defined=False)
    proven_site.state.observed = replace(observed, services=(*observed.services, own))
    proven_site.engine.never_on_version = "1.1.0"
    events = list(command(proven_site, Deploy("1.1.0")))
    assert ended_of(events).exit_code is ExitCode.ROLLED_BACK
    plans = [event.plan for event in events if isinstance(event, RollbackStarted)]
    started = [
        name for plan in plans for step in plan.steps if isinstance(step, StartServices) for name in step.services
    ]
    assert "own" not in started
    assert "core" in started
