"""Restores in a fake world: what ends up in place, what is kept, and that every way of failing loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graasp_local.backup.store import BackupStore
from graasp_local.backup.take import Everything, take_backup
from graasp_local.errors import ExitCode, NeedsYou, Refused, UsageError
from graasp_local.journal.events import OperationEnded, Outcome
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.operations import restores
from graasp_local.operations.resume import resume_plan, unfinished
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning import requests
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_restore import RestoreRequest, plan_restore
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld, migrations_of
from tests.unit.operating import deploy, deploying, ended_of, events_of, killed_at
from tests.unit.sites import new_site, site_in

PLAN = plan_restore(
    site_in(InfraState.RUNNING), RestoreRequest(Restore("x", "0001", ("graasp", "umami"), ("files",)), Version(1, 0, 0))
)
NAMES = list(dict.fromkeys(step.name for step in PLAN.steps))
TOUCHING = list(dict.fromkeys(step.name for step in PLAN.steps if step.touches_site))
BEFORE_THE_GATE = TOUCHING[: TOUCHING.index("open-gate")]
FIRST = plan_restore(new_site(), RestoreRequest(Restore("x", "0001", ("graasp",), ("files",)), Version(1, 0, 0)))
OF_THE_FIRST = [name for name in BEFORE_THE_GATE if name in {step.name for step in FIRST.steps}]
FIRST_BACKUP = "0001"
OLD, NEW = {"a.txt": b"as backed up"}, {"a.txt": b"newer", "b.txt": b"b"}


def rows(version: str) -> list[AppliedMigration]:
    return [AppliedMigration(m.when, m.sha256) for m in migrations_of(version)]


@pytest.fixture
def moved_on(running: FakeWorld) -> FakeWorld:
    """A backup of 1.0.0, and a site that has gone on to 1.1.0 since, with other files."""
    running.transfers.files["files"] = dict(OLD)
    for _ in take_backup(running.world, Everything(None)):
        pass
    running.become(site_in(InfraState.RUNNING, "1.1.0"), "1.1.0")
    running.transfers.files["files"] = dict(NEW)
    running.state.calls.clear()
    return running


def restoring(fake: FakeWorld, named: str = "latest", *only: str) -> Callable[[ObservedState], Plan]:
    return lambda observed: restores.restore_plan(fake.world, observed, requests.Restore(named, only))


def restore(fake: FakeWorld, on_failure: OnFailure = OnFailure.ROLLBACK, *only: str) -> OperationEnded:
    return ended_of(events_of(fake, restoring(fake, "latest", *only), on_failure=on_failure))


def resumed(fake: FakeWorld) -> OperationEnded:
    return ended_of(events_of(fake, lambda observed: resume_plan(fake.world, observed)))


def rolled_back(fake: FakeWorld) -> OperationEnded:
    return ended_of(events_of(fake, lambda observed: rollback_plan(fake.world, observed)))


def is_restored(fake: FakeWorld) -> bool:
    return (
        fake.state.applied == rows("1.0.0")
        and fake.transfers.files["files"] == OLD
        and str(fake.world.site.selected_version) == "1.0.0"
        and fake.state.gate() is Gate.OPEN
    )


def is_as_before(fake: FakeWorld) -> bool:
    return (
        fake.state.applied == rows("1.1.0")
        and fake.transfers.files["files"] == NEW
        and str(fake.world.site.selected_version) == "1.1.0"
        and fake.state.gate() is Gate.OPEN
    )


def test_a_restore_restores_data_files_and_version_and_keeps_what_was_there(moved_on: FakeWorld) -> None:
    ended = restore(moved_on)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.0.0")
    assert is_restored(moved_on)
    assert moved_on.databases.others["graasp_before_0001"] == rows("1.1.0")
    assert moved_on.transfers.aside["files", "before-0001"] == NEW


def test_a_subscription_that_would_stay_with_what_is_replaced_is_refused(moved_on: FakeWorld) -> None:
    moved_on.database.subscribed = ("from_elsewhere",)
    moved_on.state.calls.clear()
    with pytest.raises(Refused, match=r"has 1 subscription \(from_elsewhere\), which a restore would leave behind"):
        restore(moved_on)
    assert moved_on.state.calls == []
    assert restore(moved_on, OnFailure.ROLLBACK, "files").outcome is Outcome.DONE


def test_a_part_alone_leaves_the_rest_as_it_is(moved_on: FakeWorld) -> None:
    assert restore(moved_on, OnFailure.ROLLBACK, "files").outcome is Outcome.DONE
    assert moved_on.transfers.files["files"] == OLD
    assert moved_on.state.applied == rows("1.1.0")
    assert str(moved_on.world.site.selected_version) == "1.1.0"
    assert "stop umami" not in moved_on.state.calls


@pytest.fixture
def other(moved_on: FakeWorld, tmp_path_factory: pytest.TempPathFactory) -> FakeWorld:
    """A new site on another machine."""
    other = FakeWorld(tmp_path_factory.mktemp("other") / "site")
    other.become(new_site())
    other.world.site.version_file.unlink()
    other.state.applied.clear()
    other.transfers.files.clear()
    return other


def from_elsewhere(other: FakeWorld, moved_on: FakeWorld) -> Callable[[ObservedState], Plan]:
    return restoring(other, str(BackupStore.of(moved_on.world.site).find("latest").directory))


def has_nothing(fake: FakeWorld) -> bool:
    """Nothing is deployed, nothing of the backup is in place, and nothing waits for a command."""
    left = unfinished_operation(read_operations(fake.world.site.journal_directory))
    is_off = all(service.is_off for service in fake.world.observe().services)
    return (fake.state.applied, fake.transfers.files.get("files", {}), left, is_off) == ([], {}, None, True) and (
        fake.world.site.selected_version is None
    )


def test_a_new_machine_gets_the_version_of_the_backup(moved_on: FakeWorld, other: FakeWorld) -> None:
    ended = ended_of(events_of(other, from_elsewhere(other, moved_on)))
    assert (ended.outcome, ended.state, ended.version) == (Outcome.DONE, "running", "1.0.0")
    assert is_restored(other)


def test_a_first_restore_that_fails_leaves_a_site_with_nothing_deployed(moved_on: FakeWorld, other: FakeWorld) -> None:
    other.engine.never_on = {"core": Health.UNHEALTHY}
    ended = ended_of(events_of(other, from_elsewhere(other, moved_on), on_failure=OnFailure.ROLLBACK))
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "stopped")
    assert ended.problem[1] == "The site is stopped as before."
    assert has_nothing(other)


def test_the_rollback_still_shows_who_creates_an_extension_that_the_owner_may_not(
    moved_on: FakeWorld, other: FakeWorld
) -> None:
    other.transfers.forbidden_extensions = ("pg_stat_statements",)
    ended = ended_of(events_of(other, from_elsewhere(other, moved_on), on_failure=OnFailure.ROLLBACK))
    assert ended.outcome is Outcome.ROLLED_BACK
    assert "Only the server's superuser can: with the database on (`graasp-local apply db-only`)" in ended.problem[0]
    assert "`graasp-local compose -- exec db psql -U postgres -d graasp`, then restore again." in ended.problem[0]


@pytest.mark.parametrize("name", OF_THE_FIRST)
def test_a_first_restore_killed_at_any_step_is_rolled_back(moved_on: FakeWorld, other: FakeWorld, name: str) -> None:
    killed_at(other, name, from_elsewhere(other, moved_on))
    assert rolled_back(other).outcome is Outcome.DONE
    assert has_nothing(other)


@pytest.mark.parametrize("step", ["take-out", "deselect-version", "stop-database"])
def test_its_rollback_killed_in_turn_is_finished(moved_on: FakeWorld, other: FakeWorld, step: str) -> None:
    for finish in (rolled_back, resumed):
        killed_at(other, "open-gate", from_elsewhere(other, moved_on))
        killed_at(other, step, lambda observed: rollback_plan(other.world, observed))
        assert finish(other).outcome is Outcome.DONE
        assert has_nothing(other)


def test_the_rollback_of_a_first_restore_undoes_the_one_that_was_cut_off_before_it(
    moved_on: FakeWorld, other: FakeWorld
) -> None:
    killed_at(other, "open-gate", from_elsewhere(other, moved_on))
    path = str(BackupStore.of(moved_on.world.site).find("latest").directory)
    killed_at(other, "verify-core", restoring(other, path, "graasp"))
    assert rolled_back(other).outcome is Outcome.DONE
    assert has_nothing(other)


OVER = ["put-in-place", "select-version", "start-graasp", "verify-core"]
"""Steps at which what a second restore finds differs."""


def unfinished_restore(fake: FakeWorld, name: str) -> None:
    killed_at(fake, name, restoring(fake, FIRST_BACKUP))


def unfinished_rollback(fake: FakeWorld, name: str) -> None:
    unfinished_restore(fake, "verify-core")
    killed_at(fake, "take-out", lambda observed: rollback_plan(fake.world, observed))


def unfinished_migration(fake: FakeWorld, name: str) -> None:
    killed_at(fake, "migrate" if name == "put-in-place" else name, deploying(fake, "1.4.0"))


def failed_rollback(fake: FakeWorld, name: str) -> None:
    fake.engine.never_on = {"core": Health.UNHEALTHY}
    ended = ended_of(events_of(fake, deploying(fake, "1.4.0"), on_failure=OnFailure.ROLLBACK))
    assert ended.exit_code == ExitCode.NEEDS_YOU
    fake.engine.never_on = {}


EARLIER = [unfinished_restore, unfinished_rollback, unfinished_migration, failed_rollback]


@pytest.mark.parametrize("name", OVER)
@pytest.mark.parametrize("earlier", EARLIER)
def test_a_restore_over_what_was_left_unfinished_is_rolled_back_to_what_was_before_that(
    moved_on: FakeWorld, earlier: Callable[[FakeWorld, str], None], name: str
) -> None:
    earlier(moved_on, name)
    moved_on.engine.never_on_version = "1.0.0"
    ended = ended_of(events_of(moved_on, restoring(moved_on, FIRST_BACKUP, "graasp"), on_failure=OnFailure.ROLLBACK))
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "running")
    assert is_as_before(moved_on)


@pytest.mark.parametrize("name", ["load-database", *OVER, "start-writers"])
@pytest.mark.parametrize("earlier", EARLIER)
def test_killed_at_any_step_it_is_rolled_back_to_that_as_well(
    moved_on: FakeWorld, earlier: Callable[[FakeWorld, str], None], name: str
) -> None:
    earlier(moved_on, "verify-core")
    killed_at(moved_on, name, restoring(moved_on, FIRST_BACKUP, "graasp"))
    assert rolled_back(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


@pytest.mark.parametrize("earlier", EARLIER)
def test_a_third_restore_and_a_rollback_that_is_killed_lead_back_as_well(
    moved_on: FakeWorld, earlier: Callable[[FakeWorld, str], None]
) -> None:
    earlier(moved_on, "verify-core")
    killed_at(moved_on, "select-version", restoring(moved_on, FIRST_BACKUP, "graasp"))
    killed_at(moved_on, "verify-core", restoring(moved_on, FIRST_BACKUP, "graasp", "files"))
    killed_at(moved_on, "take-out", lambda observed: rollback_plan(moved_on.world, observed))
    assert resumed(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


@pytest.mark.parametrize("earlier", EARLIER)
def test_where_it_succeeds_what_was_there_before_is_kept(
    moved_on: FakeWorld, earlier: Callable[[FakeWorld, str], None]
) -> None:
    earlier(moved_on, "verify-core")
    assert (
        ended_of(
            events_of(moved_on, restoring(moved_on, FIRST_BACKUP, "graasp"), on_failure=OnFailure.ROLLBACK)
        ).outcome
        is Outcome.DONE
    )
    assert moved_on.state.applied == rows("1.0.0")
    assert rows("1.1.0") in [*moved_on.databases.others.values(), *moved_on.databases.snapshots.values()]


@pytest.mark.parametrize("name", ["prove-migrations", "select-version"])
def test_files_alone_are_not_restored_while_the_database_may_belong_to_another_version(
    moved_on: FakeWorld, name: str
) -> None:
    killed_at(moved_on, name, deploying(moved_on, "1.4.0"))
    with pytest.raises(Refused, match="stopped while it was changing the database"):
        events_of(moved_on, restoring(moved_on, FIRST_BACKUP, "files"))
    assert rolled_back(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


def test_every_restore_verifies_that_the_version_has_its_migrations(moved_on: FakeWorld) -> None:
    plan = restoring(moved_on, FIRST_BACKUP, "files")(moved_on.world.observe())
    assert "prove-migrations" in [step.name for step in plan.steps]


def test_undoing_a_restore_stops_umami_if_the_one_before_it_replaced_its_database(moved_on: FakeWorld) -> None:
    killed_at(moved_on, "verify-core", restoring(moved_on, FIRST_BACKUP))
    killed_at(moved_on, "verify-core", restoring(moved_on, FIRST_BACKUP, "graasp"))
    plan = rollback_plan(moved_on.world, moved_on.world.observe())
    assert "stop-administration" in [step.name for step in plan.steps]


def test_a_restore_over_a_rollback_that_began_to_undo_what_visitors_wrote_ends_where_that_would(
    moved_on: FakeWorld,
) -> None:
    killed_at(moved_on, "prove-open", deploying(moved_on, "1.4.0"))
    killed_at(moved_on, "prove-migrations", lambda observed: rollback_plan(moved_on.world, observed, discard=True))
    moved_on.engine.never_on_version = "1.0.0"
    restore_again = restoring(moved_on, FIRST_BACKUP, "graasp")
    ended = ended_of(events_of(moved_on, restore_again, on_failure=OnFailure.ROLLBACK))
    assert (ended.exit_code, ended.version) == (ExitCode.ROLLED_BACK, "1.1.0")
    assert is_as_before(moved_on)


def test_after_visitors_were_let_in_a_restore_that_fails_keeps_what_they_wrote(moved_on: FakeWorld) -> None:
    killed_at(moved_on, "prove-open", deploying(moved_on, "1.4.0"))
    moved_on.engine.never_on_version = "1.0.0"
    ended = ended_of(events_of(moved_on, restoring(moved_on, FIRST_BACKUP), on_failure=OnFailure.ROLLBACK))
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "running")
    assert moved_on.state.applied == rows("1.4.0")
    assert str(moved_on.world.site.selected_version) == "1.4.0"


@pytest.mark.parametrize("name", BEFORE_THE_GATE)
def test_killed_at_any_step_it_is_rolled_back(moved_on: FakeWorld, name: str) -> None:
    killed_at(moved_on, name, restoring(moved_on))
    assert rolled_back(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


@pytest.mark.parametrize("name", TOUCHING)
def test_killed_at_any_step_it_is_resumed(moved_on: FakeWorld, name: str) -> None:
    killed_at(moved_on, name, restoring(moved_on))
    assert resumed(moved_on).outcome in (Outcome.DONE, Outcome.NOTHING_TO_DO)
    assert is_restored(moved_on)
    assert moved_on.databases.others["graasp_before_0001"] == rows("1.1.0")


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_any_step_it_is_repeated_by_the_same_command(moved_on: FakeWorld, name: str) -> None:
    killed_at(moved_on, name, restoring(moved_on))
    assert restore(moved_on).outcome is Outcome.DONE
    assert is_restored(moved_on)
    kept = [content for key, content in moved_on.databases.others.items() if key.startswith("graasp_before_")]
    assert kept == [rows("1.1.0")]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TOUCHING])
def test_killed_before_the_gate_closed_nothing_is_unfinished(moved_on: FakeWorld, name: str) -> None:
    killed_at(moved_on, name, restoring(moved_on))
    assert is_as_before(moved_on)
    with pytest.raises(Refused, match="left unfinished"):
        unfinished(moved_on.world)


def test_a_rollback_that_was_killed_is_continued(moved_on: FakeWorld) -> None:
    killed_at(moved_on, "verify-core", restoring(moved_on))
    killed_at(moved_on, "take-out", lambda observed: rollback_plan(moved_on.world, observed))
    assert resumed(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


def test_a_version_that_does_not_serve_is_rolled_back_with_its_data(moved_on: FakeWorld) -> None:
    moved_on.engine.never_on_version = "1.0.0"
    ended = restore(moved_on)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert is_as_before(moved_on)
    assert moved_on.databases.others["graasp_undone_0001"] == rows("1.0.0")


def test_held_after_a_failure_it_can_still_be_rolled_back(moved_on: FakeWorld) -> None:
    moved_on.engine.never_on_version = "1.0.0"
    assert restore(moved_on, OnFailure.HOLD).outcome is Outcome.FAILED
    assert rolled_back(moved_on).outcome is Outcome.DONE
    assert is_as_before(moved_on)


def test_what_does_not_prove_itself_is_refused_while_visitors_are_served(moved_on: FakeWorld) -> None:
    moved_on.databases.rows_off_by = 1
    ended = restore(moved_on)
    assert (ended.outcome, ended.exit_code) == (Outcome.REFUSED, ExitCode.REFUSED)
    assert is_as_before(moved_on)
    assert "flag-closed" not in moved_on.state.calls
    assert "graasp_restored_0001" not in moved_on.databases.others


def test_a_damaged_backup_is_refused(moved_on: FakeWorld) -> None:
    backup = BackupStore.of(moved_on.world.site).find("latest")
    backup.path("umami.dump").write_bytes(b"x")
    assert restore(moved_on).outcome is Outcome.REFUSED
    assert is_as_before(moved_on)


def test_a_newer_postgres_is_refused(moved_on: FakeWorld) -> None:
    moved_on.databases.major = 14
    ended = restore(moved_on)
    assert ended.outcome is Outcome.REFUSED
    assert "Postgres 15" in ended.problem[0]
    assert is_as_before(moved_on)


def test_without_room_it_is_refused(moved_on: FakeWorld) -> None:
    moved_on.databases.size = 10 * 1024**3
    for _ in take_backup(moved_on.world, Everything(None)):
        pass
    moved_on.engine.free_bytes = 5 * 1024**3
    ended = restore(moved_on)
    assert "5.0 GiB free, but the restore needs 21.0 GiB" in ended.problem[0]
    assert ended.outcome is Outcome.REFUSED
    assert is_as_before(moved_on)


def test_an_unknown_part_is_named_with_those_there_are(moved_on: FakeWorld) -> None:
    with pytest.raises(UsageError) as error:
        restoring(moved_on, "latest", "etherpad")(moved_on.world.observe())
    assert error.value.next_step == "It contains graasp, umami and files."


def test_a_deployment_is_refused_over_a_half_finished_restore(moved_on: FakeWorld) -> None:
    killed_at(moved_on, "prove-migrations", restoring(moved_on))
    with pytest.raises(Refused, match="some or all of the backup's data is in place"):
        deploy(moved_on, "1.1.0")


def test_a_successful_restore_is_never_rolled_back_without_consent(moved_on: FakeWorld) -> None:
    restore(moved_on)
    with pytest.raises(Refused, match="written since"):
        rolled_back(moved_on)


def test_the_next_deployment_removes_what_the_restore_kept(moved_on: FakeWorld) -> None:
    restore(moved_on)
    assert deploy(moved_on, "1.1.0").outcome is Outcome.DONE
    assert list(moved_on.databases.others) == ["umami"]
    assert moved_on.transfers.aside == {}


def test_a_second_restore_keeps_only_what_it_replaced(moved_on: FakeWorld) -> None:
    restore(moved_on)
    restore(moved_on)
    kept = [name for name in moved_on.databases.others if "_before_" in name]
    assert sorted(kept) == ["graasp_before_0002", "umami_before_0002"]


def test_a_failed_deployment_can_be_left_by_a_restore(moved_on: FakeWorld) -> None:
    """What a stuck deployment made of the database is discarded."""
    moved_on.engine.never_on_version = "1.2.0"
    moved_on.become(site_in(InfraState.RUNNING), "1.0.0")
    killed_at(moved_on, "verify-core")
    assert restore(moved_on).outcome is Outcome.DONE
    assert moved_on.state.applied == rows("1.0.0")
    record = read_operations(moved_on.world.site.journal_directory)[-1]
    assert record.previous_version == "1.0.0"


def test_a_deployment_takes_a_backup_once_an_hour(running: FakeWorld) -> None:
    store = BackupStore.of(running.world.site)
    running.engine.never_on_version = "1.1.0"
    deploy(running, on_failure=OnFailure.ROLLBACK)
    deploy(running, on_failure=OnFailure.ROLLBACK)
    assert [backup.manifest.before for backup in store.usable()] == ["1.1.0"]
    running.clock.seconds += 3700
    deploy(running, on_failure=OnFailure.ROLLBACK)
    assert len(store.usable()) == 2


def test_a_backup_from_before_a_restore_is_not_fresh_for_what_was_restored(moved_on: FakeWorld) -> None:
    moved_on.clock.seconds += 60
    restore(moved_on)
    moved_on.clock.seconds += 60
    deploy(moved_on, "1.1.0")
    assert [backup.manifest.before for backup in BackupStore.of(moved_on.world.site).usable()] == ["", "1.1.0"]


def test_a_backup_that_fails_refuses_the_deployment(running: FakeWorld) -> None:
    running.transfers.dump_fails = NeedsYou("The dump of graasp failed: could not write: No space left on device.")
    ended = deploy(running, on_failure=OnFailure.ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.REFUSED, ExitCode.REFUSED)
    assert "--no-backup" in ended.problem[2]
    assert "flag-closed" not in running.state.calls


def test_an_empty_database_is_not_backed_up(fake: FakeWorld) -> None:
    assert deploy(fake, "1.0.0").outcome is Outcome.DONE
    assert BackupStore.of(fake.world.site).all() == ()


def test_an_unhealthy_core_does_not_prevent_a_restore(moved_on: FakeWorld) -> None:
    moved_on.state.observed = moved_on.state.observed.with_services(
        ("core",), moved_on.state.observed.services[0].status, Health.UNHEALTHY
    )
    assert restore(moved_on).outcome is Outcome.DONE
    assert is_restored(moved_on)
