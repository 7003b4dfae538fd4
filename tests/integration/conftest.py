from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.private_swarm import Swarm, SwarmSite, running_swarm


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[DemoSite]:
    """A site without a deployment; removed afterwards with its volumes."""
    site = DemoSite(tmp_path / "site")
    yield site
    site.down()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A site for the tests of one module, with 1.0.0 deployed."""
    site = DemoSite(tmp_path_factory.mktemp("module") / "site")
    try:
        site.deploy("1.0.0")
        yield site
    finally:
        site.down()


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    """Three machines for the tests of one module. Needs root."""
    with (
        tempfile.TemporaryDirectory(prefix="graasp-local-swarm-", dir="/var/tmp") as place,
        running_swarm(Path(place) / "machines") as swarm,
    ):
        yield swarm


@pytest.fixture(scope="module")
def deployed_on_swarm(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> SwarmSite:
    site = SwarmSite(tmp_path_factory.mktemp("swarm") / "site", swarm, CORE_REPLICAS="3", WORKERS_REPLICAS="2")
    site.deploy("1.0.0")
    return site


@pytest.fixture
def swarm_site(deployed_on_swarm: SwarmSite) -> SwarmSite:
    """Running, with all machines up and taking tasks."""
    deployed_on_swarm.swarm.await_all()
    if deployed_on_swarm.status()["state"] != "running":
        deployed_on_swarm.run("apply", "running", "--yes")
    return deployed_on_swarm
