"""A backup that someone else has written or tampered with is judged before it is unpacked, and never "unexpected"."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graasp_local.backup.archive_members import link_stays_inside
from graasp_local.backup.check import check_backup
from graasp_local.backup.keep import delete_old_backups
from graasp_local.backup.sealing import passphrase_in, seal, unseal
from graasp_local.backup.store import BackupStore, DamagedBackup, StoredBackup
from graasp_local.backup.take import Everything, take_backup
from graasp_local.errors import Refused, UsageError
from graasp_local.images.deployed import last_deployment_of
from graasp_local.journal.read import read_journal
from graasp_local.operations.steps.backing_up import see_to_backup
from graasp_local.operations.steps.preflight import check_preflight
from graasp_local.planning.steps import BackUpDatabase
from graasp_local.stack.cache import services_of
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.test_backup import taken

ENDLESS = "[" * 200_000


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    told = tarfile.TarInfo(name)
    told.type, told.linkname, told.mode = kind, linkname, mode
    return told


def put_archive(backup: StoredBackup, *members: tarfile.TarInfo) -> StoredBackup:
    """Replace the archive of the backup by one of these members, with a manifest that fits."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for told in members:
            archive.addfile(told)
    content = buffer.getvalue()
    backup.path("files.tar").write_bytes(content)

    def fit(told: dict[str, Any]) -> None:
        part = next(part for part in told["parts"] if part["name"] == "files")
        part |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "content_bytes": 0}
        part["files"] = sum(told.isfile() for told in members)

    change_manifest(backup, fit)
    return BackupStore(backup.directory.parent).find(backup.directory.name)


def change_manifest(backup: StoredBackup, change: Callable[[dict[str, Any]], None]) -> None:
    file = backup.directory / "manifest.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


