"""A site on three machines: states, deployments, files, and what is refused. Each machine is an engine.

What runs where is asked of each machine's engine, not of the Swarm or of graasp-local.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration import with_names
from tests.integration.external_server import HOST, know_server, running_server, where
from tests.integration.private_swarm import Swarm, SwarmSite, other_version, rolling_version
from tests.integration.test_interruptions import rest_of, until_step
from tests.integration.test_rolling import visited

pytestmark = pytest.mark.skipif(
    subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() != "0",
    reason="networks of their own need root",
)


@pytest.fixture
def site(swarm_site: SwarmSite) -> SwarmSite:
    return swarm_site


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


def test_another_number_of_cores_while_visitors_are_served(site: SwarmSite) -> None:
    with visited(site):
        site.run("scale", "core=4", "--yes")
        assert site.replicas("core") == {"wanted": 4, "healthy": 4, "unwell": []}
        site.run("scale", "core=3", "--yes")
    assert sum(len(found) for found in site.on_any_machine("core").values()) == 3


def test_a_version_takes_over_on_all_machines_while_visitors_are_served(site: SwarmSite) -> None:
    version = rolling_version(site)
    with visited(site):
        ended = site.deploy(version, "--strategy", "rolling", "--yes")
    assert (ended["outcome"], ended["downtime_seconds"]) == ("done", 0)
    assert _cores(site) == [version] * 3


def test_a_new_core_that_fails_on_one_machine_is_undone_while_visitors_are_served(site: SwarmSite) -> None:
    """The second core, on the front machine, is healthy; on node3, none of the new version comes up."""
    version, bad = rolling_version(site), site.swarm.nodes[2]
    before = site.status()["version"]
    with visited(site):
        deployment = site.start("deploy", "--version", version, "--strategy", "rolling", "--yes", "--json")
        until_step(deployment, "replace-in-turn")
        while deployment.poll() is None:
            bad.kill("core", version)
        ended, errors = rest_of(deployment)
    assert (ended["outcome"], ended["exit_code"]) == ("rolled-back", 20), errors
    assert "core failed on a machine, and the Swarm put the old containers back" in str(ended["problem"])
    assert _cores(site) == [before] * 3
    assert (site.status()["state"], site.status()["version"]) == ("running", before)


def _cores(site: SwarmSite) -> list[str]:
    return [version for found in site.on_any_machine("core").values() for version in found]


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
        assert "No machine of the Swarm can run core" in nowhere
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
    assert "node2 and node3 cannot read what the front machine has just put into the volume files" in refused
    assert site.status()["state"] == "absent"


def test_its_database_may_be_on_a_server_elsewhere(swarm: Swarm, tmp_path: Path) -> None:
    """Reached by its name and with a check of its certificate, from every machine."""
    address = swarm.front.tcp.removeprefix("tcp://").partition(":")[0]
    with running_server(tmp_path, swarm.front.host, address) as server:
        site = SwarmSite(tmp_path / "site", swarm, port=8082, CORE_REPLICAS="2", **where(server))
        site.command = with_names.COMMAND
        site.environment["TEST_NAMES"] = f"{HOST}={address}"
        know_server(site.directory, server)
        site.deploy("1.0.0")
        assert "db" not in site.running()
        site.create_item("kept elsewhere")
        rows = "SELECT id, name, created_at FROM item ORDER BY id"
        before = server.ask(rows, "graasp")
        assert site.deploy("1.1.0")["outcome"] == "done"
        assert site.deploy("1.3.0-migration-fails", code=20)["outcome"] == "rolled-back"
        assert _cores(site) == ["1.1.0"] * 2
        assert (site.status()["state"], server.ask(rows, "graasp")) == ("running", before)
        site.down()
