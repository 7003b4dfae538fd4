"""A user who is not root, and whom the engine's socket lets in by its group: everything is his to do, and his own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from graasp_local.engine.reach.addresses import engine_address
from tests.integration.demo_site import DemoSite
from tests.integration.ordinary_user import USER, as_user


def _as_user(home: Path) -> list[str]:
    return as_user(home, group=Path(engine_address().removeprefix("unix://")).stat().st_gid)


@pytest.fixture
def theirs() -> Iterator[DemoSite]:
    with tempfile.TemporaryDirectory(prefix="graasp-local-user-", dir="/var/tmp") as temporary:
        place = Path(temporary)
        site = DemoSite(place / "site", command=[*_as_user(place), "-m", "graasp_local.cli.main"])
        try:
            os.chown(place, USER, USER)
            site.init_again()
            yield site
        finally:
            site.down()


def test_a_user_in_the_sockets_group_does_everything(theirs: DemoSite) -> None:
    site = theirs
    site.deploy("1.0.0")
    site.create_item("before")
    site.run("backup")
    backup = next(path.name for path in (site.directory / "backups").iterdir() if path.name[0].isdigit())
    assert site.deploy("1.1.0")["outcome"] == "done"
    site.create_item("after")
    site.run("rollback", "--yes", "--discard", "written-since")
    site.run("apply", "restricted")
    found = site.containers()["db"]["NetworkSettings"]["Ports"]["5432/tcp"][0]["HostPort"]
    asked = f"from graasp_local.postgres.address import accepts_connections as a; print(a('127.0.0.1', {found}))"
    told = subprocess.run([*_as_user(site.directory), "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "True"  # though no one knows the user by name
    site.run("restore", backup, "--discard", "current-data")
    site.run("apply", "running")
    assert site.item_names() == ["before"]
    assert site.run("logs", "core", "--lines", "5").stdout
    assert not [line for line in site.run("doctor").stdout.splitlines() if line.startswith("fails")]
    assert {path.lstat().st_uid for path in site.directory.rglob("*")} == {USER}
