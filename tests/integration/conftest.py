from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite, started
from tests.integration.private_swarm import Swarm, SwarmSite, running_swarm

if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Under nohup, programs under test would be deaf to it too: "ignored" is inherited, a handler is not.
    signal.signal(signal.SIGHUP, lambda number, frame: None)


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> Iterator[None]:
    """A command that a failed test leaves running would hold the lock of a site that other tests use."""
    before = len(started)
    yield
    for process in started[before:]:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    del started[before:]


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
    status = deployed_on_swarm.status()
    if status["unfinished"]:  # by a test that failed
        deployed_on_swarm.run("rollback", "--yes")
    if status["state"] != "running":
        deployed_on_swarm.run("apply", "running", "--yes")
    return deployed_on_swarm
