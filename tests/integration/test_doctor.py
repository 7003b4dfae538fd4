"""The doctor on the real engine: a site that is well, and what it finds when something is not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from tests.integration.demo_site import DemoSite


def findings(site: DemoSite, *words: str, code: int = 0, env: dict[str, str] | None = None) -> dict[str, Any]:
    """By check; of several findings of one check the worst."""
    told = json.loads(site.run("doctor", "--json", *words, code=code, env=env).stdout)
    assert told["exit_code"] == code
    order = ["ok", "unknown", "warning", "fails"]
    ordered = sorted(told["findings"], key=lambda finding: order.index(finding["verdict"]))
    return {finding["check"]: finding for finding in ordered}


@contextmanager
def edited(site: DemoSite, key: str, value: str) -> Iterator[None]:
    env = site.directory / ".env"
    original = env.read_text()
    env.write_text("\n".join(f"{key}={value}" if line.startswith(f"{key}=") else line for line in original.split("\n")))
    try:
        yield
    finally:
        env.write_text(original)


def test_a_running_site_has_no_findings(site: DemoSite) -> None:
    before = {name: (found["Id"], found["State"]["StartedAt"]) for name, found in site.containers().items()}
    told = findings(site)
    well = ["engine", "compose", "images", "disk", "ports", "names", "certificate", "volumes", "postgres", "unfinished"]
    assert {check: told[check]["verdict"] for check in well} == dict.fromkeys(well, "ok")
    assert "Postgres 15" in told["postgres"]["said"]
    assert {name: (found["Id"], found["State"]["StartedAt"]) for name, found in site.containers().items()} == before


def test_a_postgres_of_another_major_is_found_before_it_fails_to_start(site: DemoSite) -> None:
    with edited(site, "DB_IMAGE", "localhost/graasp-demo/postgres:17"):
        told = findings(site, code=10)["postgres"]
    assert "written by Postgres 15, but the image is Postgres 17" in told["said"]
    assert "DB_IMAGE" in told["fix"]


def test_images_that_are_nowhere_are_found(site: DemoSite) -> None:
    told = findings(site, "--version", "9.9.9", code=10)["images"]
    assert told["verdict"] == "fails"
    assert "v9.9.9 is not available" in told["said"]


def test_what_is_left_over_is_found(site: DemoSite) -> None:
    client = docker.from_env()
    labels = {PROJECT_LABEL: site.project, "com.docker.compose.volume": "pg", "com.docker.compose.service": "search"}
    labels["com.docker.compose.oneoff"] = "False"
    volume = client.volumes.create(f"{site.project}_pg", labels=labels)
    container = client.containers.create(
        "localhost/graasp-demo/redis:7", name=f"{site.project}-search-1", labels=labels
    )
    try:
        told = json.loads(site.run("doctor", "--json").stdout)["findings"]
        # What others left on this engine may be named next to it.
        said = {check: [f["said"] for f in told if f["check"] == check] for check in ("containers", "volumes")}
        assert any(f"{site.project}-search-1" in sentence for sentence in said["containers"])
        assert any(f"{site.project}_pg" in sentence for sentence in said["volumes"])
    finally:
        container.remove(force=True)
        volume.remove()


def test_a_port_in_use_is_found(new_site: DemoSite) -> None:
    with socket.create_server(("127.0.0.1", new_site.port)):
        told = findings(new_site, code=10)
    assert "in use by" in told["ports"]["said"]
    assert told["images"]["verdict"] == "unknown"
    assert "doctor --version X" in told["images"]["said"]
    assert new_site.containers() == {}


def test_without_an_engine_the_rest_is_checked(site: DemoSite) -> None:
    told = findings(site, code=10, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert told["engine"]["verdict"] == "fails"
    assert {told[check]["verdict"] for check in ("images", "disk", "ports", "postgres")} == {"unknown"}
    assert told["names"]["verdict"] == "ok"
