"""A site on three machines of which one is lost or drained, or the command is killed, at any part of an operation.

Each ends legal, with its data, by one further command at most. What runs where is asked of each machine's engine.
Of the parts of an operation, those that are `IN_THE_MATRIX` are tried by `scripts/test --matrix`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.integration.demo_site import wait_for
from tests.integration.private_swarm import Node, SwarmSite, other_version, rolling_version
from tests.integration.test_interruptions import rest_of, until_step

pytestmark = pytest.mark.skipif(
    subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip() != "0",
    reason="networks of their own need root",
)


IN_THE_MATRIX = pytest.mark.matrix


@pytest.fixture
def site(swarm_site: SwarmSite) -> SwarmSite:
    return swarm_site


def killed(site: SwarmSite, step: str, *words: str) -> None:
    """SIGKILL of the command, and of what it has started, as soon as a step has begun."""
    operation = site.start(*words, "--yes", "--json")
    until_step(operation, step)
    os.killpg(operation.pid, signal.SIGKILL)
    operation.communicate(timeout=60)


def serves(site: SwarmSite, version: str) -> None:
    """Running, with this version on all machines that take tasks, and nothing left to do."""
    told = site.status()
    assert (told["state"], told["version"], told["unfinished"]) == ("running", version, None), told
    assert [v for found in site.on_any_machine("core").values() for v in found] == [version] * 3
    assert site.ask("/api/version").json()["version"] == f"v{version}"
    assert '"outcome": "nothing-to-do"' in site.run("apply", "running", "--json").stdout


def test_killed_while_images_are_sent_it_has_changed_nothing(site: SwarmSite) -> None:
    version = site.status()["version"]
    killed(site, "share-images", "deploy", "--version", other_version(site))
    serves(site, version)
    site.run("resume", code=10)


@pytest.mark.parametrize(
    ("step", "command"),
    [
        pytest.param("stop-graasp", "rollback", marks=IN_THE_MATRIX),
        ("start-graasp", "rollback"),
        ("migrate", "resume"),
        pytest.param("verify-replicas", "resume", marks=IN_THE_MATRIX),
    ],
)
def test_killed_in_the_middle_one_command_ends_it(site: SwarmSite, step: str, command: str) -> None:
    """The first three migrate, and each migration is recorded once in the end."""
    site.create_item(f"before it was killed at {step}")
    before, version, other = site.items(), site.status()["version"], other_version(site)
    killed(site, step, "deploy", "--version", other)
    site.run(command, "--yes")
    serves(site, other if command == "resume" else version)
    assert site.items() == before
    assert site.rows("SELECT hash FROM drizzle.__drizzle_migrations GROUP BY hash HAVING count(*) > 1") == []


def test_killed_while_the_swarm_replaces_core_it_is_finished(site: SwarmSite) -> None:
    version = rolling_version(site)
    killed(site, "replace-in-turn", "deploy", "--version", version, "--strategy", "rolling")
    site.run("resume", "--yes")
    serves(site, version)


def test_a_machine_cut_off_during_a_deployment_does_not_keep_it_from_ending(site: SwarmSite) -> None:
    site.create_item("on all sides")
    before, version, lost = site.items(), other_version(site), site.swarm.nodes[2]
    deployment = site.start("deploy", "--version", version, "--yes", "--json")
    until_step(deployment, "lead-to-handover")  # before its core is told to stop
    with site.swarm.unplugged(lost):
        ended, errors = rest_of(deployment)
        assert ended["outcome"] == "done", errors
        assert site.status()["state"] == "running"
        assert site.items() == before
        assert lost.running("core")  # as before: no visitor has reached it
    wait_for(lambda: set(lost.running("core")) <= {version}, "what was cut off ends when it is back", 60)
    assert site.status()["version"] == version


def test_an_old_core_that_comes_back_during_the_migration_cannot_write(site: SwarmSite) -> None:
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


@pytest.mark.parametrize(
    ("step", "command"),
    [
        pytest.param("share-images", "apply running", marks=IN_THE_MATRIX),
        ("stop-graasp", "rollback"),
        pytest.param("start-graasp", "resume", marks=IN_THE_MATRIX),
    ],
)
def test_the_front_engine_restarts_in_the_middle(site: SwarmSite, step: str, command: str) -> None:
    """Its containers end with it; the command that is at it goes on without an engine, and gives up."""
    site.create_item(f"before the engine restarted at {step}")
    before, version, other = site.items(), site.status()["version"], other_version(site)
    deployment = site.start("deploy", "--version", other, "--yes", "--json")
    until_step(deployment, step)
    site.swarm.do("kill", site.swarm.front)
    deployment.communicate(timeout=300)
    site.swarm.do("restart", site.swarm.front)
    site.swarm.await_all()
    site.run(*command.split(), "--yes")
    serves(site, other if command == "resume" else version)
    assert site.items() == before


def test_the_front_machine_loses_power_during_a_migration(site: SwarmSite) -> None:
    site.create_item("through a power cut")
    before, version, front = site.items(), site.status()["version"], site.swarm.front
    deployment = site.start("deploy", "--version", "1.3.0-migration-hangs", "--yes", "--no-backup")
    wait_for(lambda: site.migration_runs() or deployment.poll() is not None, "the migration runs", 120)
    assert deployment.poll() is None, deployment.communicate()
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


@pytest.fixture
def managers(site: SwarmSite) -> Iterator[None]:
    """All three machines manage the Swarm; afterwards the front one does alone, as before."""
    front, others = site.swarm.front, site.swarm.nodes[1:]
    for node in others:
        _change_part(front, "promote", node)
    wait_for(lambda: _managers(front) == {"Leader": 1, "Reachable": 2}, "all three are managers", 60)
    yield
    for node in others:
        _change_part(front, "demote", node)
    wait_for(lambda: _managers(front) == {"Leader": 1}, "the front machine is the only manager", 90)


def _lead_elsewhere(site: SwarmSite) -> Node:
    """Have another machine than the front one lead the managers."""
    front, other = site.swarm.nodes[:2]
    _change_part(other, "demote", front)
    wait_for(lambda: _managers(other) == {"Leader": 1, "Reachable": 1}, "another machine leads", 60)
    _change_part(other, "promote", front)
    wait_for(lambda: _managers(front) == {"Leader": 1, "Reachable": 2}, "all three are managers again", 60)
    told = front.docker("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}")
    leader = next(line.split()[0] for line in told.splitlines() if line.endswith("Leader"))
    return next(node for node in site.swarm.nodes if node.name == leader)


def _change_part(by: Node, verb: str, node: Node) -> None:
    """Refused while the Swarm itself is changing the machine, or would be left without a leader."""

    def is_changed() -> bool:
        with suppress(subprocess.CalledProcessError):
            by.docker("node", verb, node.name)
            return True
        return False

    wait_for(is_changed, f"{verb} {node.name}", 90)


def _managers(node: Node) -> Counter[str]:
    """How many machines have which part in managing the Swarm, by what this machine says; none without a leader."""
    try:
        said = node.docker("node", "ls", "--format", "{{.ManagerStatus}}")
    except subprocess.CalledProcessError:
        return Counter()
    return Counter(said.split())


@IN_THE_MATRIX
@pytest.mark.usefixtures("managers")
def test_the_manager_that_leads_dies_during_a_migration(site: SwarmSite) -> None:
    """The others soon have another leader. A step that needs one before that is undone; either end is a good one."""
    site.create_item("another one leads")
    before, version, old = site.items(), other_version(site), site.status()["version"]
    leader = _lead_elsewhere(site)
    deployment = site.start("deploy", "--version", version, "--yes", "--json")
    until_step(deployment, "migrate" if version == "1.1.0" else "select-version")
    site.swarm.do("kill", leader)
    try:
        ended, _ = rest_of(deployment)
        if ended["outcome"] == "rolled-back":
            assert "has no leader" in str(ended["problem"])
        else:
            assert ended["outcome"] == "done", ended["problem"]
        status = site.status()
        assert (status["state"], status["version"]) == ("running", version if ended["outcome"] == "done" else old)
        assert site.items() == before
    finally:
        site.swarm.do("restart", leader)


@IN_THE_MATRIX
@pytest.mark.usefixtures("managers")
def test_without_most_of_its_managers_it_says_so_and_serves(site: SwarmSite) -> None:
    site.create_item("too few managers")
    before, version, front = site.items(), site.status()["version"], site.swarm.front
    deployment = site.start("deploy", "--version", other_version(site), "--yes", "--json")
    until_step(deployment, "stop-graasp")
    with site.swarm.unplugged(front):
        ended, errors = rest_of(deployment)
        assert ended["exit_code"] == 21, errors  # it cannot be rolled back either
        assert "has no leader" in str(ended["problem"])
        assert "has no leader" in site.run("rollback", "--yes", code=3).stderr
        assert site.ask("/api/version").json()["version"] == f"v{version}"
    wait_for(lambda: _managers(front) == {"Leader": 1, "Reachable": 2}, "it has a leader again", 90)
    site.run("rollback", "--yes")
    serves(site, version)
    assert site.items() == before


def test_a_machine_that_dies_is_replaced_by_the_others(site: SwarmSite) -> None:
    dead = site.swarm.nodes[1]
    if len(site.on_any_machine("core")) < 3:  # Docker moves nothing back to a machine that was lost
        site.deploy(other_version(site), "--yes")
    assert dead.running("core")
    site.swarm.do("kill", dead)
    try:
        wait_for(lambda: site.swarm.state_of(dead) == "down", "the machine counts as lost", 60)
        wait_for(lambda: site.status()["state"] == "running", "the others have taken over", 60)
        assert site.replicas("core")["healthy"] == 3
        assert sum(len(found) for found in site.on_any_machine_but(dead, "core").values()) == 3
        assert site.nodes()["node2"]["state"] == "down"
    finally:
        site.swarm.do("restart", dead)


def test_machines_are_drained_before_a_deployment_and_in_the_middle_of_it(site: SwarmSite) -> None:
    """node3 is drained from the start, comes back while images are checked, and node2 goes while core starts."""
    site.create_item("on fewer machines")
    before, version = site.items(), other_version(site)
    try:
        drain(site, "node3", "drain")
        wait_for(lambda: "node3" not in site.on_any_machine("core"), "it is empty", 60)
        wait_for(lambda: site.status()["state"] == "running", "the others have taken over", 60)
        deployment = site.start("deploy", "--version", version, "--yes", "--json")
        until_step(deployment, "share-images")
        drain(site, "node3", "active")
        until_step(deployment, "start-graasp")
        drain(site, "node2", "drain")
        ended, errors = rest_of(deployment)
        assert ended["outcome"] == "done", errors
        assert {*site.on_any_machine("core")} == {"node1", "node3"}
    finally:
        drain(site, "node2", "active")
        drain(site, "node3", "active")
    serves(site, version)
    assert site.items() == before


def drain(site: SwarmSite, node: str, availability: str) -> None:
    site.swarm.front.docker("node", "update", "--availability", availability, node)


def test_a_move_to_one_machine_and_back_that_is_killed_or_fails(site: SwarmSite) -> None:
    site.create_item("on the move")
    before, version, front = site.items(), site.status()["version"], site.swarm.front
    site.configure(SWARM="off")
    refused = site.run("deploy", "--version", other_version(site), "--yes", code=10)
    assert "graasp-local apply running" in refused.stderr
    # Killed on the way, and the site stays where it was after all.
    killed(site, "remake-networks", "apply", "running")
    site.configure(SWARM="on")
    site.run("apply", "running", "--yes")
    serves(site, version)
    # A container that is not the site's keeps a network from being removed. A killed check of images was left behind.
    site.configure(SWARM="off")
    network, image = f"{site.project}_front", "localhost/graasp-demo/redis:7"
    job = ("--mode", "global-job", "--restart-condition", "none", "--detach", "--no-resolve-image")
    front.docker("service", "create", *job, "--name", f"{site.project}_check-core", image, "true")
    front.docker("run", "--detach", "--name", "guest", "--network", network, "--entrypoint", "sleep", image, "600")
    assert f"did not remove the network {network}" in site.run("apply", "running", "--yes", code=20).stderr
    assert site.ask("/api/version").json()["version"] == f"v{version}"
    front.docker("rm", "--force", "guest")
    # As a deployment leaves it that was killed while the database was shut.
    site.rows("REVOKE CONNECT ON DATABASE graasp FROM PUBLIC, graasp")
    site.run("apply", "running", "--yes")
    assert site.status()["state"] == "running"
    assert site.on_any_machine("core") == {}
    assert site.items() == before
    assert _drivers(site) == {"bridge"}
    assert site.ask("/api/version").json()["version"] == f"v{version}"
    assert front.docker("service", "ls", "--quiet") == ""
    site.configure(SWARM="on")
    killed(site, "start-graasp", "apply", "running")
    site.run("apply", "running", "--yes")
    serves(site, version)
    assert site.items() == before
    assert _drivers(site) == {"overlay"}
    assert front.docker("config", "ls", "--quiet")


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
