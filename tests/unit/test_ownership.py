"""A site is no one else's: what someone else could change is named, and no command that changes something goes on."""

from __future__ import annotations

import grp
import json
import os
import pwd
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.errors import ConfigurationError, Refused
from graasp_local.lock import current_holder, held_lock
from graasp_local.operations import run
from graasp_local.planning.requests import ChangeState
from graasp_local.planning.states import InfraState
from graasp_local.site.create import init_site
from graasp_local.site.ownership import is_private_group, refuse_strangers, strangers, trusted_owners
from graasp_local.site.site import Site, find_site
from tests.unit.fakes import FakeWorld

RUN = [sys.executable, "-m", "graasp_local.cli.main"]
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "PATH": "/usr/local/bin:/usr/bin:/bin"}
SOMEBODY_ELSE = frozenset({54321})
CHANGING = [
    ["apply", "running"],
    ["deploy", "--version", "1.0.0"],
    ["resume"],
    ["rollback"],
    ["upgrade-database", "--to", "17"],
    ["remove-old-database"],
    ["backup"],
    ["backup", "verify"],
    ["restore", "latest"],
    ["images", "pull", "1.0.0"],
    ["build", "--version", "1.0.0"],
    ["certificate", "renew"],
    ["config", "add-missing"],
    ["secrets", "rotate", "JWT_SECRET", "--yes"],
    ["compose", "--", "ps"],
]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return init_site(tmp_path / "site", {"COMPOSE_PROJECT_NAME": "nobodys"}, demo=True)


