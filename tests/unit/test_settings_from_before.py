"""A rollback starts what ran before with the settings and the override with which it was last known to work."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.errors import ExitCode
from graasp_local.journal.events import Event, OperationEnded, RollbackStarted, StepStarted
from graasp_local.operations import run
from graasp_local.operations.plans import settings_for, shown_plan
from graasp_local.planning.requests import ChangeState, Deploy, OnFailure, Request, Resume, Rollback
from graasp_local.planning.states import Gate, InfraState
from graasp_local.planning.steps import StartServices, UseEarlierSettings
from graasp_local.settings.rotation import Rotation
from graasp_local.site import proven, rotate
from graasp_local.site.affected import outdated
from graasp_local.site.site import Site
from graasp_local.stack.services import content_of
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


def test_a_setting_with_which_no_version_starts_is_left_out_of_the_rollback(proven_site: FakeWorld) -> None:
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
def test_a_change_of_state_that_cannot_bring_them_into_effect_is_rolled_back(
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


def test_a_file_that_is_broken_while_the_gate_is_closed_does_not_break_the_rollback(proven_site: FakeWorld) -> None:
    proven_site.engine.never_on_version = "1.1.0"
    ended = None
    for event in command(proven_site, Deploy("1.1.0")):
        if isinstance(event, StepStarted) and event.name == "migrate":
            (proven_site.directory / ".env").write_text("this is not a setting\n")
        ended = event
    assert isinstance(ended, OperationEnded)
    assert (ended.exit_code, ended.version) == (ExitCode.ROLLED_BACK, "1.0.0")
    assert ".env changed" in ended.problem[1]


def test_the_plan_says_what_a_rollback_would_do_without(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    world = replace(proven_site.world, site=Site(proven_site.directory))
    plan = shown_plan(world, Deploy("1.1.0")).plan
    assert plan.hint.startswith("Changed since the site was last known to work: LOG_LEVEL. If 1.1.0 does not start, ")
    assert not shown_plan(world, Deploy("1.1.0", on_failure=OnFailure.HOLD)).plan.hint


@pytest.mark.parametrize("last", ["migrate", "start-graasp", "record"])
def test_a_resumed_deployment_names_what_a_rollback_would_really_start(proven_site: FakeWorld, last: str) -> None:
    seen = []
    for event in command(proven_site, Deploy("1.1.0")):
        if isinstance(event, StepStarted):
            seen.append(event.name)
            if event.name == last:
                break
    assert seen[-1] == last, seen
    env = proven_site.directory / ".env"
    env.write_text(f"{env.read_text()}\nLOG_LEVEL=debug\n")
    proven_site.state.observed = outdated(proven_site.state.observed, ["core"])
    world = replace(proven_site.world, site=Site(proven_site.directory))
    assert "If 1.1.0 does not start, 1.0.0 is started again" in shown_plan(world, Resume()).plan.hint


def test_a_comment_is_not_a_change(proven_site: FakeWorld) -> None:
    env = proven_site.directory / ".env"
    env.write_text(f"{env.read_text()}\n# without effect\n")
    assert proven.as_proven(Site(proven_site.directory)) is None
    proven_site.engine.never_on_version = "1.1.0"
    assert done(proven_site, Deploy("1.1.0")).problem[1] == "The site is running with 1.0.0 as before."


def test_settings_of_a_successful_deployment_are_rolled_back_to_next(proven_site: FakeWorld) -> None:
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


def test_after_a_failed_rollback_corrected_settings_count(proven_site: FakeWorld) -> None:
    spoil(proven_site)
    proven_site.engine.dying_with = "COMPOSE_PROJECT_NAME"  # with either
    ended = done(proven_site, Deploy("1.1.0"))
    assert ended.exit_code is ExitCode.NEEDS_YOU
    env = proven_site.directory / ".env"
    proven_site.engine.dying_with = BAD
    os.utime(env, (1.0, 1.0))
    world = replace(proven_site.world, site=Site(proven_site.directory))
    assert settings_for(world, Rollback()).site.kept is not None
    env.write_text(env.read_text().replace(BAD, "LOG_LEVEL=debug"))
    assert settings_for(world, Rollback()).site.kept is None


def test_a_rotation_changes_what_is_kept_since_the_old_passwords_open_nothing(proven_site: FakeWorld) -> None:
    site = Site(proven_site.directory)
    rotate.rotate(site, Rotation({"UMAMI_DB_PASSWORD": "n" * 32}), FakeRoles(), proven_site.clock)
    assert f"UMAMI_DB_PASSWORD={'n' * 32}" in (site.proven_directory / ".env").read_text()
    assert proven.as_proven(Site(proven_site.directory)) is None


@pytest.mark.parametrize("damage", ["COMPOSE_PROJECT_NAME=another", "JWT_SECRET="])
def test_settings_of_another_site_or_of_none_are_not_rolled_back_to(proven_site: FakeWorld, damage: str) -> None:
    kept = Site(proven_site.directory).proven_directory / ".env"
    kept.write_text(f"{kept.read_text()}\n{damage}\n")
    assert proven.as_proven(Site(proven_site.directory)) is None


def test_a_service_that_only_the_changed_override_has_is_not_started_by_a_rollback(proven_site: FakeWorld) -> None:
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


MOUNTED = "services: {core: {volumes: ['./start:/start']}}\n"


@pytest.fixture
def with_file(running: FakeWorld) -> FakeWorld:
    """A site that is known to work with a file that core mounts."""
    (running.directory / "start").write_text("good")
    (running.directory / "compose.override.yaml").write_text(MOUNTED)
    done(running, ChangeState(InfraState.RUNNING))
    return running


def test_a_file_that_core_mounts_is_used_as_it_was(with_file: FakeWorld) -> None:
    own = with_file.directory / "start"
    own.write_text("bad")
    with_file.engine.created["core"] = own.stat().st_ctime - 1
    with_file.engine.never_on_version = "1.1.0"
    world = replace(with_file.world, site=Site(with_file.directory))
    hint = shown_plan(world, Deploy("1.1.0")).plan.hint
    assert hint.startswith("Changed since the site was last known to work: start. If 1.1.0 does not start, ")
    ended = done(with_file, Deploy("1.1.0"))
    assert ended.exit_code is ExitCode.ROLLED_BACK
    assert "It runs with the settings from before start changed" in ended.problem[1]
    kept = proven.as_proven(Site(with_file.directory))
    assert kept is not None
    mounted = content_of(kept.override_file)["services"]["core"]["volumes"][0].partition(":")[0]
    assert Path(mounted).read_text() == "good"
    assert own.read_text() == "bad"
    digests = [site.settings_digests["core"] for site in (kept, Site(with_file.directory))]
    assert digests[0] != digests[1], "a container with the copy would count as one with the file"


def test_so_is_one_that_is_gone_or_a_directory_now(with_file: FakeWorld) -> None:
    own = with_file.directory / "start"
    own.unlink()
    for _ in range(2):
        kept = proven.as_proven(Site(with_file.directory))
        assert kept is not None
        assert proven.changed_since(Site(with_file.directory), kept) == ("start",)
        assert proven.files_that_were(Site(with_file.directory)) == {own}
        own.mkdir(exist_ok=True)


def test_a_file_that_is_as_it_was_is_mounted_itself(with_file: FakeWorld) -> None:
    env = with_file.directory / ".env"
    env.write_text(f"{env.read_text()}\n{BAD}\n")
    kept = proven.as_proven(Site(with_file.directory))
    assert kept is not None
    assert kept.override_file.read_text() == MOUNTED


def test_a_file_that_core_was_not_made_with_is_not_known_to_work(with_file: FakeWorld) -> None:
    own = with_file.directory / "start"
    own.write_text("bad")
    with_file.engine.created["core"] = own.stat().st_ctime - 1
    done(with_file, ChangeState(InfraState.RESTRICTED))
    kept = proven.as_proven(Site(with_file.directory))
    assert kept is not None
    assert proven.changed_since(Site(with_file.directory), kept) == ("start",)
    del with_file.engine.created["core"]
    done(with_file, ChangeState(InfraState.RUNNING))
    assert proven.as_proven(Site(with_file.directory)) is None


def test_a_copy_is_removed_once_nothing_names_it_and_keeps_its_mode(with_file: FakeWorld) -> None:
    own, copies = with_file.directory / "start", Site(with_file.directory).proven_directory / "files"
    own.chmod(0o604)
    own.write_text("better")
    done(with_file, ChangeState(InfraState.RESTRICTED))
    assert [(stat.S_IMODE(copy.stat().st_mode), copy.read_text()) for copy in copies.iterdir()] == [(0o604, "better")]
    (with_file.directory / "compose.override.yaml").write_text("services: {}\n")
    done(with_file, ChangeState(InfraState.RUNNING))
    assert not [*copies.iterdir()]


def test_what_a_rollback_has_started_the_database_with_is_not_known_to_work(with_file: FakeWorld) -> None:
    override = with_file.directory / "compose.override.yaml"
    override.write_text("services: {db: {entrypoint: /nonexistent}}\n")
    with_file.engine.made_with_kept.add("db")
    done(with_file, ChangeState(InfraState.RESTRICTED))
    kept = proven.as_proven(Site(with_file.directory))
    assert kept is not None
    assert kept.override_file.read_text() == MOUNTED
