"""Upgrades of the database server in a fake world: what is refused, what is done in which order, and every rollback."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.errors import EngineUnreachable, ExitCode, NeedsYou, Refused
from graasp_local.journal.events import Event, OperationEnded, Outcome, StepOutput
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.operations import upgrades
from graasp_local.operations.deployments import deployment_plan, transition_plan
from graasp_local.operations.progress import Progress
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.operations.steps import Performer
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.requests import OnFailure, UpgradeDatabase
from graasp_local.planning.server import DatabaseServer
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState
from graasp_local.planning.steps import Step
from graasp_local.ports.images import ImageFact
from graasp_local.version import Version
from tests.unit.fake_servers import FakeToolRun, contents
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, events_of, under_way
from tests.unit.sites import site_in

OLD = DatabaseServer("postgres:16.11", "graasp_db-data")
NEW = DatabaseServer("postgres:17", "graasp_db-data-17")


def upgrading(fake: FakeWorld, major: int | None = 17, image: str | None = None) -> Callable[[ObservedState], Plan]:
    wanted = UpgradeDatabase(major, image)
    return lambda observed: upgrades.upgrade_plan(fake.world, observed, wanted)


def carried_out(
    fake: FakeWorld, planner: Callable[[ObservedState], Plan], on_failure: str = "rollback"
) -> tuple[OperationEnded, list[Event]]:
    events = events_of(fake, planner, OnFailure(on_failure))
    ended = events[-1]
    assert isinstance(ended, OperationEnded)
    return ended, events


def upgrade(fake: FakeWorld, on_failure: str = "rollback") -> OperationEnded:
    return carried_out(fake, upgrading(fake), on_failure)[0]


def resume(fake: FakeWorld) -> OperationEnded:
    return carried_out(fake, lambda observed: resume_plan(fake.world, observed))[0]


def rollback(fake: FakeWorld) -> OperationEnded:
    return carried_out(fake, lambda observed: rollback_plan(fake.world, observed))[0]


def killed_after(fake: FakeWorld, step: str) -> None:
    """An operation of which the process is gone after a step: its journal has no end."""
    operation: Iterator[Event] = under_way(fake, upgrading(fake))
    for event in operation:
        if type(event).__name__ == "StepEnded" and getattr(event, "name", "") == step:
            break
    else:
        pytest.fail(f"no step {step}")
    operation.close()  # type: ignore[attr-defined]


def is_on_the_old_server(fake: FakeWorld) -> None:
    assert fake.world.site.database_server == OLD
    assert fake.servers.majors == {OLD.volume: 16}
    assert fake.servers.health is None
    assert fake.state.gate() is Gate.OPEN
    assert not fake.dumps()


def test_an_upgrade_does_things_in_this_order(running: FakeWorld) -> None:
    ended = upgrade(running)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.0.0")
    assert running.state.calls == [
        "start-new postgres:17 graasp_db-data-17",
        "flag-closed",
        "shut",
        "stop redis core workers",
        "stop umami",
        "end-sessions",
        "dump roles",
        "dump graasp",
        "dump umami",
        "restore roles",
        "restore graasp",
        "restore umami",
        "analyze",
        "stop db",
        "stop-new",
        "start db",
        "start umami",
        "start redis core",
        "start workers",
        "flag-open",
    ]
    assert running.world.site.database_server == NEW
    assert running.servers.majors == {OLD.volume: 16, NEW.volume: 17}
    assert ended.downtime_seconds is not None


def test_an_upgrade_is_not_a_deployment(running: FakeWorld) -> None:
    upgrade(running)
    operation = read_operations(running.world.site.journal_directory)[-1]
    assert (operation.version, operation.is_deployment, unfinished_operation([operation])) == (None, False, None)
    assert operation.upgrade is not None
    assert (operation.upgrade.source, operation.upgrade.target) == (OLD, NEW)


def same_major(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return upgrading(fake, 16)


def downgrade(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return upgrading(fake, 15)


def too_new(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return upgrading(fake, 18)


def unknown_image(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return upgrading(fake, None, "registry.school.example/postgres:latest")


def another_major(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.servers.image_majors["school/postgres:new"] = 16
    return upgrading(fake, 17, "school/postgres:new")


def nothing_named(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return upgrading(fake, None)


def no_database(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.servers.majors.clear()
    return upgrading(fake)


def volume_is_there(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.servers.majors[NEW.volume] = 17
    return upgrading(fake)


def wrong_platform(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.servers.fact = ImageFact("db", NEW.image, local=False, platforms=("linux/arm64",))
    return upgrading(fake)


def disk_full(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.engine.free_bytes = 1000
    return upgrading(fake)


def own_layout(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.servers.layout = ("compose.override.yaml sets the image of db.",)
    return upgrading(fake)


def old_password(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    fake.old_server.found = ("The password of the role veteran is stored as an md5 hash.",)
    return upgrading(fake)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (same_major, "on Postgres 16 already"),
        (downgrade, "cannot be downgraded to 15"),
        (too_new, "Postgres 18 is newer than this graasp-local knows"),
        (unknown_image, "does not say which major version"),
        (another_major, "is Postgres 16, not 17"),
        (nothing_named, "No newer Postgres was named"),
        (no_database, "no database yet"),
        (volume_is_there, "exists already, and may hold data"),
        (wrong_platform, "Made for linux/arm64"),
        (disk_full, "for a second copy of all databases"),
        (own_layout, "sets the image of db"),
        (old_password, "stored as an md5 hash"),
    ],
)
def test_what_cannot_work_is_refused_with_nothing_changed(
    running: FakeWorld, spoil: Callable[[FakeWorld], Callable[[ObservedState], Plan]], sentence: str
) -> None:
    planner = spoil(running)
    with pytest.raises(Refused) as refused:
        carried_out(running, planner)
    assert sentence in refused.value.what
    assert running.state.calls == []
    assert running.state.gate() is Gate.OPEN


def test_the_image_of_env_is_taken_if_it_is_of_that_major(running: FakeWorld) -> None:
    set_db_image(running, "postgres:17.7")
    plan = upgrading(running)(running.world.observe())
    assert plan.upgrade is not None
    assert plan.upgrade.target.image == "postgres:17.7"
    assert plan.upgrade.source == OLD


def test_an_extension_that_the_newer_server_lacks_is_refused_while_the_site_is_open(running: FakeWorld) -> None:
    running.old_server.used = {"postgis": ("graasp",)}
    ended = upgrade(running)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.REFUSED)
    assert "lacks extensions that are in use: postgis (in graasp)" in ended.problem[0]
    assert "flag-closed" not in running.state.calls
    is_on_the_old_server(running)


def test_a_server_that_does_not_start_is_refused_with_its_last_words(running: FakeWorld) -> None:
    running.servers.starts_as = None
    ended, events = carried_out(running, upgrading(running))
    assert ended.exit_code is ExitCode.REFUSED
    assert "  FATAL: last words" in [event.text for event in events if isinstance(event, StepOutput)]
    is_on_the_old_server(running)


def restore_fails(fake: FakeWorld) -> None:
    fake.servers.runs["restore"] = FakeToolRun(1, "pg_restore: error: out of luck")


def dump_fails(fake: FakeWorld) -> None:
    fake.servers.runs["dump"] = FakeToolRun(1, "pg_dump: error: out of luck")


def a_row_is_lost(fake: FakeWorld) -> None:
    fake.new_server.holds = contents(rows=99)


def umami_does_not_start(fake: FakeWorld) -> None:
    start = fake.engine.start

    def start_but_umami(services: tuple[str, ...], first_of: tuple[str, ...] = ()) -> None:
        fake.engine.never_on = {"umami": Health.UNHEALTHY} if fake.world.site.database_server == NEW else {}
        start(services, first_of)

    fake.engine.start = start_but_umami  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (dump_fails, "The dump of the roles failed: pg_dump: error: out of luck"),
        (restore_fails, "The restore of the roles failed: pg_restore: error: out of luck"),
        (a_row_is_lost, "content of public.item is not the same: 100 row(s)"),
        (umami_does_not_start, "umami runs but does not become healthy"),
    ],
)
def test_whatever_fails_ends_on_the_old_server(
    running: FakeWorld, spoil: Callable[[FakeWorld], None], sentence: str
) -> None:
    spoil(running)
    ended = upgrade(running)
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "running")
    assert sentence in ended.problem[0]
    assert "with Postgres 16 as before" in ended.problem[1]
    is_on_the_old_server(running)


def test_held_after_a_failure_it_can_be_resumed(running: FakeWorld) -> None:
    a_row_is_lost(running)
    assert upgrade(running, "hold").exit_code is ExitCode.NEEDS_YOU
    running.new_server.holds = contents()
    assert resume(running).outcome is Outcome.DONE
    assert running.world.site.database_server == NEW


STEPS = [
    *["start-new-server", "close-gate", "stop-graasp", "stop-administration", "dump-server", "restore-server"],
    *[
        "prove-copy",
        "stop-database",
        "stop-new-server",
        "select-server",
        "start-database",
        "start-graasp",
        "verify-core",
    ],
]


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_it_can_be_rolled_back(running: FakeWorld, step: str) -> None:
    killed_after(running, step)
    assert rollback(running).outcome is Outcome.DONE
    is_on_the_old_server(running)
    assert unfinished_operation(read_operations(running.world.site.journal_directory)) is None


@pytest.mark.parametrize("step", [*STEPS, "open-gate"])
def test_killed_after_any_step_it_can_be_resumed(running: FakeWorld, step: str) -> None:
    killed_after(running, step)
    assert resume(running).outcome is Outcome.DONE
    assert (running.world.site.database_server, running.state.gate()) == (NEW, Gate.OPEN)
    assert unfinished_operation(read_operations(running.world.site.journal_directory)) is None


@pytest.mark.parametrize("step", ["start-new-server", "restore-server", "select-server", "start-graasp"])
def test_between_two_servers_nothing_else_is_done_to_the_site(running: FakeWorld, step: str) -> None:
    killed_after(running, step)
    for state in (InfraState.RUNNING, InfraState.RESTRICTED, InfraState.DB_ONLY):
        with pytest.raises(Refused, match="stopped halfway between Postgres 16 and 17"):
            transition_plan(running.world, running.world.observe(), state)
    with pytest.raises(Refused, match="stopped halfway between"):
        deployment_plan(running.world, running.world.observe(), DeployRequest(Version(1, 1, 0)))
    with pytest.raises(Refused, match="was left unfinished"):
        upgrade(running)
    with pytest.raises(Refused, match="needs the old volume"):
        upgrades.old_volumes(running.world)


@pytest.mark.parametrize("name", ["check-upgrade", "pull-server", *STEPS, "open-gate", "prove-open", "record-upgrade"])
def test_an_answer_that_is_lost_ends_on_the_old_server_unless_visitors_were_let_in(
    running: FakeWorld, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    perform, told = Performer.perform, [name]

    def without_an_answer(self: Performer, step: Step, progress: Progress) -> Generator[str, None, Progress]:
        progress = yield from perform(self, step, progress)
        if step.name in told:
            told.remove(step.name)
            raise EngineUnreachable("The engine has not answered in time.")
        return progress

    monkeypatch.setattr(Performer, "perform", without_an_answer)
    ended = upgrade(running)
    if name not in ("open-gate", "prove-open", "record-upgrade"):
        assert ended.outcome is (Outcome.REFUSED if name in ("check-upgrade", "pull-server") else Outcome.ROLLED_BACK)
        is_on_the_old_server(running)
        return
    assert (ended.outcome, running.state.gate()) == (Outcome.FAILED, Gate.OPEN)
    with pytest.raises(Refused, match="going back would discard"):
        rollback(running)
    assert resume(running).outcome is Outcome.DONE
    assert running.world.site.database_server == NEW


def test_no_rollback_once_visitors_could_write_to_the_new_server(running: FakeWorld) -> None:
    killed_after(running, "open-gate")
    with pytest.raises(Refused, match="would discard what was written since"):
        rollback(running)


def test_a_successful_upgrade_is_not_rolled_back_and_what_is_kept_is_named(running: FakeWorld) -> None:
    upgrade(running)
    with pytest.raises(Refused) as refused:
        rollback(running)
    assert "The upgrade to Postgres 17 succeeded" in refused.value.what
    assert "the volume graasp_db-data of Postgres 16 is kept as it was" in refused.value.meaning
    assert "docs/operate.md" in refused.value.next_step
    list(upgrades.remove_old(running.world, upgrades.old_volumes(running.world), "graasp-local remove-old-database"))
    with pytest.raises(Refused) as refused:
        rollback(running)
    assert "was removed since" in refused.value.meaning
    assert "docs/operate.md" not in refused.value.next_step


def test_a_migration_from_before_an_upgrade_is_not_said_to_be_undone(running: FakeWorld) -> None:
    assert deploy(running).outcome is Outcome.DONE
    upgrade(running)
    running.database.snapshots.clear()  # an upgrade does not copy them
    with pytest.raises(Refused) as refused:
        rollback(running)
    assert "apply running" not in refused.value.next_step
    assert "1.1.0 cannot be undone; `graasp-local backup list`" in refused.value.next_step


def test_rollback_is_about_an_upgrade_only_for_as_long_as_it_is_the_newest_operation(running: FakeWorld) -> None:
    upgrade(running)
    events_of(running, lambda observed: transition_plan(running.world, observed, InfraState.RUNNING))
    with pytest.raises(Refused, match="Nothing has been deployed"):
        rollback(running)


def test_a_killed_rollback_is_continued(running: FakeWorld) -> None:
    killed_after(running, "start-graasp")
    planner = lambda observed: rollback_plan(running.world, observed)  # noqa: E731
    operation = under_way(running, planner)
    for event in operation:
        if getattr(event, "name", "") == "select-server" and type(event).__name__ == "StepEnded":
            break
    operation.close()  # type: ignore[attr-defined]
    assert resume(running).outcome is Outcome.DONE
    is_on_the_old_server(running)


def test_an_unfinished_operation_comes_first(running: FakeWorld) -> None:
    running.engine.migration_code = 1
    request = DeployRequest(Version(1, 1, 0))
    carried_out(running, lambda observed: deployment_plan(running.world, observed, request), "hold")
    with pytest.raises(Refused, match="was left unfinished"):
        upgrade(running)


def test_a_ctrl_c_during_the_copy_ends_it_and_the_site_is_as_before(running: FakeWorld) -> None:
    running.servers.runs["restore"] = hanging = FakeToolRun(None)
    running.clock.on_sleep = lambda: (
        running.interruption.request() if "restore roles" in running.servers.calls else None
    )
    ended = upgrade(running)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.INTERRUPTED)
    assert hanging.killed
    is_on_the_old_server(running)


def set_db_image(fake: FakeWorld, image: str) -> None:
    """Write it into `.env`, and be the site that the next command would see."""
    env = fake.world.site.env_file
    env.write_text(env.read_text() + f"\nDB_IMAGE={image}\n")
    site = type(fake.world.site)(fake.world.site.directory)
    fake.world = replace(fake.world, site=site)
    fake.servers.selected = lambda: site.database_server
    fake.state.selected = lambda: site.selected_version


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_an_image_of_another_major_than_the_files_is_refused_by_apply(running: FakeWorld, state: InfraState) -> None:
    set_db_image(running, "postgres:17.7")
    with pytest.raises(Refused) as refused:
        transition_plan(running.world, running.world.observe(), state)
    assert "files are those of Postgres 16, but its image postgres:17.7 is Postgres 17" in refused.value.what
    assert "graasp-local upgrade-database --to 17" in refused.value.next_step


def test_an_older_image_than_the_files_is_refused_and_no_upgrade_is_named(running: FakeWorld) -> None:
    set_db_image(running, "postgres:15.8")
    with pytest.raises(Refused) as refused:
        deployment_plan(running.world, running.world.observe(), DeployRequest(Version(1, 1, 0)))
    assert "upgrade-database" not in refused.value.next_step


def test_a_minor_version_is_just_another_image(running: FakeWorld) -> None:
    set_db_image(running, "postgres:16.12")
    transition_plan(running.world, running.world.observe(), InfraState.STOPPED)


def test_the_old_volume_and_the_dump_are_kept_until_they_are_removed_by_name(running: FakeWorld) -> None:
    upgrade(running)
    assert running.dumps()
    old = upgrades.old_volumes(running.world)
    assert old == {OLD.volume: 16}
    with pytest.raises(Refused, match="is the volume in use"):
        upgrades.old_volumes(running.world, NEW.volume)
    list(upgrades.remove_old(running.world, old, "graasp-local remove-old-database"))
    assert running.servers.majors == {NEW.volume: 17}
    assert not running.dumps()


def test_a_dump_is_readable_by_its_owner_only(running: FakeWorld) -> None:
    upgrade(running)
    assert [path.stat().st_mode & 0o077 for path in running.dumps()] == [0]


def test_a_site_that_is_not_open_ends_as_it_was(running: FakeWorld, tmp_path: Path) -> None:
    running.become(site_in(InfraState.STOPPED))
    ended = upgrade(running)
    assert (ended.outcome, ended.state) == (Outcome.DONE, "stopped")
    assert running.world.site.database_server == NEW


def test_what_is_not_copied_is_reported(running: FakeWorld) -> None:
    running.old_server.stays = ("the copy graasp_snapshot_0001",)
    _, events = carried_out(running, upgrading(running))
    assert "not copied: the copy graasp_snapshot_0001" in [e.text for e in events if isinstance(e, StepOutput)]


def test_two_servers_never_have_one_volume(running: FakeWorld) -> None:
    stop_new = running.servers.stop_new
    running.servers.stop_new = lambda: None  # type: ignore[method-assign]
    ended = upgrade(running)
    running.servers.stop_new = stop_new  # type: ignore[method-assign]
    assert "two servers must never share a volume" in ended.problem[0]
    is_on_the_old_server(running)


def test_a_new_volume_that_cannot_be_removed_does_not_prevent_a_rollback(running: FakeWorld) -> None:
    restore_fails(running)
    running.servers.failing["discard-new"] = NeedsYou("The volume graasp_db-data-17 cannot be removed: in use.")
    ended = upgrade(running)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert running.state.gate() is Gate.OPEN
