"""What is written into a site next to an operation that is under way must not change what that operation works with."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from graasp_local.planning.server import DatabaseServer
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.selection import Release
from graasp_local.site.site import Site
from graasp_local.version import Version

DAY = 24 * 3600


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return init_site(tmp_path / "graasp", {}, demo=False)


def test_of_its_settings_only_the_port_recreates_a_database(site: Site) -> None:
    text = site.env_file.read_text()

    def digest(line: str) -> str:
        site.env_file.write_text(f"{text}{line}\n")
        return Site(site.directory).settings_digests["db"]

    assert digest("") == digest("DB_PORT=") == digest("LOG_LEVEL=debug")
    assert digest("DB_PORT=5432") not in (digest(""), digest("DB_PORT=5433"))


def test_a_candidate_stays_what_it_is_while_others_are_examined(site: Site) -> None:
    version = Version(1, 1, 0)
    pinned = Release(version, (("CORE_IMAGE", "sha256:1"),))
    others = (Version(2, 0, 0), pinned, DatabaseServer("postgres:17.7", "other"))
    file = prepare.candidate_file(site, version)
    before = file.read_text()
    files = {prepare.candidate_file(Site(site.directory), other) for other in others}
    assert (file.read_text(), len(files | {file})) == (before, 4)
    assert prepare.candidate_file(Site(site.directory), version) == file


def test_candidates_are_kept_for_a_day(site: Site) -> None:
    old, young = (prepare.candidate_file(site, Version(1, minor, 0)) for minor in (0, 1))
    written = old.stat().st_mtime - DAY - 60
    os.utime(old, (written, written))
    prepare.candidate_file(site, Version(1, 2, 0))
    assert (old.exists(), young.exists()) == (False, True)


def test_a_candidate_that_is_used_again_is_kept_for_another_day(site: Site) -> None:
    file = prepare.candidate_file(site, Version(1, 0, 0))
    written = file.stat().st_mtime - DAY - 60
    os.utime(file, (written, written))
    prepare.candidate_file(site, Version(1, 0, 0))
    prepare.candidate_file(site, Version(1, 1, 0))
    assert file.exists()


def test_a_site_that_is_up_to_date_is_prepared_without_writing(site: Site) -> None:
    prepare.select(site, Version(1, 0, 0))
    (site.own_directory / "selection.lock").unlink()
    prepare.prepare(Site(site.directory))
    assert not (site.own_directory / "selection.lock").exists()


def test_an_observation_does_not_write_an_outdated_selection(site: Site) -> None:
    prepare.select(site, Version(1, 0, 0))
    selected = site.version_file.read_text()
    site.version_file.write_text(selected + "# as an older graasp-local wrote it\n")
    look = threading.Thread(target=prepare.prepare, args=(Site(site.directory),))
    with (site.own_directory / "selection.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        look.start()
        look.join(0.2)
        assert look.is_alive()  # it has not read yet
        site.version_file.write_text(selected.replace("1.0.0", "1.1.0"))
    look.join(10)
    assert site.selected_version == Version(1, 1, 0)
