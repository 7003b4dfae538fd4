"""Taking, verifying and keeping backups, in a fake world with a real directory."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graasp_local.backup.check import check_backup, trial_restore
from graasp_local.backup.dumps import Dump, differing_rows, dump_database, load_dump
from graasp_local.backup.keep import delete_old_backups
from graasp_local.backup.manifest import StoredFile
from graasp_local.backup.moving import Moved, as_lines, in_words
from graasp_local.backup.sealing import seal, unseal
from graasp_local.backup.store import BackupStore, StoredBackup
from graasp_local.backup.take import Everything, Extent, GraaspDatabase, take_backup
from graasp_local.cli.backup import _verify as verified
from graasp_local.errors import EngineUnreachable, Interrupted, NeedsYou, Refused, UsageError
from graasp_local.planning.states import InfraState
from graasp_local.ports.data import DatabaseProperties, Locale
from tests.unit.fakes import FakeClock, FakeWorld
from tests.unit.sites import site_in

PASSPHRASE = "correct horse battery"


def result(reports: Generator[Any, None, StoredBackup]) -> StoredBackup:
    while True:
        try:
            next(reports)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def taken(fake: FakeWorld, extent: Extent | None = None) -> StoredBackup:
    return result(take_backup(fake.world, extent or Everything(None)))


def names(fake: FakeWorld) -> list[str]:
    """Everything that is in the directory of backups, hidden names too."""
    directory = BackupStore.of(fake.world.site).directory
    return sorted(entry.name for entry in directory.iterdir()) if directory.exists() else []


def test_a_backup_holds_every_database_and_volume_and_says_what_they_are(running: FakeWorld) -> None:
    backup = taken(running)
    assert [part.name for part in backup.manifest.parts] == ["graasp", "umami", "files"]
    assert backup.manifest.version == "1.0.0"
    assert backup.manifest.databases[0].rows == {"drizzle.__drizzle_migrations": 2}
    assert (backup.manifest.volumes[0].files, backup.manifest.volumes[0].content_bytes) == (2, 3)
    assert names(running) == ["0001-19700112-134640"]


def test_what_could_not_be_restored_is_named_by_the_backup_and_by_its_verification(running: FakeWorld) -> None:
    running.databases.superusers_own = ("function leaky(integer) (LEAKPROOF)", "operator class mine")
    reports = take_backup(running.world, Everything(None))
    lines = [report for report in reports if isinstance(report, str)]
    warning = (
        "graasp.dump cannot be restored as it is, because only the server's superuser can create "
        "function leaky(integer) (LEAKPROOF) and operator class mine. Drop what Graasp does not need, or create it "
        "without that, then take another backup."
    )
    assert warning in lines
    backup = BackupStore.of(running.world.site).find("latest")
    assert warning in [*check_backup(running.world, backup, backup.manifest.parts)]


def test_files_are_readable_by_their_owner_only(running: FakeWorld) -> None:
    backup = taken(running)
    assert backup.directory.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in backup.directory.glob("*.dump")} == {0}


def test_databases_are_dumped_before_files_are_read(running: FakeWorld) -> None:
    reports = [report.what for report in take_backup(running.world, Everything(None)) if isinstance(report, Moved)]
    assert reports.index("files") > reports.index("graasp")
    assert reports.index("files") > reports.index("umami")


def test_before_a_deployment_it_is_the_database_alone(running: FakeWorld) -> None:
    backup = taken(running, GraaspDatabase("1.1.0"))
    assert [part.name for part in backup.manifest.parts] == ["graasp"]
    assert backup.manifest.before == "1.1.0"
    assert backup.manifest.name.endswith("-before-1.1.0")


def test_settings_are_in_it_only_under_a_passphrase(running: FakeWorld) -> None:
    secret = running.world.site.settings.postgres_password.encode()
    assert taken(running).manifest.settings is None
    backup = taken(running, Everything(PASSPHRASE))
    assert backup.manifest.settings is not None
    sealed = backup.path("env.age").read_bytes()
    assert secret not in b"".join(file.read_bytes() for file in backup.directory.iterdir())
    assert unseal(sealed, PASSPHRASE) == running.world.site.env_file.read_bytes()


def test_another_passphrase_opens_nothing() -> None:
    sealed = seal(b"KEY=value", PASSPHRASE)
    with pytest.raises(Refused, match="passphrase"):
        unseal(sealed, "another passphrase")
    with pytest.raises(UsageError, match="too short"):
        seal(b"KEY=value", "short")


@pytest.mark.parametrize(
    ("failure", "kind", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Refused, "No space left on device"),
        (NeedsYou("The dump of graasp failed: server closed the connection."), Refused, "The dump of graasp failed"),
        (EngineUnreachable("No Docker engine answers."), EngineUnreachable, "No Docker engine"),
    ],
)
def test_what_fails_in_the_middle_leaves_no_file(
    running: FakeWorld, failure: Exception, kind: type[Exception], says: str
) -> None:
    running.transfers.dump_fails = failure
    with pytest.raises(kind, match=says):
        taken(running)
    assert names(running) == []


def test_a_deployed_site_without_its_database_is_not_backed_up(running: FakeWorld) -> None:
    running.databases.has_graasp = False
    with pytest.raises(Refused, match="There is no database graasp on the site's server") as refusal:
        taken(running)
    assert "restore BACKUP" in refusal.value.next_step
    assert names(running) == []


@pytest.mark.parametrize("question", ["sizes", "end_dumps", "major_version"])
def test_a_server_that_cannot_be_asked_is_a_refusal(
    running: FakeWorld, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    def rejected() -> int:
        raise NeedsYou("The database rejects the password of managed.", "", "Set DATABASE_ADMIN_PASSWORD.")

    monkeypatch.setattr(running.databases, question, rejected)
    with pytest.raises(Refused, match="rejects the password") as refusal:
        taken(running)
    assert refusal.value.next_step == "Set DATABASE_ADMIN_PASSWORD."
    assert names(running) == []


def test_ctrl_c_in_the_middle_leaves_no_file(running: FakeWorld) -> None:
    reports = take_backup(running.world, Everything(None))
    next(reports)
    running.interruption.request()
    with pytest.raises(Interrupted, match="The incomplete backup was deleted"):
        result(reports)
    assert names(running) == []


def test_a_kill_leaves_nothing_under_a_final_name_and_the_next_one_tidies_up(running: FakeWorld) -> None:
    partial = BackupStore.of(running.world.site).begin("0001-killed")
    (partial / "graasp.dump").write_bytes(b"half")
    assert BackupStore.of(running.world.site).all() == ()
    assert [name[:5] for name in names(running)] == [".part"]
    taken(running)
    assert [name[:5] for name in names(running)] == ["0002-"]


def test_a_disk_without_room_is_refused_before_anything_is_written(
    running: FakeWorld,
) -> None:
    running.transfers.claimed_bytes = 2**70
    with pytest.raises(Refused, match=r"free, but a backup may need 1073741824\.0 TiB"):
        taken(running)
    assert running.state.calls == []
    assert names(running) == []


def test_a_site_whose_database_is_off_gets_what_to_type(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.STOPPED))
    with pytest.raises(Refused, match="database is off") as refusal:
        taken(fake)
    assert "apply db-only" in refusal.value.next_step


def test_a_trial_restore_with_the_database_off_does_not_speak_of_taking_a_backup(running: FakeWorld) -> None:
    backup = taken(running)
    running.become(site_in(InfraState.STOPPED))
    with pytest.raises(Refused, match="database is off") as refusal:
        verified(running.world, backup.manifest.name, 0.0, trial_restore=True, silent=True)
    assert refusal.value.meaning == f"{backup.manifest.name} is complete, but its dumps were not loaded."


def test_a_backup_is_verified_by_reading_it(running: FakeWorld) -> None:
    backup = taken(running)
    lines = [r for r in check_backup(running.world, backup, backup.manifest.parts) if isinstance(r, str)]
    assert [line.partition(":")[0] for line in lines] == ["graasp.dump", "umami.dump", "files.tar"]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *(
            (file, damage)
            for file in ("graasp.dump", "files.tar")
            for damage in ("changed", "cut off", "longer", "missing")
        ),
        ("env.age", "changed"),  # one alone, because encrypting takes its time on purpose
    ],
)
def test_a_damaged_file_is_found_and_named(running: FakeWorld, file: str, damage: str) -> None:
    backup = taken(running, Everything(PASSPHRASE if file == "env.age" else None))
    path = backup.path(file)
    content = path.read_bytes()
    half = len(content) // 2
    if damage == "changed":
        path.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    elif damage == "cut off":
        path.write_bytes(content[:-1])
    elif damage == "longer":
        path.write_bytes(content + b"x")
    else:
        path.unlink()
    with pytest.raises(Refused, match=file):
        list(check_backup(running.world, backup, backup.manifest.parts))


def test_a_trial_restore_leaves_nothing_behind(running: FakeWorld) -> None:
    backup = taken(running)
    before = dict(running.databases.others)
    list(trial_restore(running.world, backup))
    assert running.databases.others == before
    assert "create graasp_trial" in running.state.calls


def test_roles_that_are_missing_where_it_is_restored_are_no_damage(running: FakeWorld) -> None:
    backup = taken(running)
    running.databases.roles -= {"umami"}
    running.databases.needed_roles = {"reader", "writer"}
    there = set(running.databases.roles)
    lines = [report for report in trial_restore(running.world, backup) if isinstance(report, str)]
    assert "umami_trial: created the role umami without a login, because this server did not have it" in lines
    assert running.databases.roles == there
    part = backup.manifest.databases[0]
    file = backup.path("graasp.dump")
    list(load_dump(running.world, file, Dump(part.stored, part.rows), "graasp_new", "graasp"))
    assert running.databases.roles == there | {"reader", "writer"}
    assert running.databases.others["graasp_new"] == running.state.applied


def test_a_dump_is_loaded_as_its_owner_with_what_only_the_superuser_can_make_there_before(running: FakeWorld) -> None:
    backup = taken(running)
    entries = ("2; 3079 16407 EXTENSION - dblink ", "219; 1259 16603 TABLE public item graasp")
    running.transfers.listing = entries
    running.databases.untrusted = {"dblink": "tools", "pageinspect": "public"}
    part = backup.manifest.databases[0]
    list(load_dump(running.world, backup.path("graasp.dump"), Dump(part.stored, part.rows), "graasp_new", "graasp"))
    assert running.transfers.loaded == ("graasp", entries[1:])
    assert running.databases.made_extensions["graasp_new"] == {"dblink": "tools"}


def test_what_belongs_to_a_database_is_in_the_backup_and_given_back(running: FakeWorld) -> None:
    locale = Locale("UTF8", "de_CH.UTF-8", "de_CH.UTF-8", "i", "de-CH")
    running.databases.given["graasp"] = properties = DatabaseProperties(
        "graasp", locale, 7, "ours", (("graasp", "CONNECT", True),), (("", "timezone", "Europe/Zurich"),)
    )
    backup = BackupStore.of(running.world.site).find(taken(running).manifest.name)
    part = backup.manifest.databases[0]
    assert part.properties == properties
    dump = Dump(part.stored, part.rows, part.properties)
    list(load_dump(running.world, backup.path("graasp.dump"), dump, "graasp_new", "graasp"))
    assert running.databases.given["graasp_new"] == properties


def test_a_restore_that_reports_false_success_is_caught_by_its_rows(running: FakeWorld, tmp_path: Path) -> None:
    backup = taken(running)
    part = backup.manifest.databases[0]
    running.databases.rows_off_by = 1
    with pytest.raises(NeedsYou, match=": 2 row"):
        list(load_dump(running.world, backup.path("graasp.dump"), Dump(part.stored, part.rows), "graasp_new", "graasp"))
    assert "graasp_new" not in running.databases.others


def test_a_dump_goes_into_a_new_database_as_it_came_out(running: FakeWorld, tmp_path: Path) -> None:
    reports = dump_database(running.world, "graasp", tmp_path / "graasp.dump")
    dump: Dump = result(reports)  # type: ignore[assignment, arg-type]
    list(load_dump(running.world, tmp_path / "graasp.dump", dump, "graasp_new", "graasp"))
    assert running.databases.others["graasp_new"] == running.state.applied


def test_a_file_that_changed_since_is_not_loaded_for_good(running: FakeWorld, tmp_path: Path) -> None:
    dump: Dump = result(dump_database(running.world, "graasp", tmp_path / "a.dump"))  # type: ignore[assignment, arg-type]
    wrong = Dump(StoredFile("a.dump", dump.stored.bytes, "0" * 64), dump.rows)
    with pytest.raises(NeedsYou, match="sha256"):
        list(load_dump(running.world, tmp_path / "a.dump", wrong, "graasp_new", "graasp"))
    assert "graasp_new" not in running.databases.others


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"a": 1, "b": 2}, ""),
        ({"a": 1, "b": 3}, "b: 2 row(s) in the backup, 3 row(s) now."),
        ({"a": 1}, "b: 2 row(s) in the backup, missing now."),
        ({"a": 1, "b": 2, "c": 0}, "c: missing in the backup, 0 row(s) now."),
    ],
)
def test_rows_that_differ_are_named(found: dict[str, int], says: str) -> None:
    assert differing_rows({"a": 1, "b": 2}, found) == says


def test_backups_are_found_by_name_beginning_latest_and_path(running: FakeWorld) -> None:
    first, second = taken(running), taken(running)
    store = BackupStore.of(running.world.site)
    assert store.find("0001").directory == first.directory
    assert store.find(second.manifest.name) == second
    assert store.find("latest") == second
    assert store.find(str(first.directory)) == first
    for wrong, says in [("0009", "no backup 0009"), ("000", "matches several")]:
        with pytest.raises(Refused, match=says):
            store.find(wrong)


def test_a_backup_without_a_readable_manifest_is_reported_as_damaged(running: FakeWorld) -> None:
    backup = taken(running)
    (backup.directory / "manifest.json").write_text('{"format": 1')
    store = BackupStore.of(running.world.site)
    assert store.usable() == ()
    with pytest.raises(Refused, match="cannot be used: its manifest"):
        store.find("latest")


def test_numbers_continue_when_the_clock_jumps_back(running: FakeWorld) -> None:
    taken(running)
    running.clock.seconds -= 90_000
    assert taken(running).manifest.name > names(running)[0]


def test_old_backups_go_but_not_the_one_before_this_version(running: FakeWorld) -> None:
    for _ in range(9):
        taken(running)
    running.clock.seconds += 31 * 86400
    list(delete_old_backups(running.world))
    assert [name[:4] for name in names(running)] == ["0003", "0004", "0005", "0006", "0007", "0008", "0009"]
    store = BackupStore.of(running.world.site)
    for backup in store.usable()[1:]:
        store.remove(backup)
    running.clock.seconds += 400 * 86400
    list(delete_old_backups(running.world))
    assert [name[:4] for name in names(running)] == ["0003"]


def test_progress_becomes_a_line_once_in_a_while() -> None:
    clock = FakeClock()

    def reports() -> Generator[Moved | str]:
        for mebibytes in range(100):
            clock.seconds += 1
            yield Moved("graasp", mebibytes * 1024**2, 100 * 1024**2)
        yield "graasp.dump: done"

    lines = list(as_lines(reports(), clock))
    assert len(lines) == 21
    assert lines[0] == "graasp: 4.0 MiB of about 100.0 MiB"
    assert lines[-1] == "graasp.dump: done"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB")]
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def test_closing_the_reports_early_leaves_no_file(running: FakeWorld) -> None:
    reports = take_backup(running.world, Everything(None))
    with suppress(StopIteration):
        next(reports)
    reports.close()
    assert names(running) == []
