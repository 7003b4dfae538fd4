"""The Docker engine is lost during a deployment: killed alone, or with all containers as when the power is cut.

An engine that keeps containers alive while it is away (live-restore) finds them again. One that does not ends them
when it starts, and takes them for stopped by the user (seen with 26.1): no restart policy brings them back.
After a power cut restart policies do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.integration.demo_site import AS_PROGRAM, wait_for
from tests.matrix.matrix_site import MatrixSite
from tests.matrix.parts import Part, deploying
from tests.matrix.private_engine import PrivateEngine
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves

CLOSED = [Part.CLOSED_BEFORE, Part.MIGRATING, Part.CLOSED_AFTER]


@pytest.fixture(scope="module")
def site(private_engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatrixSite]:
    site = MatrixSite(tmp_path_factory.mktemp("matrix") / "site", private_engine.docker_host)
    try:
        site.make_ready()
        yield site
    finally:
        site.down()


def stop_all_as_without_live_restore(site: MatrixSite) -> None:
    """By `docker kill`: the engine takes them for stopped by the user, as it would have by itself."""
    with closing(site.engine()) as client:
        for container in site.containers().values():
            if container["State"]["Running"]:
                client.api.kill(container["Id"])
    wait_for(lambda: not site.running(), "the engine has seen that they are off")


def wait_until_core_is_found(site: MatrixSite) -> None:
    """The daemon is nginx's name server: each process of nginx loses one question to it, and asks again after 2 s."""
    wait_for(
        lambda: all(site.ask("/api/version", AS_PROGRAM).status == 200 for _ in range(10)),
        "every process of nginx finds core by its name",
        20,
    )


def test_power_is_cut_while_open(private_engine: PrivateEngine, site: MatrixSite, record: Record) -> None:
    record.did = f"power cut: {Part.OPEN_BEFORE}"
    before = site.data()
    with site.visited() as visitor:
        with deploying(site, Part.OPEN_BEFORE) as met:
            private_engine.cut_power()
            ended = met.go_on()
        assert ended.code == 3, ended.said
        site.run("status", code=3)
        private_engine.start()
        record.saw = f"exit code 3; the engine is started: {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


def test_the_engine_is_killed_while_open_and_does_not_start_anything(
    private_engine: PrivateEngine, site: MatrixSite, record: Record
) -> None:
    record.did = f"engine killed, no container comes back: {Part.OPEN_BEFORE}"
    before = site.data()
    with site.visited() as visitor:
        with deploying(site, Part.OPEN_BEFORE) as met:
            private_engine.kill()
            ended = met.go_on()
        assert ended.code == 3, ended.said
        private_engine.start()
        stop_all_as_without_live_restore(site)
        assert site.status()["next"] == ["graasp-local apply running"]
        site.run("apply", "running")
        record.saw = f"exit code 3; the engine is started, apply running (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("part", CLOSED)
def test_the_engine_is_killed_while_closed(
    private_engine: PrivateEngine, site: MatrixSite, record: Record, part: Part
) -> None:
    record.did = f"engine killed, containers go on: {part}"
    before = site.data()
    with site.visited() as visitor:
        with deploying(site, part) as met:
            private_engine.kill()
            ended = met.go_on()
        assert ended.code == 21, ended.said
        private_engine.start()
        names_the_two_ways(site)
        site.run("rollback")
        wait_until_core_is_found(site)
        record.saw = f"exit code 21; the engine is started, rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize("part", CLOSED)
def test_the_engine_is_killed_while_closed_and_does_not_start_anything(
    private_engine: PrivateEngine, site: MatrixSite, record: Record, part: Part
) -> None:
    record.did = f"engine killed, no container comes back: {part}"
    before = site.data()
    with site.visited() as visitor:
        with deploying(site, part) as met:
            private_engine.kill()
            ended = met.go_on()
        assert ended.code == 21, ended.said
        private_engine.start()
        stop_all_as_without_live_restore(site)
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"exit code 21; the engine is started, rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.representative] * (part is Part.MIGRATING)) for part in CLOSED]
)
def test_power_is_cut_while_closed(private_engine: PrivateEngine, site: MatrixSite, record: Record, part: Part) -> None:
    record.did = f"power cut, graasp-local included: {part}"
    before = site.data()
    with site.visited() as visitor:
        with deploying(site, part) as met:
            met.process.kill()
            private_engine.cut_power()
        private_engine.start()
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"the engine is started, rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)