REFUSED = {
    "points outside": [member("../outside")],
    "points outside the": [member("/etc/passwd")],
    "a/../../b": [member("a/../../b")],
    "name that is reserved": [member(".graasp-before-0001", tarfile.DIRTYPE)],
    "restored-0001/x": [member("./.graasp-restored-0001/x")],
    "link that points outside": [member("link", tarfile.SYMTYPE, "/etc")],
    "is a link that": [member("a/link", tarfile.SYMTYPE, "../../etc")],
    "a link that points": [member("hard", tarfile.LNKTYPE, "../../etc/shadow")],
    "goes through a link": [member("d/l", tarfile.SYMTYPE, ".."), member("d/l/x")],
    "that points outside the volume": [member("d/l", tarfile.SYMTYPE, ".."), member("d/m", tarfile.SYMTYPE, "l/..")],
    "neither a file": [member("pipe", tarfile.FIFOTYPE)],
    "nor a directory": [member("disk", tarfile.BLKTYPE)],
    "nor a link": [member("null", tarfile.CHRTYPE)],
    "set-uid": [member("sh", mode=0o4755)],
    "set-gid": [member("sh", mode=0o2755)],
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_no_volume_of_ours_holds_is_refused(running: FakeWorld, why: str) -> None:
    backup = put_archive(taken(running), member("a.txt"), *REFUSED[why])
    with pytest.raises(Refused, match="cannot be restored") as refused:
        list(check_backup(running.world, backup, backup.manifest.parts))
    assert why in refused.value.what


def test_files_directories_and_links_that_stay_inside_are_taken(running: FakeWorld) -> None:
    wanted = [
        member("./", tarfile.DIRTYPE),
        member("./a", tarfile.DIRTYPE, mode=0o2775),
        member("./a/b.txt"),
        member("./a/c", tarfile.SYMTYPE, "b.txt"),
        member("./a/d", tarfile.SYMTYPE, "../a/b.txt"),
        member("./e", tarfile.LNKTYPE, "./a/b.txt"),
        member("./..dots"),
        member("./a/.graasp-x"),
    ]
    backup = put_archive(taken(running), *wanted)
    list(check_backup(running.world, backup, backup.manifest.parts))


@pytest.mark.parametrize(
    ("name", "target", "stays"),
    [("l", "x", True), ("a/l", "../x", True), ("l", "..", False), ("a/l", "x/../y", False), ("l", "", False)],
)
def test_a_link_stays_inside_whatever_other_links_there_are(name: str, target: str, stays: bool) -> None:
    assert link_stays_inside(name, target) is stays


def test_what_was_planted_in_a_volume_does_not_prevent_the_backup(running: FakeWorld) -> None:
    running.transfers.planted = [member("out", tarfile.SYMTYPE, "/etc"), member("pipe", tarfile.FIFOTYPE)]
    lines = [report for report in take_backup(running.world, Everything(None)) if isinstance(report, str)]
    assert [line.rpartition("refuse it: ")[2] for line in lines if "left out" in line] == [
        "'out' is a link that points outside the volume",
        "'pipe' is neither a file, nor a directory, nor a link",
    ]
    backup = BackupStore.of(running.world.site).find("latest")
    assert backup.manifest.volumes[0].files == 2
    list(check_backup(running.world, backup, backup.manifest.parts))


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a database that is not ours": lambda told: told["parts"][0].update(name="template1", file="template1.dump"),
    "a file that is not the part's": lambda told: told["parts"][0].update(file="umami.dump"),
    "a file with a NUL": lambda told: told["parts"][0].update(file="graasp\0.dump"),
    "a volume that leads elsewhere": lambda told: told["parts"][-1].update(name="../files", file="../files.tar"),
    "a part twice": lambda told: told["parts"].append(told["parts"][0]),
    "a name with an escape": lambda told: told.update(name="\x1b]0;x"),
    "half a character": lambda told: told["parts"][0]["rows"].update({"\ud800": 1}),
    "a number without end": lambda told: told["parts"][0].update(bytes=float("inf")),
    "a time that is none": lambda told: told.update(at="yesterday"),
    "properties of another kind": lambda told: told["parts"][0].update(properties={"owner": 7}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_is_not_ours_is_damaged(running: FakeWorld, change: str) -> None:
    backup = taken(running)
    change_manifest(backup, CHANGES[change])
    (found,) = BackupStore.of(running.world.site).all()
    assert isinstance(found, DamagedBackup), found
    assert found.damage.isprintable()


@pytest.mark.parametrize("content", [ENDLESS, '{"format": 1, "parts": ' + ENDLESS, "\0", '{"format": 1e999}'])
def test_nesting_without_end_and_nul_are_damage(running: FakeWorld, content: str) -> None:
    backup = taken(running)
    (backup.directory / "manifest.json").write_text(content)
    assert isinstance(BackupStore.of(running.world.site).all()[0], DamagedBackup)


def test_nesting_and_nul_in_the_sites_own_files_are_damage_too(running: FakeWorld, tmp_path: Path) -> None:
    site = running.world.site
    (tmp_path / "0001-x.jsonl").write_text(ENDLESS + "\n")
    (tmp_path / "0002-x.jsonl").write_text('{"event": "operation-started", "format": 1, "command": "a\\u0000b"}\n')
    assert len(read_journal(tmp_path).damaged) == 2
    record = tmp_path / "deployments.jsonl"
    record.write_text(f'{ENDLESS}\n{{"version": "1.0.0", "at": "x", "digests": {{"core": "a\\u0000"}}}}\n')
    assert last_deployment_of(record, Version(1, 0, 0)) is None
    cache = tmp_path / "services.json"
    services = services_of(site.compose_files, (), cache)
    for content in (ENDLESS, cache.read_text().replace("redis", "red\\u0000is")):
        cache.write_text(content)
        assert services_of(site.compose_files, (), cache) == services


@pytest.mark.parametrize(
    "content",
    [
        b"correct horse battery",
        b"\xef\xbb\xbfcorrect horse battery\r\nsecond line",
        "\ufeffcorrect horse battery\r\n".encode("utf-16-le"),
        "\ufeffcorrect horse battery\n".encode("utf-16-be"),
    ],
)
def test_a_passphrase_file_holds_what_a_person_would_type(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    assert passphrase_in(file) == "correct horse battery"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\xff\x00\xd8", "correct".encode("utf-16-le")])
def test_a_passphrase_file_without_a_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        passphrase_in(file)


def test_settings_that_take_this_machine_too_long_are_not_said_to_have_another_passphrase() -> None:
    """As age refuses them where it finds the machine to be much slower than the one that encrypted them."""
    phrase = "correct horse battery"
    sealed = re.sub(rb"(-> scrypt \S+) \d+\n", rb"\1 40\n", seal(b"KEY=value", phrase), count=1)
    with pytest.raises(Refused, match="would take this machine too long"):
        unseal(sealed, phrase)


def test_a_backup_from_before_opens_with_the_phrase_as_it_is_typed() -> None:
    assert unseal(seal(b"KEY=value", "\ufeffcorrect horse battery"), "correct horse battery") == b"KEY=value"


def test_a_link_to_a_disk_that_is_not_mounted_is_reported_as_one(running: FakeWorld, tmp_path: Path) -> None:
    store = BackupStore.of(running.world.site)
    store.directory.symlink_to(tmp_path / "disk" / "backups")
    for act in (store.all, store.free_bytes, lambda: store.begin("0001"), lambda: taken(running)):
        with pytest.raises(Refused, match="which does not exist"):
            act()
    (tmp_path / "disk" / "backups").mkdir(parents=True)
    assert taken(running).directory.exists()


def test_a_disk_that_is_not_mounted_does_not_prevent_a_deployment_without_backup(
    running: FakeWorld, tmp_path: Path
) -> None:
    BackupStore.of(running.world.site).directory.symlink_to(tmp_path / "disk")
    check_preflight(running.world, Version(1, 1, 0))
    assert [line.partition(":")[0] for line in delete_old_backups(running.world)] == [
        "old backups could not be removed"
    ]
    with pytest.raises(Refused, match="which does not exist") as refused:
        list(see_to_backup(running.world, BackUpDatabase(Version(1, 1, 0), "because")))
    assert "--no-backup" in refused.value.next_step


def test_a_file_in_place_of_the_backups_is_reported_as_one(running: FakeWorld) -> None:
    BackupStore.of(running.world.site).directory.write_text("")
    with pytest.raises(Refused, match="is not a directory"):
        BackupStore.of(running.world.site).all()
