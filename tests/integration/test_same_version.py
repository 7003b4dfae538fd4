"""The version that runs already, deployed again: to other images that its tags lead to by now, or to repair a site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker
from tests.integration.own_tags import SERVICES, OwnTags, image


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnTags]:
    tags = OwnTags(DemoSite(tmp_path_factory.mktemp("same") / "site"), "1.0.0", "1.1.0")
    try:
        tags.site.deploy("1.0.0")
        yield tags
    finally:
        tags.site.down()
        tags.forget()


@pytest.fixture
def fresh(tags: OwnTags) -> OwnTags:
    """With the tags where they were at first, running 1.0.0 or 1.1.0 of those."""
    version = tags.site.status()["version"]
    for service in SERVICES:
        tags.point(service, version, image(service, version))
    tags.site.deploy(version)
    return tags


def served(tags: OwnTags, version: str) -> None:
    told = tags.site.status()
    assert (told["state"], told["gate"], told["version"], told["unfinished"]) == ("running", "open", version, None)


def test_what_was_built_under_its_name_is_deployed_and_rolled_back(fresh: OwnTags, tmp_path: Path) -> None:
    before, version = fresh.core(), fresh.site.status()["version"]
    assert fresh.site.deploy(version)["outcome"] == "nothing-to-do"
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text(f"FROM {image('core', version)}\nLABEL built=again\n")
    told = fresh.site.run("build", "--version", version, "--from", str(tmp_path), "--only", "core")
    assert f"graasp-local deploy --version {version}" in told.stderr
    shown = fresh.site.run("deploy", "--version", version, "--dry-run").stdout
    assert f"{version} is already running, and its images of core have changed" in shown
    assert fresh.site.deploy(version)["outcome"] == "done"
    built = docker("image", "inspect", "--format", "{{.Id}}", f"{fresh.repository}:core-v{version}")
    assert fresh.core() == built != before
    assert fresh.site.deploy(version)["outcome"] == "nothing-to-do"
    fresh.site.run("rollback")
    assert fresh.core() == before
    served(fresh, version)


@pytest.mark.parametrize(("service", "bad"), [("core", "1.3.0-wrong-version"), ("migrate", "1.3.0-migration-fails")])
def test_what_fails_behind_the_gate_is_rolled_back_to_images_and_data_from_before(
    fresh: OwnTags, service: str, bad: str
) -> None:
    before, version = fresh.core(), fresh.site.status()["version"]
    item = fresh.site.create_item(f"written before {bad}")
    fresh.point(service, version, image(service, bad))
    ended = fresh.site.deploy(version, code=20)
    assert (ended["outcome"], ended["version"]) == ("rolled-back", version)
    assert fresh.core() == before
    assert item in {str(row[0]) for row in fresh.site.database("graasp", "SELECT id FROM item")}
    served(fresh, version)


def test_a_broken_site_is_repaired_and_rollback_then_goes_to_before_the_last_change(fresh: OwnTags) -> None:
    site = fresh.site
    if site.status()["version"] == "1.0.0":
        site.deploy("1.1.0")
    docker("kill", site.containers()["core"]["Id"])
    docker("rm", "--force", site.containers()["workers"]["Id"])
    assert site.deploy("1.1.0")["outcome"] == "done"
    served(fresh, "1.1.0")
    assert "1.1.0 has changed the database" in site.run("rollback", code=10).stderr
    site.run("rollback", "--discard", "written-since")
    served(fresh, "1.0.0")


def test_it_is_repaired_though_its_tags_were_removed(fresh: OwnTags) -> None:
    version, before = fresh.site.status()["version"], fresh.core()
    docker("rmi", "--force", *(fresh.tag(service, version) for service in SERVICES))
    assert json.loads(fresh.site.run("doctor", "--json").stdout)["exit_code"] == 0
    assert fresh.site.deploy(version)["outcome"] == "nothing-to-do"
    docker("rm", "--force", fresh.site.containers()["core"]["Id"])
    assert fresh.site.deploy(version)["outcome"] == "done"
    assert fresh.core() == before
    served(fresh, version)


def test_killed_after_the_other_images_were_selected_it_is_resumed(fresh: OwnTags) -> None:
    """Rolled back: tests/matrix/test_killed_same_version.py."""
    version = fresh.site.status()["version"]
    other = fresh.point_to_other_build("core", version)
    killed_at(fresh.site, version, "start-graasp")
    fresh.site.run("resume")
    assert fresh.core() == other
    served(fresh, version)


def killed_at(site: DemoSite, version: str, step: str) -> None:
    """SIGKILL once the step has begun."""
    process = site.start("deploy", "--version", version, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if f'"name": "{step}"' in line and '"event": "step-started"' in line:
            process.kill()
            break
    process.wait()
