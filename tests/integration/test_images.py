"""Images from a real registry: what is refused before anything is changed, and what a deployment is pinned to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker
from tests.integration.registry import PASSWORD, USER, Registry, running_registry

BAD = "1.3.0-wrong-version"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        for service in ("core", "workers", "migrate"):
            registry.push_other_build(f"{service}-v1.0.0")
        registry.push_version(BAD)
        registry.push_version("1.1.0", "core", "migrate")
        yield registry


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[DemoSite]:
    """A site whose images come from the registry, with 1.0.0 deployed from there."""
    site = site_of(registry, tmp_path_factory.mktemp("images") / "site")
    try:
        site.deploy("1.0.0")
        yield site
    finally:
        site.down()


def site_of(registry: Registry, directory: Path) -> DemoSite:
    site = DemoSite(directory)
    env = directory / ".env"
    env.write_text(
        re.sub(r"^GRAASP_REPOSITORY=.*$", f"GRAASP_REPOSITORY={registry.repository}", env.read_text(), flags=re.M)
    )
    return site


def last_record(site: DemoSite) -> dict[str, Any]:
    lines = (site.directory / ".graasp-local" / "deployments.jsonl").read_text().splitlines()
    record: dict[str, Any] = json.loads(lines[-1])
    return record


def identities(site: DemoSite) -> dict[str, str]:
    return {name: container["Id"] for name, container in site.containers().items()}


def refused(site: DemoSite, version: str) -> str:
    """Deploy what cannot be; the site has to be exactly as it was. Returns what was said."""
    before = identities(site)
    ended = site.deploy(version, code=10)
    assert ended["outcome"] == "refused"
    assert identities(site) == before
    told = site.status()
    assert (told["state"], told["version"], told["gate"], told["unfinished"]) == ("running", "1.0.0", "open", None)
    return " ".join(ended["problem"])


def test_missing_images_are_pulled_and_the_deployment_is_pinned_to_them(site: DemoSite, registry: Registry) -> None:
    digests = last_record(site)["digests"]
    assert set(digests) == {"core", "workers", "migrate"}
    core = site.containers()["core"]
    assert core["Config"]["Image"] == digests["core"]
    assert digests["core"].startswith(f"{registry.repository}:core-v1.0.0@sha256:")


def test_a_missing_tag_is_refused(site: DemoSite) -> None:
    assert "workers-v1.1.0 (neither on the engine nor in the registry" in refused(site, "1.1.0")


def test_an_image_for_another_architecture_is_refused_with_what_to_do(site: DemoSite, registry: Registry) -> None:
    registry.push_version("1.2.0", "core", "migrate")
    name = f"localhost/{registry.namespace}:other"
    docker("build", "--quiet", "--platform", "linux/s390x", "--tag", name, "-", text="FROM scratch\nLABEL other=yes\n")
    registry.push(name, "workers-v1.2.0")
    docker("rmi", name)
    said = refused(site, "1.2.0")
    assert "Made for linux/s390x, but this engine is linux/" in said
    assert "`graasp-local build --version 1.2.0`" in said


def test_a_login_that_has_expired_is_refused(site: DemoSite, registry: Registry) -> None:
    registry.front.forbids = True
    try:
        said = refused(site, BAD)
        told = json.loads(site.run("doctor", "--version", BAD, "--json", code=10).stdout)["findings"]
    finally:
        registry.front.forbids = False
    assert "the registry denied access (403)" in said
    assert f"`docker logout 127.0.0.1:{registry.front.port}`" in said
    found = next(finding for finding in told if finding["check"] == "registry")
    assert (found["verdict"], found["fix"]) == ("warning", f"`docker logout 127.0.0.1:{registry.front.port}`")


def test_a_registry_that_goes_away_in_the_middle_of_a_pull_is_refused(
    site: DemoSite, registry: Registry, tmp_path: Path
) -> None:
    name = f"localhost/{registry.namespace}:big"
    (tmp_path / "bytes").write_bytes(os.urandom(4_000_000))
    subprocess.run(["tar", "-cf", "layer.tar", "bytes"], cwd=tmp_path, check=True)
    docker("import", "--change", "CMD never", str(tmp_path / "layer.tar"), name)
    for service in ("core", "workers", "migrate"):
        registry.push(name, f"{service}-v3.0.0")
    docker("rmi", name)
    registry.front.breaks_off = True
    try:
        said = refused(site, "3.0.0")
    finally:
        registry.front.breaks_off = False
    assert "could not be pulled" in said


def test_a_rollback_uses_the_images_of_the_deployment_though_the_tags_were_moved(
    site: DemoSite, registry: Registry
) -> None:
    before = {name: site.containers()[name]["Image"] for name in ("core", "workers")}
    for service in ("core", "workers", "migrate"):
        registry.push_other_build(f"{service}-v1.0.0")
        docker("pull", "--quiet", f"{registry.repository}:{service}-v1.0.0")
    ended = site.deploy(BAD, code=20)
    assert (ended["outcome"], ended["version"]) == ("rolled-back", "1.0.0")
    assert {name: site.containers()[name]["Image"] for name in ("core", "workers")} == before


def test_a_rollback_pulls_pruned_images_by_digest(site: DemoSite, registry: Registry) -> None:
    before = site.containers()["core"]["Config"]["Image"]
    site.deploy(BAD, "--on-failure", "hold", code=21)
    registry.forget_on_this_machine()
    rolled_back = site.run("rollback")
    assert f"pulled {before}" in rolled_back.stderr
    assert site.containers()["core"]["Config"]["Image"] == before
    assert site.status()["state"] == "running"


def test_a_change_of_state_names_pruned_images_before_it_changes_anything(site: DemoSite, registry: Registry) -> None:
    site.run("apply", "stopped")
    site.run("compose", "--", "--profile", "migration", "rm", "--force", "core", "workers", "migrate")
    registry.forget_on_this_machine()
    before = identities(site), site.running()
    said = site.run("apply", "running", code=10).stderr
    assert "the image of core and workers" in said
    assert (identities(site), site.running()) == before
    assert "`graasp-local compose -- pull core workers`" in said
    site.run("compose", "--", "pull", "core", "workers")
    site.run("apply", "running")
    assert site.status()["state"] == "running"


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with running_registry(tmp_path / "registry", with_login=True) as registry:
        yield registry


def test_a_private_registry_needs_the_engines_own_login_and_nothing_else(private: Registry, tmp_path: Path) -> None:
    site = site_of(private, tmp_path / "site")
    said = site.run("deploy", "--version", "1.0.0", "--dry-run", code=10).stderr
    assert f"the registry requires a login (401); run `docker login 127.0.0.1:{private.front.port}`" in said
    host, login = f"127.0.0.1:{private.front.port}", {"DOCKER_CONFIG": str(tmp_path / "login")}
    words = ["docker", "login", "--username", USER, "--password-stdin", host]
    subprocess.run(words, input=PASSWORD, text=True, check=True, capture_output=True, env={**os.environ, **login})
    said = site.run("deploy", "--version", "1.0.0", "--dry-run", code=10, env=login).stderr
    assert "neither on the engine nor in the registry" in said
