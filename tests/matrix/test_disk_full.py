"""A disk is full: the site's, the database's, the engine's; in each part of a deployment in which it is written to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_command import docker
from tests.integration.registry import Registry, running_registry
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import Ended, MatrixSite
from tests.matrix.parts import WORKING
from tests.matrix.private_engine import PrivateEngine
from tests.matrix.record import Record
from tests.matrix.small_disk import SmallDisk
from tests.matrix.verdict import ends_well, names_the_two_ways, nothing_is_lost, serves

MIB = 1024**2
LARGE_LAYER = 200 * MIB


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path, request.param * MIB)
    disk.mount()
    try:
        yield disk
    finally:
        disk.remove()


def full_from(site: MatrixSite, disk: SmallDisk, step: str) -> Ended:
    """Deploy with a disk that gets full before a step, and has room again after the end."""
    with site.met(Point(When.BEFORE, step), *WORKING) as met:
        disk.fill()
        ended = met.go_on()
        site.status()
        disk.make_room()
    return ended


@pytest.mark.representative
@pytest.mark.parametrize("small_disk", [128], indirect=True)
def test_the_journal_has_no_room(small_disk: SmallDisk, record: Record) -> None:
    record.did = (
        "the disk of the site's directory is full: before the deployment, then before close-gate, snapshot, verify-core"
    )
    site = MatrixSite(small_disk.directory / "site")
    try:
        site.make_ready()
        before = site.data()
        small_disk.fill()
        saw = [ends_well(site, site.end(*WORKING), (10,))]
        small_disk.make_room()
        saw += [ends_well(site, full_from(site, small_disk, step), (20, 21)) for step in ("close-gate", "snapshot")]
        ended = full_from(site, small_disk, "verify-core")
        # There may be enough room, with what the journal has in reserve, for the rest, or for the rollback.
        assert ended.code in (0, 20, 21), ended.said
        if ended.code == 21:
            names_the_two_ways(site)
            words: tuple[str, ...] = ()
            if site.status()["gate"] == "open":  # the reserve was enough to let visitors in, who may have written
                assert "would be discarded" in site.run("rollback", code=10).stderr
                words = (
                    "--discard",
                    "written-since",
                )
            site.run("rollback", *words)
        then = ", then rollback (exit code 0)" if ended.code == 21 else ""
        saw.append(f"exit code {ended.code}{then}: {serves(site, '1.1.0' if ended.code == 0 else '1.0.0')}")
        record.saw = "; ".join(dict.fromkeys(saw))
        record.data = nothing_is_lost(site, before)
    finally:
        small_disk.make_room()
        site.down()


@pytest.mark.parametrize("small_disk", [512], indirect=True)
def test_the_database_has_no_room(small_disk: SmallDisk, record: Record) -> None:
    record.did = "the disk of the database's volume is full: before snapshot, then before migrate"
    data = small_disk.directory / "data"
    data.mkdir()
    site = MatrixSite(small_disk.directory.parent / "site")
    bound = {"type": "none", "o": "bind", "device": str(data)}
    site.amend_override({"volumes": {"db-data": {"driver": "local", "driver_opts": bound}}})
    try:
        site.make_ready()
        before = site.data()
        saw = []
        for step in ("snapshot", "migrate"):
            with site.met(Point(When.BEFORE, step), *WORKING) as met:
                small_disk.fill()
                ended = met.go_on()
                small_disk.make_room()
            saw.append(ends_well(site, ended, (0, 20, 21)))
            if ended.code == 0:
                site.back_to_1_0_0()
        site.deploy("1.1.0")
        record.saw = f"{'; '.join(saw)}; with room again deploy (exit code 0): {serves(site, '1.1.0')}"
        record.data = nothing_is_lost(site, before)
    finally:
        small_disk.make_room()
        site.down()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """1.0.0 as it is, and a 1.1.0 whose core is larger than what will be left of the disk."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        registry.push_version("1.0.0")
        registry.push_version("1.1.0", "workers", "migrate")
        large = f"localhost/{registry.namespace}:large"
        source = f"FROM localhost/graasp-demo/graasp:core-v1.1.0\nRUN head -c {LARGE_LAYER} /dev/urandom >/tmp/large\n"
        docker("build", "--quiet", "--tag", large, "-", text=source)
        registry.push(large, "core-v1.1.0")
        docker("rmi", large)
        yield registry


def test_the_engine_has_no_room_for_an_image(
    private_engine: PrivateEngine, registry: Registry, record: Record, tmp_path: Path
) -> None:
    record.did = "the engine's disk gets full before pull"
    site = MatrixSite(tmp_path / "site", private_engine.docker_host)
    settings = site.directory / ".env"
    settings.write_text(
        re.sub(r"^GRAASP_REPOSITORY=.*$", f"GRAASP_REPOSITORY={registry.repository}", settings.read_text(), flags=re.M)
    )
    try:
        site.make_ready()
        before = site.data()
        with site.visited() as visitor:
            with site.met(Point(When.BEFORE, "pull"), *WORKING) as met:
                private_engine.disk.fill(LARGE_LAYER // 2)
                ended = met.go_on()
            assert "no space left" in ended.said
            saw = ends_well(site, ended, (10,))
            private_engine.disk.make_room()
            site.deploy("1.1.0")
        record.saw = f"{saw}; with room again deploy (exit code 0): {serves(site, '1.1.0')}"
        record.data = nothing_is_lost(site, before, visitor)
    finally:
        private_engine.disk.make_room()
        site.down()


@pytest.mark.parametrize("small_disk", [32], indirect=True)
def test_a_backup_has_no_room(site: MatrixSite, small_disk: SmallDisk, record: Record) -> None:
    record.did = "the disk of the backups is full: backup, then deploy"
    backups = site.directory / "backups"
    if backups.is_dir():
        backups.rmdir()
    backups.symlink_to(small_disk.directory)
    before = site.data()
    small_disk.fill()
    files = {entry.name for entry in small_disk.directory.iterdir()}
    refused = site.end("backup")
    assert refused.code == 10, refused.said
    record.saw = f"backup: exit code 10; deploy: {ends_well(site, site.end(*WORKING), (10,))}; nothing half-written"
    assert {entry.name for entry in small_disk.directory.iterdir()} == files
    record.data = nothing_is_lost(site, before)