def call(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*RUN, "--site", str(site.directory), *words]
    return subprocess.run(command, capture_output=True, text=True, env=NO_ENGINE, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
@pytest.mark.parametrize("place", ["site", "new/parents/site"])
def test_init_makes_files_that_only_the_owner_can_change_whatever_the_umask(
    tmp_path: Path, umask: int, place: str
) -> None:
    before = os.umask(umask)
    try:
        result = CliRunner().invoke(cli, ["init", str(tmp_path / place), "--demo"])
        assert result.exit_code == 0, result.output
        assert os.umask(umask) & 0o022 == 0o022
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    assert [path for path in made if path.stat().st_mode & 0o022] == []
    assert Site(tmp_path / place).strangers() == ()


@pytest.mark.parametrize(
    "part",
    [
        *[".", ".env", "compose.override.yaml", ".graasp-local", ".graasp-local/version.env", ".graasp-local/stack"],
        *[".graasp-local/stack/nginx/html/maintenance.html", "journal", "journal/0001-x.jsonl", "backups"],
    ],
)
def test_what_others_may_write_to_is_named_with_the_command_that_ends_it(site: Site, part: str) -> None:
    path = site.directory / part
    if part.startswith("journal/"):
        path.touch()
    if part == "backups":
        path.mkdir()
    path.chmod(path.stat().st_mode | 0o002)
    (found,) = site.strangers()
    assert found.path == path
    subprocess.run(found.fix.strip("`"), shell=True, check=True)
    assert site.strangers() == ()


def test_a_group_counts_unless_its_only_member_is_its_owner(site: Site) -> None:
    own = pwd.getpwuid(os.geteuid())
    shared = next(group for group in grp.getgrall() if group.gr_name not in ("root", own.pw_name))
    assert not is_private_group(shared.gr_gid, trusted_owners())
    assert not is_private_group(54321, trusted_owners())  # no one knows who is in it
    site.directory.chmod(0o775)
    is_private = is_private_group(site.directory.stat().st_gid, trusted_owners())
    assert (site.strangers() == ()) == is_private
    assert is_private == (grp.getgrgid(own.pw_gid).gr_name == own.pw_name)


def test_a_site_of_another_user_is_named_part_by_part(site: Site) -> None:
    found = strangers(site.directory, site.trusted_parts, SOMEBODY_ELSE)
    assert {site.directory, site.env_file, site.override_file, site.own_directory, site.stack_copy} <= {
        stranger.path for stranger in found
    }
    with pytest.raises(Refused, match="belongs to") as refused:
        refuse_strangers(found)
    assert len(refused.value.sentences) == 3


def test_links_are_judged_by_their_target(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (site.directory / "backups").symlink_to(elsewhere)
    assert site.strangers() == ()
    elsewhere.chmod(0o777)
    assert [stranger.path for stranger in site.strangers()] == [elsewhere]
    elsewhere.chmod(0o755)
    override = elsewhere / "override.yaml"
    override.write_text("services: {}\n")
    site.override_file.unlink()
    site.override_file.symlink_to(override)
    assert site.strangers() == ()
    override.chmod(0o666)
    assert override in [stranger.path for stranger in site.strangers()]


def test_a_dangling_link_breaks_nothing(site: Site, tmp_path: Path) -> None:
    (site.directory / "backups").symlink_to(tmp_path / "not mounted")
    assert site.strangers() == ()


def test_directories_above_count_unless_they_are_sticky(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    site = init_site(above / "site", {"COMPOSE_PROJECT_NAME": "nobodys"}, demo=True)
    above.chmod(0o777)
    (found,) = site.strangers()
    assert (found.path, found.fix) == (above, f"`chmod go-w {above}`")
    with pytest.raises(Refused, match="a parent directory of the site"):
        init_site(above / "another", {"COMPOSE_PROJECT_NAME": "nobodys"}, demo=True)
    assert not (above / "another").exists()
    above.chmod(0o1777)
    assert site.strangers() == ()


def test_an_access_list_that_lets_others_write_is_noticed(site: Site) -> None:
    rights = [
        (0x01, 7, 0xFFFFFFFF),
        (0x02, 7, 54321),
        (0x04, 5, 0xFFFFFFFF),
        (0x10, 7, 0xFFFFFFFF),
        (0x20, 5, 0xFFFFFFFF),
    ]
    content = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in rights)
    os.setxattr(site.directory, "system.posix_acl_access", content)
    found = [stranger for stranger in site.strangers() if stranger.path == site.directory]
    assert len(found) == 1
    assert "is writable by" in found[0].said


def test_the_caller_of_sudo_is_trusted_for_root_only() -> None:
    before = os.environ.get("SUDO_UID")
    os.environ["SUDO_UID"] = "54321"
    try:
        assert (54321 in trusted_owners()) == (os.geteuid() == 0)
        os.environ["SUDO_UID"] = "0x1"
        assert trusted_owners() == {os.geteuid(), 0}
    finally:
        os.environ.pop("SUDO_UID")
        if before is not None:
            os.environ["SUDO_UID"] = before


@pytest.mark.parametrize("words", CHANGING, ids=" ".join)
def test_every_command_that_changes_something_refuses_and_changes_nothing(site: Site, words: list[str]) -> None:
    site.directory.chmod(0o777)
    before = {path: path.stat().st_mtime_ns for path in site.directory.rglob("*")}
    done = call(site, *words)
    assert done.returncode == 10, done.stderr
    assert f"{site.directory} is writable by every user (mode 0777)." in done.stderr
    assert f"chmod go-w {site.directory}" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in site.directory.rglob("*")} == before


def test_an_operation_refuses_too_however_it_was_started(fake: FakeWorld) -> None:
    world = fake.world
    world.site.override_file.touch()
    world.site.override_file.chmod(0o666)
    request = ChangeState(InfraState.STOPPED)
    with pytest.raises(Refused, match=r"compose\.override\.yaml is writable by every user"):
        list(run.run(world, request, planner=lambda observed: pytest.fail("it was planned")))


def test_it_is_an_error_of_the_configuration_and_of_the_doctor(site: Site) -> None:
    site.env_file.chmod(0o602)
    told = json.loads(call(site, "config", "check", "--json").stdout)
    assert told["errors"] == 1
    assert told["problems"][0]["fix"] == f"`chmod o-w {site.env_file}`"
    assert call(site, "config", "check").returncode == 2
    done = call(site, "doctor", "--json")
    assert done.returncode == 10
    findings = json.loads(done.stdout)["findings"]
    assert (findings[0]["check"], findings[0]["verdict"]) == ("configuration", "fails")


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo", "directory"])
@pytest.mark.parametrize("name", ["lock", "selection.lock"])
def test_a_lock_is_never_a_planted_file(site: Site, tmp_path: Path, kind: str, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("all of it")
    lock = site.own_directory / name
    lock.unlink(missing_ok=True)
    match kind:
        case "link":
            lock.symlink_to(precious)
        case "dangling link":
            lock.symlink_to(tmp_path / "nothing yet")
        case "hard link":
            lock.hardlink_to(precious)
        case "fifo":
            os.mkfifo(lock)
        case "directory":
            lock.mkdir()
    if name == "lock":
        with pytest.raises(ConfigurationError, match="hard link"), held_lock(lock, "x"):
            pass
        assert current_holder(lock) is None
    else:
        from graasp_local.site.prepare import select
        from graasp_local.version import Version

        with pytest.raises(ConfigurationError, match="hard link"):
            select(site, Version.parse("1.0.0"))
    assert precious.read_text() == "all of it"
    assert not (tmp_path / "nothing yet").exists()


def test_what_is_written_for_compose_follows_no_link(site: Site, tmp_path: Path) -> None:
    from graasp_local.stack.services import copy_stack

    precious = tmp_path / "precious"
    precious.write_text("all of it")
    copy = site.stack_copy / "compose" / "compose.yaml"
    copy.unlink()
    copy.symlink_to(precious)
    copy_stack(site.stack_copy)
    assert precious.read_text() == "all of it"
    assert not copy.is_symlink()


def test_a_site_that_was_not_named_is_taken_only_if_it_is_ours(site: Site) -> None:
    inside = site.directory / "journal"
    assert find_site(None, inside).directory == site.directory
    with pytest.raises(ConfigurationError, match="only used if you name it") as refused:
        find_site(None, inside, SOMEBODY_ELSE)
    assert f"--site {site.directory}" in refused.value.next_step
    assert find_site(site.directory, inside, SOMEBODY_ELSE).directory == site.directory
    assert site.foreign_owner() is None
    assert site.foreign_owner(SOMEBODY_ELSE) is not None
