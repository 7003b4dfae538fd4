"""Mistakes that only show with a real engine: ports, clients, passwords."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.integration.demo_site import DemoSite


def test_a_port_in_use_by_a_process_is_refused_by_name(new_site: DemoSite) -> None:
    with socket.create_server(("127.0.0.1", new_site.port)):
        ended = new_site.deploy("1.0.0", code=10)
    assert f"Port {new_site.port} is in use by" in ended["problem"][0]
    assert f"(process {os.getpid()})" in ended["problem"][0]
    assert new_site.containers() == {}


def test_a_port_in_use_by_a_container_is_refused_by_name(site: DemoSite, tmp_path: Path) -> None:
    other = DemoSite(tmp_path / "other")
    env = other.directory / ".env"
    env.write_text(env.read_text().replace(f"HTTP_PORT={other.port}", f"HTTP_PORT={site.port}"))
    ended = other.deploy("1.0.0", code=10)
    assert f"in use by the container {site.project}-nginx-1" in ended["problem"][0]
    assert other.containers() == {}


def test_a_network_that_the_engine_has_no_room_for_is_refused_in_its_words(site: DemoSite, tmp_path: Path) -> None:
    other = DemoSite(tmp_path / "other")
    with closing(site.engine()) as client:
        (front,) = client.api.networks(names=[f"{site.project}_front"])
        taken = front["IPAM"]["Config"][0]["Subnet"]
        override = other.directory / "compose.override.yaml"
        content = yaml.safe_load(override.read_text())
        content["networks"]["data"]["ipam"]["config"] = [{"subnet": taken}]
        override.write_text(yaml.safe_dump(content))
        ended = other.deploy("1.0.0", code=10)
        assert "cannot create the network data: Pool overlaps with other one" in ended["problem"][0]
        assert other.containers() == {}
        assert client.api.networks(names=[other.project]) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "mem_limit: 1m",
            "The engine refuses workers as defined in compose.override.yaml: Minimum memory limit allowed",
        ),
        ("user: no-such-user", "unable to find user no-such-user"),
        ("logging: {driver: no-such-driver}", "no-such-driver"),
        ("restart: sometimes", "invalid restart policy"),
        ('ports: ["${HTTP_PORT}:3000"]', "which nginx publishes too"),
        ("container_name: x", "workers is set to be named x, which is not a container name"),
        ("scale: ${HOW_MANY:-0}", "The number of containers of workers is set to 0"),
    ],
)
def test_what_this_engine_refuses_of_an_override_is_found_before_the_gate_closes(
    site: DemoSite, asked: str, said: str
) -> None:
    override = site.directory / "compose.override.yaml"
    original = override.read_text()
    override.write_text(original.replace("  workers:\n", f"  workers:\n    {asked}\n", 1))
    try:
        ended = site.deploy("1.1.0", "--no-backup", code=10)
    finally:
        override.write_text(original)
    assert said in ended["problem"][0]
    assert "close-gate" not in {step["name"] for step in ended["steps"]}
    with closing(site.engine()) as client:
        assert client.api.containers(all=True, filters={"name": f"{site.project}-graasp-local-trial"}) == []


def test_a_docker_command_without_compose_is_exit_3(new_site: DemoSite, tmp_path: Path) -> None:
    """A docker client that knows no compose command, as on a machine without the plugin."""
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n")
    client.chmod(0o755)
    done = new_site.run("deploy", "--version", "1.0.0", code=3, env={"PATH": str(client.parent)})
    assert "Docker has no Compose plugin" in done.stderr


def test_compose_v1_is_exit_3(new_site: DemoSite, tmp_path: Path) -> None:
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho 1.29.2\n")
    client.chmod(0o755)
    done = new_site.run("deploy", "--version", "1.0.0", code=3, env={"PATH": str(client.parent)})
    assert "Compose 1.29.2 is too old" in done.stderr


def test_no_docker_command_is_exit_3(new_site: DemoSite, tmp_path: Path) -> None:
    done = new_site.run("deploy", "--version", "1.0.0", code=3, env={"PATH": str(tmp_path)})
    assert "The docker command is not installed" in done.stderr


def test_a_database_password_that_was_changed_is_named(site: DemoSite) -> None:
    env = site.directory / ".env"
    original = env.read_text()
    password = next(line for line in original.splitlines() if line.startswith("POSTGRES_PASSWORD="))
    env.write_text(original.replace(password, "POSTGRES_PASSWORD=another-password-0123"))
    try:
        ended = site.deploy("1.1.0", code=10)
    finally:
        env.write_text(original)
    assert "POSTGRES_PASSWORD in .env is not the one" in str(ended["problem"])
    assert site.status()["state"] == "running"


def test_a_shell_variable_does_not_change_what_the_sites_files_say(site: DemoSite) -> None:
    done = site.run("deploy", "--version", "1.1.0", "--json", env={"GRAASP_VERSION": "9.9.9", "HTTP_PORT": "1"})
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == "done"
    assert site.status()["version"] == "1.1.0"


@pytest.mark.parametrize("words", [["status"], ["history"], ["versions"], ["logs", "-n", "5"], ["bypass"]])
def test_reading_commands_change_nothing(site: DemoSite, words: list[str]) -> None:
    before = {name: (found["Id"], found["State"]["StartedAt"]) for name, found in site.containers().items()}
    site.run(*words)
    assert {name: (found["Id"], found["State"]["StartedAt"]) for name, found in site.containers().items()} == before


def test_an_address_that_the_machine_does_not_have_is_named(new_site: DemoSite) -> None:
    new_site.configure(HTTP_BIND="192.0.2.9")
    ended = new_site.deploy("1.0.0", code=10)
    said = f"Port {new_site.port} cannot be opened: 192.0.2.9 is not an address of this machine."
    assert said in " ".join(ended["problem"])
