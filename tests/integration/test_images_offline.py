"""Images that come from no registry: built from sources here, or carried here as one file."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker

SERVICES = ("core", "workers", "migrate")


def set_in_env(site: DemoSite, **values: str) -> None:
    env = site.directory / ".env"
    text = env.read_text()
    for key, value in values.items():
        text = re.sub(rf"^{key}=.*\n", "", text, flags=re.MULTILINE) + f"{key}={value}\n"
    env.write_text(text)


@pytest.fixture
def repository() -> Iterator[str]:
    """A repository name of this test's own; its images are taken away afterwards."""
    name = f"localhost/gltest-{uuid.uuid4().hex[:8]}"
    yield name
    found = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name}").split()
    if found:
        docker("rmi", "--force", *found)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Sources as small as they get: Dockerfiles at the places where Graasp has them."""
    (tmp_path / "sources" / "docker").mkdir(parents=True)
    for service, name in zip(SERVICES, ("Dockerfile", "workers.Dockerfile", "migrate.Dockerfile"), strict=True):
        text = f"FROM localhost/graasp-demo/graasp:{service}-v1.2.0\nARG APP_VERSION\nENV APP_VERSION=$APP_VERSION\n"
        (tmp_path / "sources" / "docker" / name).write_text(text)
    return tmp_path / "sources"


def test_a_version_is_built_from_a_checkout_and_deployed(new_site: DemoSite, repository: str, checkout: Path) -> None:
    set_in_env(new_site, GRAASP_REPOSITORY=repository)
    built = new_site.run("build", "--version", "7.0.0", "--from", str(checkout), "--json")
    assert json.loads(built.stdout)["images"]["core"] == f"{repository}:core-v7.0.0"
    assert "core: [1/1] FROM localhost/graasp-demo/graasp:core-v1.2.0" in built.stderr
    assert new_site.deploy("7.0.0")["outcome"] == "done"
    image = docker("image", "inspect", "--format", "{{.Id}}", f"{repository}:core-v7.0.0")
    assert new_site.containers()["core"]["Config"]["Image"] == image


def test_a_build_that_fails_shows_why_and_keeps_its_log(new_site: DemoSite, repository: str, checkout: Path) -> None:
    set_in_env(new_site, GRAASP_REPOSITORY=repository)
    workers = checkout / "docker" / "workers.Dockerfile"
    workers.write_text(workers.read_text() + "RUN echo the compiler is unhappy && false\n")
    failed = new_site.run("build", "--version", "7.0.0", "--from", str(checkout), code=10)
    assert "the compiler is unhappy" in failed.stderr
    log = new_site.directory / ".graasp-local" / "builds" / "7.0.0-workers.log"
    assert str(log) in failed.stderr
    assert "the compiler is unhappy" in log.read_text()
    assert list(log.parent.iterdir()) == [log]


def test_sources_that_are_not_there_are_refused(new_site: DemoSite, tmp_path: Path) -> None:
    assert (
        "has no docker/Dockerfile"
        in new_site.run("build", "--version", "7.0.0", "--from", str(tmp_path), code=10).stderr
    )
    missing = tmp_path / "nowhere"
    assert (
        f"There is no directory {missing}"
        in new_site.run("build", "--version", "7.0.0", "--from", str(missing), code=10).stderr
    )


@pytest.fixture
def small_site(new_site: DemoSite, repository: str) -> DemoSite:
    """A site whose images hold nothing but a small file: enough to be carried about."""
    listed = json.loads(new_site.run("images", "list", "8.0.0", "--json").stdout)["images"]
    others = [image["service"] for image in listed if image["service"] not in SERVICES]
    for tag in (*(f"{service}-v8.0.0" for service in SERVICES), *others):
        text = f"FROM scratch\nLABEL for={tag}\nCOPY .env /\n"
        docker("build", "--quiet", "--tag", f"{repository}:{tag}", "--file", "-", str(new_site.directory), text=text)
    set_in_env(
        new_site,
        GRAASP_REPOSITORY=repository,
        **{f"{service.upper()}_IMAGE": f"{repository}:{service}" for service in others},
    )
    return new_site


def ids(site: DemoSite) -> dict[str, str | None]:
    told = json.loads(site.run("images", "list", "8.0.0", "--json").stdout)
    return {image["image"]: image["id"] for image in told["images"]}


def test_a_version_is_carried_to_a_machine_without_a_registry(small_site: DemoSite, tmp_path: Path) -> None:
    file, before = tmp_path / "graasp.images", ids(small_site)
    small_site.run("images", "save", "8.0.0", str(file))
    docker("rmi", *before)
    assert set(ids(small_site).values()) == {None}
    refused = small_site.run("images", "save", "8.0.0", str(tmp_path / "again"), code=10).stderr
    assert "`graasp-local images pull 8.0.0` fetches them" in refused
    loaded = small_site.run("images", "load", str(file), on_site=False)
    assert "8.0.0" in loaded.stdout
    assert ids(small_site) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graasp.images", "site"]


def test_a_file_that_is_there_is_not_overwritten(small_site: DemoSite, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert "exists already" in small_site.run("images", "save", "8.0.0", str(tmp_path / "mine"), code=2).stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_that_was_cut_short_on_its_way_loads_nothing(small_site: DemoSite, tmp_path: Path) -> None:
    file, before = tmp_path / "graasp.images", ids(small_site)
    small_site.run("images", "save", "8.0.0", str(file))
    docker("rmi", *before)
    file.write_bytes(file.read_bytes()[:-2000])
    assert "is no complete file" in small_site.run("images", "load", str(file), code=10, on_site=False).stderr
    assert set(ids(small_site).values()) == {None}
