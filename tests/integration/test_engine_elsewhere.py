"""A site whose engine is on another machine: reached over ssh or TCP, without the site's files or this machine's ports.

The other machine is an engine in a network namespace of its own (scripts/private-machine).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.demo_site import DemoSite, wait_for
from tests.unit.test_console_blocks import from_page

REPOSITORY = Path(__file__).parents[2]
PRIVATE_MACHINE = REPOSITORY / "scripts" / "private-machine"
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0-migration-fails")
CHOOSE = from_page("operate.md", "export DOCKER_HOST=")
BESIDE = ("nginx:1.22", "postgres:15", "redis:7", "meilisearch:1", "umami:3")


class FarSite(DemoSite):
    """A site on the machine here, of the engine there. `host` is that machine's address."""

    def __init__(self, directory: Path, place: Path, ssh: str, tcp: str) -> None:
        super().__init__(directory, tcp)
        self.place = place
        self.tcp = tcp
        self.ssh = ssh
        self.host = str(urlsplit(tcp).hostname)

    def over_ssh(self) -> dict[str, str]:
        """The environment of someone whose ssh knows the machine."""
        programs = self.place / "bin"
        programs.mkdir(exist_ok=True)
        wrapper = programs / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F "{self.place}/ssh_config" "$@"\n')
        wrapper.chmod(0o755)
        return {"DOCKER_HOST": self.ssh, "PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def far() -> Iterator[FarSite]:
    with tempfile.TemporaryDirectory(prefix="graasp-local-far-", dir="/var/tmp") as place:
        here = Path(place) / "here"
        started = subprocess.run(
            [PRIVATE_MACHINE, "start", place, str(here)], check=True, capture_output=True, text=True, timeout=120
        )
        try:
            ssh, tcp = started.stdout.split()
            names = [f"graasp:{name}-v{v}" for name in ("core", "workers", "migrate") for v in VERSIONS]
            save = subprocess.Popen(
                ["docker", "save", *(f"localhost/graasp-demo/{name}" for name in (*names, *BESIDE))],
                stdout=subprocess.PIPE,
            )
            subprocess.run(["docker", "--host", tcp, "load", "--quiet"], stdin=save.stdout, check=True, timeout=300)
            assert save.wait() == 0
            site = FarSite(here / "site", Path(place), ssh, tcp)
            site.configure(HTTP_BIND="127.0.0.1")
            try:
                yield site
            finally:
                site.down()
        finally:
            subprocess.run([PRIVATE_MACHINE, "stop", place], check=True, timeout=120)


@pytest.fixture
def deployed(far: FarSite) -> FarSite:
    """Running, published on the other machine's loopback address."""
    if far.status()["version"] is None:
        far.deploy("1.0.0")
    if far.status()["state"] != "running":
        far.run("apply", "running")
    return far


def other_version(site: FarSite) -> str:
    """One that can be deployed now."""
    return "1.2.0" if site.status()["version"] == "1.1.0" else "1.1.0"


def rows(site: FarSite) -> int:
    with_docker = ["docker", "--host", site.tcp, "exec", f"{site.project}-db-1"]
    said = subprocess.run(
        [*with_docker, "psql", "-U", "postgres", "-d", "graasp", "-Atc", "SELECT count(*) FROM item"],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(said.stdout)


def write_a_row(site: FarSite) -> None:
    """Through the gate, as a visitor of that machine does."""
    script = "curl -fsS -H 'Content-Type: application/json' -d '{\"name\": \"x\"}' http://127.0.0.1/api/items"
    command = ["docker", "--host", site.tcp, "exec", f"{site.project}-nginx-1", "sh", "-c", script]
    subprocess.run(command, check=True, capture_output=True)


def ssh_processes(site: FarSite) -> list[str]:
    said = subprocess.run(["pgrep", "-f", f"ssh_config.*{site.host}"], capture_output=True, text=True)
    return said.stdout.split()


def namespace(site: FarSite) -> str:
    """The machine's network: others of these tests may have machines of their own at the same time."""
    names = [line.split()[0] for line in subprocess.check_output(["ip", "netns"], text=True).splitlines()]
    addresses = {
        name: subprocess.run(["ip", "netns", "exec", name, "ip", "-o", "address"], capture_output=True, text=True)
        for name in names
        if name.startswith("glm")
    }
    return next(name for name, said in addresses.items() if f" {site.host}/" in said.stdout)


def test_the_commands_of_the_page_work(deployed: FarSite) -> None:
    typed = "\n".join([*CHOOSE, "graasp-local status"]).replace("ssh://root@graasp.example.org", deployed.ssh)
    done = subprocess.run(
        ["bash", "-ec", typed],
        cwd=deployed.directory,
        env={**deployed.over_ssh(), "PATH": f"{Path(sys.executable).parent}:{deployed.over_ssh()['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("running")


def test_deployments_over_ssh_work_as_anywhere(deployed: FarSite) -> None:
    site, env = deployed, deployed.over_ssh()
    assert not (Path("/var/lib/graasp-local") / site.project).exists()
    assert (site.place / "lib" / site.project / "stack").is_dir()
    write_a_row(site)
    before = rows(site)
    ended = json.loads(site.run("deploy", "--version", "1.1.0", "--json", env=env).stdout.splitlines()[-1])
    assert (ended["outcome"], ended["state"]) == ("done", "running")
    failed = site.run("deploy", "--version", "1.3.0-migration-fails", "--json", code=20, env=env)
    assert json.loads(failed.stdout.splitlines()[-1])["state"] == "running"
    assert rows(site) == before
    site.run("backup", env=env)
    write_a_row(site)
    site.run("restore", "latest", "--yes", "--discard", "current-data", env=env)
    assert rows(site) == before
    assert "GiB free" in site.run("doctor", env=env).stdout
    assert "2" in site.run("compose", "--", "exec", "-T", "nginx", "echo", "2", env=env).stdout
    wait_for(lambda: ssh_processes(site) == [], "ssh ends with what started it", 10)


def test_what_is_killed_over_ssh_is_rolled_back_by_one_further_command(deployed: FarSite) -> None:
    """Resumed: the next test."""
    site = deployed
    write_a_row(site)
    before, old, new = rows(site), site.status()["version"], other_version(site)
    site.environment |= site.over_ssh()
    try:
        process = site.start("deploy", "--version", new, "--json")
        assert process.stdout is not None
        for line in process.stdout:
            if '"event": "step-started"' in line and '"name": "start-graasp"' in line:
                break
        process.kill()
        process.wait()
        wait_for(lambda: ssh_processes(site) == [], "ssh ends with what started it")
        site.run("rollback", "--json")
    finally:
        site.environment["DOCKER_HOST"] = site.tcp
    assert site.status()["state"] == "running"
    assert site.status()["version"] == old
    assert rows(site) == before


def test_a_cut_connection_ends_like_a_lost_engine_and_is_resumed(deployed: FarSite) -> None:
    site, new = deployed, other_version(deployed)
    before = rows(site)
    site.environment |= site.over_ssh()
    try:
        process = site.start("deploy", "--version", new, "--json")
        assert process.stdout is not None
        for line in process.stdout:
            if '"event": "step-started"' in line and '"name": "prove-migrations"' in line:
                break
        for number in ssh_processes(site):
            os.kill(int(number), signal.SIGKILL)
        out, _ = process.communicate(timeout=240)
        assert process.returncode in (3, 21)
        assert json.loads(out.splitlines()[-1])["outcome"] == "failed"
        site.run("resume", "--json")
    finally:
        site.environment["DOCKER_HOST"] = site.tcp
    assert (site.status()["state"], site.status()["version"]) == ("running", new)
    assert rows(site) == before


def test_a_site_that_is_published_there_is_asked_where_visitors_ask(deployed: FarSite) -> None:
    site = deployed
    site.configure(HTTP_BIND="0.0.0.0")
    site.run("apply", "running")
    assert site.status()["gate"] == "open"
    site.run("apply", "restricted")
    site.configure(HTTP_BIND="127.0.0.1")
    site.run("apply", "running")


def test_a_port_that_is_taken_there_and_a_file_that_is_only_here_are_refused_before_anything(deployed: FarSite) -> None:
    site = deployed
    override = site.directory / "compose.override.yaml"
    kept = override.read_text()
    (site.directory / "here.txt").write_text("here\n")
    override.write_text(kept.replace("  core:\n", "  core:\n    volumes: ['./here.txt:/tmp/here.txt:ro']\n", 1))
    try:
        said = site.run("deploy", "--version", other_version(site), code=10).stderr
    finally:
        override.write_text(kept)
    assert "here.txt, which is on this machine, not on the engine's" in said
    taken = 8123  # nothing else listens on that machine
    listening = f"import socket; s = socket.create_server(('127.0.0.1', {taken})); print(1, flush=True); s.accept()"
    there = ["ip", "netns", "exec", namespace(site)]
    with subprocess.Popen([*there, "python3", "-c", listening], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        site.run("apply", "stopped")
        site.configure(HTTP_PORT=str(taken))
        try:
            assert "another program on the engine's machine" in site.run("apply", "running", code=10).stderr
        finally:
            program.kill()
            site.configure(HTTP_PORT=str(site.port))
            site.run("apply", "running")


def test_a_machine_that_ssh_cannot_reach_is_reported_in_sshs_words(far: FarSite) -> None:
    said = far.run("status", code=3, env={"DOCKER_HOST": f"ssh://unknown@{far.host}", "HOME": "/nonexistent"}).stderr
    assert f"The Docker engine at ssh://unknown@{far.host} cannot be reached: " in said
    assert "Host key verification failed" in said or "Permission denied" in said
    assert "cannot be reached" in far.run("status", code=3, env={"DOCKER_HOST": f"ssh://{far.host}:1"}).stderr
