"""Backups of a real site: what is in them, that damage is found, that nothing half-done stays, and restores of it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graasp_local.engine.containers.temporary import BORROWER_LABEL
from tests.integration.database_data import killed
from tests.integration.demo_site import DemoSite, wait_for
from tests.integration.docker_command import docker
from tests.unit.test_console_blocks import from_page

CHECKSUM = "SELECT count(*), md5(string_agg(id::text || name || created_at, ',' ORDER BY id)) FROM item"
NEW_MACHINE = from_page(
    "install.md",
    "mkdir -m 700",
    "graasp-local backup settings /mnt",
    "chmod 600 /srv/graasp",
    "graasp-local --site /srv/graasp restore",
)
PASSPHRASE = "correct horse battery"
FILE = "/var/tmp/graasp-files/lesson.txt"


class BackedUp(DemoSite):
    """`backed_up` is the checksum of what is in its backup `0001`."""

    backed_up: tuple[Any, ...]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUp]:
    """Running 1.0.0 with fifty items and a file, and a backup of that, `0001`."""
    site = BackedUp(tmp_path_factory.mktemp("backup") / "site")
    try:
        site.deploy("1.0.0")
        site.database(
            "graasp", "INSERT INTO item (name) SELECT 'item ' || n FROM generate_series(1, 50) n RETURNING id"
        )
        write_file(site, "as backed up")
        # What core's /tmp left on sites whose volume it was: in the volume, and no content.
        in_core(site, "echo half an upload > /var/tmp/tmp-1")
        site.backed_up = checksum(site)
        site.run("backup", env={"GRAASP_LOCAL_BACKUP_PASSPHRASE": PASSPHRASE})
        yield site
    finally:
        site.down()


def checksum(site: DemoSite) -> tuple[Any, ...]:
    return site.database("graasp", CHECKSUM)[0]


def in_core(site: DemoSite, command: str) -> str:
    done = site.stack.exec("core", ["sh", "-c", command])
    assert done.exit_code == 0, done.output.decode()
    return done.output.decode()


def write_file(site: DemoSite, text: str) -> None:
    in_core(site, f"mkdir -p $(dirname {FILE}) && printf '%s' '{text}' > {FILE}")


def listed(site: DemoSite) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(site.run("backup", "list", "--json").stdout)
    return told


def first(site: DemoSite) -> tuple[Path, dict[str, Any]]:
    told = listed(site)[-1]
    return Path(told["directory"]), told


def backups_of(site: DemoSite) -> list[str]:
    """Everything that lies among the backups, hidden names too."""
    return sorted(entry.name for entry in (site.directory / "backups").iterdir())


def test_a_backup_holds_what_the_manifest_says(site: DemoSite) -> None:
    directory, told = first(site)
    parts = {part["name"]: part for part in told["parts"]}
    assert {"graasp", "umami", "files", ".env"} <= parts.keys()
    assert parts["graasp"]["rows"]["public.item"] == 50
    assert parts["files"]["files"] >= 1
    for part in parts.values():
        content = (directory / part["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])
        assert (directory / part["file"]).stat().st_mode & 0o077 == 0
    assert (told["version"], told["project"]) == ("1.0.0", site.project)


def test_what_is_half_uploaded_is_in_no_backup_and_not_in_the_volume(site: DemoSite) -> None:
    with tarfile.open(first(site)[0] / "files.tar") as archive:
        names = archive.getnames()
    assert "./graasp-files/lesson.txt" in names
    assert {name.split("/")[1] for name in names if "/" in name} <= {"graasp-files", "graasp-h5p"}
    in_core(site, "echo half an upload > /tmp/tmp-2")
    assert "tmp-2" not in in_core(site, "find /var/tmp")


def test_its_settings_are_those_of_the_site_and_in_it_only_encrypted(site: DemoSite) -> None:
    directory, _ = first(site)
    secret = site.setting("POSTGRES_PASSWORD").encode()
    assert all(secret not in file.read_bytes() for file in directory.iterdir())
    told = site.run("backup", "settings", str(directory), env={"GRAASP_LOCAL_BACKUP_PASSPHRASE": PASSPHRASE})
    assert told.stdout == (site.directory / ".env").read_text()
    wrong = site.run(
        "backup", "settings", str(directory), code=10, env={"GRAASP_LOCAL_BACKUP_PASSPHRASE": "another passphrase"}
    )
    assert "passphrase" in wrong.stderr


def test_a_trial_restore_proves_it_and_leaves_no_database(site: DemoSite) -> None:
    before = site.database("postgres", "SELECT datname FROM pg_database ORDER BY 1")
    site.run("backup", "verify", "0001", "--trial-restore")
    assert site.database("postgres", "SELECT datname FROM pg_database ORDER BY 1") == before


@pytest.mark.parametrize("file", ["graasp.dump", "files.tar"])
def test_one_changed_byte_is_found(site: DemoSite, file: str) -> None:
    path = first(site)[0] / file
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        refused = site.run("backup", "verify", "0001", code=10)
        assert file in refused.stderr
        site.run("restore", "0001", "--discard", "current-data", code=10)
    finally:
        path.write_bytes(whole)
    assert site.status()["state"] == "running"


def test_ctrl_c_leaves_no_half_of_a_backup_and_the_site_as_it_was(site: DemoSite) -> None:
    in_core(site, "head -c 400000000 /dev/zero > /var/tmp/graasp-files/large")
    before = backups_of(site)
    try:
        backup = site.start("backup")
        wait_for(lambda: bool(list(site.directory.glob("backups/.partial-*/files.tar"))), "the files are being packed")
        os.kill(backup.pid, signal.SIGINT)
        _, narration = backup.communicate(timeout=60)
        assert backup.returncode == 130
        assert "The incomplete backup was deleted" in narration
    finally:
        in_core(site, "rm -f /var/tmp/graasp-files/large")
    assert backups_of(site) == before
    assert site.status()["state"] == "running"


def test_a_killed_backup_leaves_nothing_under_a_final_name_and_the_next_one_tidies_up(site: DemoSite) -> None:
    in_core(site, "head -c 400000000 /dev/zero > /var/tmp/graasp-files/large")
    before = backups_of(site)
    try:
        backup = site.start("backup")
        wait_for(lambda: bool(list(site.directory.glob("backups/.partial-*/files.tar"))), "the files are being packed")
        os.killpg(backup.pid, signal.SIGKILL)
        backup.communicate(timeout=60)
    finally:
        in_core(site, "rm -f /var/tmp/graasp-files/large")
    assert [name for name in backups_of(site) if not name.startswith(".partial-")] == before
    # What it leaves where it is killed between making its helper container and starting it.
    label, image = f"{BORROWER_LABEL}={socket.gethostname()}:{backup.pid}", str(site.containers()["db"]["Image"])
    made = docker("create", "--label", label, image)
    site.run("backup")
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"id={made}") == ""
    assert not [name for name in backups_of(site) if name.startswith(".partial-")]


def test_a_full_disk_is_reported_before_anything_is_written(site: DemoSite, tmp_path: Path) -> None:
    """A disk smaller than the room that is kept free is refused before anything is written."""
    small, backups, aside = tmp_path / "small", site.directory / "backups", site.directory / "backups-aside"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs", str(small)], check=True)
    try:
        backups.rename(aside)
        backups.symlink_to(small)
        refused = site.run("backup", code=10)
        assert "free, but a backup may need" in refused.stderr
        assert list(small.iterdir()) == []
    finally:
        backups.unlink()
        aside.rename(backups)
        subprocess.run(["umount", str(small)], check=True)


def test_a_deployment_backs_up_first_and_relies_on_a_fresh_one(site: DemoSite) -> None:
    count = len(listed(site))
    site.deploy("1.3.0-migration-fails", code=20)
    assert len(listed(site)) == count  # the one that the fixture made is fresh
    steps = [step["name"] for step in site.deploy("1.3.0-migration-fails", "--no-backup", code=20)["steps"]]
    assert "backup" not in steps


def test_a_restore_restores_every_row_and_file_and_keeps_what_was_there(site: BackedUp) -> None:
    assert checksum(site) == site.backed_up
    for name in ("written", "since"):
        site.create_item(name)
    write_file(site, "newer")
    site.run("restore", "0001", code=10)  # no one can be asked here
    site.run("restore", "0001", "--discard", "current-data")
    assert checksum(site) == site.backed_up
    assert in_core(site, f"cat {FILE}") == "as backed up"
    kept = [name for (name,) in site.database("postgres", "SELECT datname FROM pg_database") if "_before_" in name]
    graasp = next(name for name in kept if name.startswith("graasp_before_"))
    assert site.database(graasp, "SELECT count(*) FROM item") == [(52,)]
    assert [name for name in site.item_names() if name in ("written", "since")] == []


@pytest.mark.parametrize(("step", "goes"), [("put-in-place", "back"), ("put-in-place", "on"), ("start-graasp", "back")])
def test_a_restore_that_was_killed_is_resumed_or_rolled_back_with_all_data(
    site: BackedUp, step: str, goes: str
) -> None:
    """The files too. Rows after a kill at every other step: tests/matrix/test_killed_restoring.py."""
    site.create_item(f"before {step}")
    write_file(site, f"before {step}")
    before = checksum(site)
    operation = site.start("restore", "0001", "--discard", "current-data", "--json")
    assert operation.stdout is not None
    for line in operation.stdout:
        event = json.loads(line)
        if event["event"] == "step-started" and event["name"] == step:
            os.killpg(operation.pid, signal.SIGKILL)
            break
    else:
        pytest.fail(f"the operation ended before {step}")
    operation.communicate(timeout=30)
    assert site.status()["next"] == ["graasp-local resume", "graasp-local rollback"]
    site.run("rollback" if goes == "back" else "resume")
    told = site.status()
    assert (told["state"], told["version"], told["unfinished"], told["drift"]) == ("running", "1.0.0", None, [])
    if goes == "back":
        assert checksum(site) == before
        assert in_core(site, f"cat {FILE}") == f"before {step}"
    else:
        assert checksum(site) == site.backed_up
        assert in_core(site, f"cat {FILE}") == "as backed up"


@pytest.mark.parametrize("what", ["restore", "deployment"])
def test_a_restore_over_what_was_killed_fails_back_to_what_was_before_both(site: DemoSite, what: str) -> None:
    site.create_item(f"before a {what}")
    write_file(site, f"before a {what}")
    before = checksum(site)
    words = ("restore", "0001", "--discard", "current-data") if what == "restore" else ("deploy", "--version", "1.1.0")
    killed(site, "start-graasp", *words, "--json")
    settings = (site.directory / ".env").read_text()
    site.configure(MEILISEARCH_URL="http://nobody.invalid:7700")
    site.run("restore", "0001", "--only", "graasp", "--discard", "current-data", code=20)
    (site.directory / ".env").write_text(settings)
    told = site.status()
    assert (told["state"], told["version"], told["unfinished"], told["drift"]) == ("running", "1.0.0", None, [])
    assert checksum(site) == before
    assert in_core(site, f"cat {FILE}") == f"before a {what}"


def test_a_first_restore_that_fails_or_is_killed_leaves_the_site_as_it_was_and_the_next_one_moves_it(
    site: BackedUp, new_site: DemoSite
) -> None:
    """To a machine whose site has secrets of its own."""
    directory, _ = first(site)
    new_site.configure(MEILISEARCH_URL="http://nobody.invalid:7700")
    new_site.run("restore", str(directory), code=20)
    assert (new_site.running(), new_site.status()["version"], new_site.status()["unfinished"]) == (set(), None, None)
    new_site.configure(MEILISEARCH_URL="")
    killed(new_site, "verify-core", "restore", str(directory), "--json")
    new_site.run("rollback")
    assert (new_site.running(), new_site.status()["version"], new_site.status()["unfinished"]) == (set(), None, None)
    new_site.run("restore", str(directory))
    told = new_site.status()
    assert (told["state"], told["version"]) == ("running", "1.0.0")
    assert checksum(new_site) == site.backed_up
    assert in_core(new_site, f"cat {FILE}") == "as backed up"
    new_site.create_item("written on the new machine")
    in_core(new_site, "touch /var/tmp/graasp-files/core-can-write")
    new_site.deploy("1.1.0")
    assert len(new_site.item_names()) == 51


def test_the_commands_of_the_page_move_a_site_with_its_settings(site: BackedUp, new_site: DemoSite) -> None:
    """Both machines have one engine here: where the page says to check `.env`, it gets a name and a port of its own."""
    directory, _ = first(site)
    override = (new_site.directory / "compose.override.yaml").read_text()
    shutil.rmtree(new_site.directory)
    passphrase = directory.parent.parent.parent / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o600)

    def type_it(typed: str) -> None:
        typed = typed.replace("/mnt/0042-20261125-190000", str(directory)).replace(
            "/srv/graasp", str(new_site.directory)
        )
        typed = typed.replace("graasp-local", shlex.join(new_site.command), 1) if "graasp-local" in typed else typed
        subprocess.run(typed, shell=True, check=True, cwd=passphrase.parent, env=new_site.environment, timeout=300)

    *settings, restore = NEW_MACHINE
    for typed in settings:
        type_it(typed)
    assert (new_site.directory / ".env").read_text() == (site.directory / ".env").read_text()
    new_site.configure(
        COMPOSE_PROJECT_NAME=new_site.project,
        HTTP_PORT=str(new_site.port),
        PUBLIC_URL=f"http://localhost:{new_site.port}",
        COOKIE_DOMAIN="localhost",
    )
    (new_site.directory / "compose.override.yaml").write_text(override)
    type_it(restore)
    told = new_site.status()
    assert (told["state"], told["version"]) == ("running", "1.0.0")
    assert checksum(new_site) == site.backed_up
    assert in_core(new_site, f"cat {FILE}") == "as backed up"
