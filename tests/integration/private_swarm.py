"""A Swarm of several engines on this machine (scripts/private-swarm), and a site on them."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import warm
from tests.integration.demo_site import COMMAND, DemoSite, wait_for
from tests.unit.sites import S3

REPOSITORY = Path(__file__).parents[2]
PRIVATE_SWARM = REPOSITORY / "scripts" / "private-swarm"
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0-migration-fails", "1.3.0-migration-hangs")
BESIDE = ("nginx:1.22", "postgres:15", "redis:7", "meilisearch:1", "umami:3")
PORT = 8080


_NEW_NETWORK = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Node:
    """`host` is its DOCKER_HOST here, `tcp` the one that other machines use, `namespace` its network."""

    name: str
    host: str
    tcp: str
    namespace: str

    def docker(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "--host", self.host, *words], check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def kill(self, service: str, version: str) -> None:
        """SIGKILL what runs here of a version of a service, and has not ended in the meantime."""
        labels = (f"org.graasp.service={service}", f"org.graasp.version={version}")
        filters = (word for label in labels for word in ("--filter", f"label={label}"))
        for container in self.docker("ps", "--quiet", *filters).split():
            with suppress(subprocess.CalledProcessError):
                self.docker("kill", container)

    def running(self, service: str, project: str = "") -> list[str]:
        """The versions of a service's containers that run here, of one site or all, by what this engine alone says."""
        filters = ["--filter", f"label=org.graasp.service={service}", "--filter", f"name={project}[-_]{service}"]
        return self.docker("ps", *filters, "--format", '{{.Label "org.graasp.version"}}').split()


class Swarm:
    def __init__(self, directory: Path, lines: list[str]) -> None:
        self.directory = directory
        self.nodes = [Node(*line.split()) for line in lines]

    @property
    def front(self) -> Node:
        return self.nodes[0]

    def do(self, verb: str, node: Node) -> None:
        number = str(self.nodes.index(node) + 1)
        subprocess.run(
            [PRIVATE_SWARM, verb, self.directory, number], check=True, capture_output=True, text=True, timeout=120
        )

    @contextmanager
    def unplugged(self, node: Node) -> Iterator[None]:
        self.do("unplug", node)
        try:
            yield
        finally:
            self.do("plug", node)

    def state_of(self, node: Node) -> str:
        return self.front.docker("node", "inspect", "--format", "{{.Status.State}}", node.name)

    def await_all(self) -> None:
        wait_for(lambda: all(self.state_of(node) == "ready" for node in self.nodes), "all machines are up", 60)


@contextmanager
def running_swarm(directory: Path) -> Iterator[Swarm]:
    """Three machines; the demo images are on the first of them only."""
    started = subprocess.run(
        [PRIVATE_SWARM, "start", directory], check=True, capture_output=True, text=True, timeout=180
    )
    try:
        swarm = Swarm(directory, started.stdout.splitlines())
        names = [f"graasp:{name}-v{v}" for name in ("core", "workers", "migrate") for v in VERSIONS]
        save = subprocess.Popen(
            ["docker", "save", *(f"localhost/graasp-demo/{name}" for name in (*names, *BESIDE))],
            stdout=subprocess.PIPE,
        )
        load = ["docker", "--host", swarm.front.host, "load", "--quiet"]
        subprocess.run(load, stdin=save.stdout, check=True, capture_output=True, timeout=300)
        assert save.wait() == 0
        with _in_network(swarm.front):
            yield swarm
    finally:
        for number in ("1", "2", "3"):  # quicker than stopping what runs on them
            subprocess.run([PRIVATE_SWARM, "kill", directory, number], capture_output=True, timeout=120)
        subprocess.run([PRIVATE_SWARM, "stop", directory], check=True, capture_output=True, timeout=180)


@contextmanager
def _in_network(node: Node) -> Iterator[None]:
    """This thread, and the commands it starts, are on that machine as far as the network goes."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{node.namespace}", os.O_RDONLY)
    try:
        assert _libc.setns(there, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        warm.leave_network()
        assert _libc.setns(own, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        os.close(own)
        os.close(there)


class SwarmSite(DemoSite):
    """A site on the front machine. It goes with the Swarm."""

    def __init__(self, directory: Path, swarm: Swarm, port: int = PORT, **settings: str) -> None:
        self.command = COMMAND
        self.environment = {**os.environ, "DOCKER_HOST": swarm.front.host}
        self.swarm = swarm
        self.directory = directory
        self.project = f"swarm{port}"
        self.port = port
        words = ("--demo", "--project", self.project, "--port", str(port))
        self.run("init", str(directory), *words, on_site=False)
        engines = ",".join(node.tcp for node in swarm.nodes[1:])
        self.configure(**{**S3, "SWARM": "on", "SWARM_ENGINES": engines, **settings})

    def bypass(self) -> dict[str, str]:
        header, secret = self.setting("MAINTENANCE_HEADER_NAME"), self.setting("MAINTENANCE_HEADER_SECRET")
        return {header: secret}

    def setting(self, key: str) -> str:
        lines = (self.directory / ".env").read_text().splitlines()
        return next((line.partition("=")[2] for line in lines if line.partition("=")[0] == key), "")

    def rows(self, statement: str) -> list[str]:
        """What Graasp's database says, asked on the front machine as superuser."""
        db = f"{self.project}-db-1"
        asked = ("psql", "-U", "postgres", "-d", "graasp", "-Atc", statement)
        return self.swarm.front.docker("exec", db, *asked).splitlines()

    def items(self) -> list[str]:
        return self.rows("SELECT id, name, created_at FROM item ORDER BY created_at, id")

    def replicas(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            each["replicas"] for each in self.status()["services"] if each["service"] == service
        )
        return found

    def nodes(self) -> dict[str, dict[str, Any]]:
        told = json.loads(self.run("nodes", "--json").stdout)
        return {node["name"]: node for node in told["nodes"]}

    def on_any_machine(self, service: str) -> dict[str, list[str]]:
        """By machine, the versions that its own engine says run there."""
        found = {node.name: node.running(service, self.project) for node in self.swarm.nodes}
        return {name: versions for name, versions in found.items() if versions}

    def on_any_machine_but(self, lost: Node, service: str) -> dict[str, list[str]]:
        nodes = [node for node in self.swarm.nodes if node != lost]
        return {node.name: node.running(service) for node in nodes if node.running(service)}

    def down(self) -> None:
        self.run("apply", "stopped", "--yes")


def rolling_version(site: SwarmSite) -> str:
    """One that the site does not have and that migrates nothing, as rolling deployments need."""
    if site.status()["version"] == "1.0.0":
        site.deploy("1.1.0", "--yes")
    return other_version(site)


def other_version(site: SwarmSite) -> str:
    """One that the site does not have; from 1.0.0, it has something to migrate."""
    return "1.2.0" if site.status()["version"] == "1.1.0" else "1.1.0"
