"""A site on three machines: states, deployments, lost machines, and what is refused. Each machine is an engine.

What runs where is asked of each machine's engine, not of the Swarm or of graasp-local.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_site import wait_for
from tests.integration.private_swarm import Node, Swarm, SwarmSite, running_swarm

pytestmark = pytest.mark.skipif(
    subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() != "0",
    reason="networks of their own need root",
)


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    with (
        tempfile.TemporaryDirectory(prefix="graasp-local-swarm-", dir="/var/tmp") as place,
        running_swarm(Path(place) / "machines") as swarm,
    ):
        yield swarm


@pytest.fixture(scope="module")
def deployed(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> SwarmSite:
    site = SwarmSite(tmp_path_factory.mktemp("swarm") / "site", swarm, CORE_REPLICAS="3", WORKERS_REPLICAS="2")
    site.deploy("1.0.0")
    return site


@pytest.fixture
def site(deployed: SwarmSite) -> SwarmSite:
    """Running, with all machines up."""
    deployed.swarm.await_all()
    if deployed.status()["state"] != "running":
        deployed.run("apply", "running", "--yes")
    return deployed


def other_version(site: SwarmSite) -> str:
    return "1.2.0" if site.status()["version"] == "1.1.0" else "1.1.0"


def test_cores_run_on_every_machine_and_the_rest_on_the_front_one(site: SwarmSite) -> None:
    assert {name: len(found) for name, found in site.on_any_machine("core").items()} == {
        "node1": 1,
        "node2": 1,
        "node3": 1,
    }
    assert sum(len(found) for found in site.on_any_machine("workers").values()) == 2
    assert site.running() >= {"db", "nginx", "redis", "umami", "meilisearch"}
    assert not {"core", "workers"} & {*site.containers()}
    assert site.replicas("core") == {"wanted": 3, "healthy": 3, "unwell": []}
    told = site.nodes()
    assert told["node1"]["front"]
    assert "db" in told["node1"]["runs"]
    assert all(any(run.startswith("core-") for run in told[name]["runs"]) for name in ("node1", "node2", "node3"))
    site.create_item("by way of any of them")
    assert {site.ask("/api/version").json()["version"] for _ in range(20)} == {"v1.0.0"}
    assert site.run("logs", "core", "--lines", "5").stdout


def test_a_state_is_reached_when_no_machine_runs_anything_of_it(site: SwarmSite) -> None:
    before = site.items()
    for state in ("restricted", "db-only", "stopped", "running"):
        site.run("apply", state, "--yes")
        assert site.status()["state"] == state
        is_on = state in ("restricted", "running")
        for service in ("core", "workers"):
            assert bool(site.on_any_machine(service)) == is_on, (state, service)
    assert site.items() == before


def test_a_version_is_deployed_with_its_migration_on_all_machines(site: SwarmSite) -> None:
    site.create_item("from before")
    version = other_version(site)
    ended = site.deploy(version, "--yes")
    assert (ended["outcome"], ended["state"]) == ("done", "running")
    assert {v for found in site.on_any_machine("core").values() for v in found} == {version}
    assert "from before" in site.item_names()


def test_a_failed_migration_is_rolled_back_with_identical_data(site: SwarmSite) -> None:
    site.create_item("must survive")
    before, version = site.items(), site.status()["version"]
    ended = site.deploy("1.3.0-migration-fails", "--yes", code=20)
    assert (ended["outcome"], ended["state"]) == ("rolled-back", "running")
    assert site.items() == before
    assert {v for found in site.on_any_machine("core").values() for v in found} == {version}


def test_a_machine_without_the_image_is_named_before_anything_is_changed(site: SwarmSite) -> None:
    engines = site.setting("SWARM_ENGINES")
    before = site.on_any_machine("core")
    site.configure(SWARM_ENGINES=engines.partition(",")[0])
    try:
        refused = site.run("deploy", "--version", "1.3.0-migration-hangs", "--yes", code=10).stderr
    finally:
        site.configure(SWARM_ENGINES=engines)
    assert "node3: No such image" in refused
    assert "node2:" not in refused
    assert site.on_any_machine("core") == before
    assert site.status()["state"] == "running"


def test_a_machine_cut_off_during_a_deployment_does_not_keep_it_from_ending(site: SwarmSite) -> None:
    site.create_item("on all sides")
    before, version, lost = site.items(), other_version(site), site.swarm.nodes[2]
    deployment = site.start("deploy", "--version", version, "--yes")
    wait_for(lambda: site.ask("/api/items").status == 503, "the gate is closed", 60)
    with site.swarm.unplugged(lost):
        out, err = deployment.communicate(timeout=180)
        assert deployment.returncode == 0, out + err
        assert site.status()["state"] == "running"
        assert site.items() == before
        assert lost.running("core")  # as before: no request has reached it
    wait_for(lambda: set(lost.running("core")) <= {version}, "what was cut off ends when it is back", 60)
    assert site.status()["version"] == version


def test_an_old_core_that_returns_during_the_migration_cannot_write(site: SwarmSite) -> None:
    """It connects again and again, and writes whenever the database lets it. The deployment is killed, too."""
    machine, version = site.swarm.nodes[1], site.status()["version"]
    with _intruder(site, machine):
        with site.swarm.unplugged(machine):
            wait_for(lambda: _last_words(machine) != "written", "it is cut off", 30)
            before = site.items()
            deployment = site.start("deploy", "--version", "1.3.0-migration-hangs", "--yes", "--no-backup")
            wait_for(lambda: site.migration_runs() or deployment.poll() is not None, "the migration runs", 120)
            assert deployment.poll() is None, deployment.communicate()
        try:
            wait_for(lambda: "permission denied" in _last_words(machine), "the database refuses it", 90)
            assert site.migration_runs()
        finally:
            deployment.send_signal(signal.SIGKILL)
            deployment.communicate()
    site.run("rollback", "--yes")
    assert site.status()["state"] == "running"
    assert site.items() == before
    assert {v for found in site.on_any_machine("core").values() for v in found} == {version}


def test_the_front_machine_loses_power_during_a_migration(site: SwarmSite) -> None:
    site.create_item("through a power cut")
    before, version, front = site.items(), site.status()["version"], site.swarm.front
    deployment = site.start("deploy", "--version", "1.3.0-migration-hangs", "--yes", "--no-backup")
    wait_for(lambda: site.migration_runs() or deployment.poll() is not None, "the migration runs", 120)
    site.swarm.do("kill", front)
    deployment.send_signal(signal.SIGKILL)
    deployment.communicate()
    site.swarm.do("restart", front)
    site.swarm.await_all()
    assert site.on_any_machine("core") == {}
    site.run("rollback", "--yes")
    assert site.status()["state"] == "running"
    assert site.items() == before
    assert {v for found in site.on_any_machine("core").values() for v in found} == {version}


def test_a_machine_that_dies_is_replaced_by_the_others(site: SwarmSite) -> None:
    dead = site.swarm.nodes[1]
    site.swarm.do("kill", dead)
    try:
        wait_for(lambda: site.swarm.state_of(dead) == "down", "the machine counts as lost", 60)
        wait_for(lambda: site.status()["state"] == "running", "the others have taken over", 60)
        assert site.replicas("core")["healthy"] == 3
        assert set(site.on_any_machine_but(dead, "core")) == {"node1", "node3"}
        assert site.nodes()["node2"]["state"] == "down"
    finally:
        site.swarm.do("restart", dead)


def test_another_number_of_cores_while_visitors_are_served(site: SwarmSite) -> None:
    site.run("scale", "core=4", "--yes")
    assert site.replicas("core") == {"wanted": 4, "healthy": 4, "unwell": []}
    assert "core runs in a Swarm" in site.run("scale", "core=3", "--yes", code=10).stderr
    site.run("apply", "restricted", "--yes")
    site.run("scale", "core=3", "--yes")
    assert sum(len(found) for found in site.on_any_machine("core").values()) == 3


def test_a_backup_is_restored(site: SwarmSite) -> None:
    site.create_item("in the backup")
    before = site.items()
    site.run("backup")
    site.create_item("not in it")
    site.run("restore", "latest", "--yes", "--discard", "current-data")
    assert site.status()["state"] == "running"
    assert site.items() == before


def test_what_does_not_work_on_several_machines_is_refused(site: SwarmSite, swarm: Swarm) -> None:
    version = other_version(site)
    rolling = site.run("deploy", "--version", version, "--strategy", "rolling", "--yes", code=10).stderr
    assert "core runs in a Swarm" in rolling
    assert "SWARM is on" in site.run("upgrade-database", "--to", "16", "--yes", code=10).stderr
    on_worker = site.run("deploy", "--version", version, "--yes", code=10, env={"DOCKER_HOST": swarm.nodes[1].host})
    assert "this engine is a worker of its Swarm" in on_worker.stderr
    site.configure(FILE_STORAGE_TYPE="local")
    try:
        assert "FILE_STORAGE_TYPE is not s3, but SWARM is on" in site.run("status", code=2).stderr
    finally:
        site.configure(FILE_STORAGE_TYPE="s3")
    override = (site.directory / "compose.override.yaml").read_text()
    site.amend_override({"services": {"core": {"ports": ["127.0.0.1::3000"]}}})
    try:
        own = site.run("deploy", "--version", version, "--yes", code=10).stderr
        assert "core cannot run in a Swarm: a Swarm service cannot have ports" in own
    finally:
        (site.directory / "compose.override.yaml").write_text(override)
    site.configure(SWARM_PLACEMENT="node.labels.none==such")
    try:
        nowhere = site.run("deploy", "--version", version, "--yes", code=10).stderr
        assert "No machine of the Swarm may run core" in nowhere
    finally:
        site.configure(SWARM_PLACEMENT="")
    assert site.status()["state"] == "running"


def test_placement_by_a_label(site: SwarmSite) -> None:
    site.swarm.front.docker("node", "update", "--label-add", "graasp=yes", "node3")
    site.configure(SWARM_PLACEMENT="node.labels.graasp==yes")
    try:
        site.deploy(other_version(site), "--yes")
        assert {*site.on_any_machine("core")} == {"node3"}
    finally:
        site.configure(SWARM_PLACEMENT="")


def _files_in(directory: str) -> dict[str, Any]:
    options = {"type": "none", "o": "bind", "device": directory}
    return {"volumes": {"files": {"driver_opts": options}}}


def test_uploaded_files_in_a_directory_that_all_machines_have(site: SwarmSite, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    kinds = {"FILE_STORAGE_TYPE": "local", "H5P_FILE_STORAGE_TYPE": "local", "SWARM_FILES": "shared"}
    override = (site.directory / "compose.override.yaml").read_text()
    site.configure(**kinds)
    try:
        nowhere = site.run("deploy", "--version", other_version(site), "--yes", code=10).stderr
        assert "compose.override.yaml does not say where the volume files is" in nowhere
        site.amend_override(_files_in(str(shared)))
        # Compose has created it from the definition before, and nothing is in it.
        site.swarm.front.docker("volume", "rm", f"{site.project}_files")
        site.deploy(other_version(site), "--yes")
        assert site.ask("/api/files/hello.txt", method="PUT", body="from any machine").status == 201
        assert (shared / "graasp-files" / "files" / "hello.txt").read_text() == "from any machine"
        for node in site.swarm.nodes:
            core = node.docker("ps", "--quiet", "--filter", "label=org.graasp.service=core").split()[0]
            assert node.docker("exec", core, "cat", "/var/tmp/graasp-files/files/hello.txt") == "from any machine"
    finally:
        (site.directory / "compose.override.yaml").write_text(override)
        site.configure(FILE_STORAGE_TYPE="s3", H5P_FILE_STORAGE_TYPE="s3", SWARM_FILES="s3")
    site.run("apply", "running", "--yes")


def test_a_directory_that_each_machine_has_for_itself_is_refused(swarm: Swarm, tmp_path: Path) -> None:
    """/srv is another one on each of these machines."""
    swarm.await_all()
    kinds = {"FILE_STORAGE_TYPE": "local", "H5P_FILE_STORAGE_TYPE": "local", "SWARM_FILES": "shared"}
    site = SwarmSite(tmp_path / "site", swarm, port=8081, **kinds)
    site.amend_override(_files_in("/srv"))
    refused = site.run("deploy", "--version", "1.0.0", "--yes", code=10).stderr
    assert "node2 and node3 cannot read in the volume files what the front machine has just put there" in refused
    assert site.status()["state"] == "absent"


def test_to_one_machine_and_back_with_all_data(site: SwarmSite) -> None:
    site.create_item("on the move")
    before, version = site.items(), site.status()["version"]
    site.configure(SWARM="off")
    refused = site.run("deploy", "--version", other_version(site), "--yes", code=10)
    assert "graasp-local apply running" in refused.stderr
    # As a deployment leaves it that was killed while the database was shut.
    site.rows("REVOKE CONNECT ON DATABASE graasp FROM PUBLIC, graasp")
    site.run("apply", "running", "--yes")
    assert site.status()["state"] == "running"
    assert site.on_any_machine("core") == {}
    assert site.items() == before
    assert _drivers(site) == {"bridge"}
    assert site.ask("/api/version").json()["version"] == f"v{version}"
    site.configure(SWARM="on")
    site.run("apply", "running", "--yes")
    assert site.status()["state"] == "running"
    assert sum(len(found) for found in site.on_any_machine("core").values()) == 3
    assert site.items() == before
    assert _drivers(site) == {"overlay"}
    assert site.swarm.front.docker("config", "ls", "--quiet")


def _drivers(site: SwarmSite) -> set[str]:
    said = site.swarm.front.docker("network", "ls", "--format", "{{.Name}} {{.Driver}}")
    found = dict(line.split() for line in said.splitlines())
    return {found[f"{site.project}_{name}"] for name in ("front", "back", "inside")}


_WRITES = """
import os, time, psycopg
while True:
    try:
        with psycopg.connect(os.environ["DB_CONNECTION"], autocommit=True, connect_timeout=2) as connection:
            connection.execute("INSERT INTO item (name) VALUES ('intruder')")
            print("written", flush=True)
    except psycopg.Error as error:
        print(" ".join(str(error).split()), flush=True)
    time.sleep(0.2)
"""


class _intruder:  # noqa: N801 - used as a function
    """A container on a machine that the Swarm knows nothing of, with all that an old core there has."""

    def __init__(self, site: SwarmSite, machine: Node) -> None:
        self._site, self._machine = site, machine

    def __enter__(self) -> None:
        core = self._machine.docker("ps", "--quiet", "--filter", "label=org.graasp.service=core").split()[0]
        told = json.loads(self._machine.docker("inspect", core))[0]
        connection = next(each for each in told["Config"]["Env"] if each.startswith("DB_CONNECTION="))
        network = f"{self._site.project}_back"
        words = ("--detach", "--name", "intruder", "--network", network, "--env", connection, "--entrypoint", "python3")
        self._machine.docker("run", *words, told["Image"], "-c", _WRITES)
        wait_for(lambda: _last_words(self._machine) == "written", "it writes while the site is open", 30)

    def __exit__(self, *_: object) -> None:
        self._machine.docker("rm", "--force", "intruder")


def _last_words(machine: Node) -> str:
    return machine.docker("logs", "--tail", "1", "intruder")
