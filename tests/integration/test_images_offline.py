"""Images that come from no registry: built from sources here, or carried here as one file."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite, wait_for
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


def commit(sources: Path, message: str, tag: str) -> None:
    """Commit everything in a repository, made at the first time, and tag it."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@school.example")
    for words in (("init", "--quiet"), ("add", "--all"), (*who, "commit", "--quiet", "-m", message), ("tag", tag)):
        subprocess.run(["git", *words], cwd=sources, check=True, capture_output=True, timeout=60)


@pytest.fixture
def github(checkout: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which git finds Graasp's repositories in a directory: core and the client, tagged v7.0.0.

    v7.1.0 is a version that cannot be built.
    """
    client = tmp_path / "client-sources"
    (client / "docker").mkdir(parents=True)
    dockerfile = (
        "FROM localhost/graasp-demo/graasp:client-v1.2.0\nARG VITE_GRAASP_API_HOST\nLABEL api=$VITE_GRAASP_API_HOST\n"
    )
    (client / "docker" / "client.Dockerfile").write_text(dockerfile)
    commit(client, "The client", "v7.0.0")
    commit(checkout, "A version", "v7.0.0")
    (checkout / "docker" / "Dockerfile").write_text(
        "FROM localhost/graasp-demo/graasp:core-v1.2.0\nRUN echo no luck; false\n"
    )
    commit(checkout, "One that cannot be built", "v7.1.0")
    hub = tmp_path / "hub"
    for name, sources in (("graasp", checkout), ("client", client)):
        words = ["git", "clone", "--quiet", "--bare", str(sources), str(hub / name)]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    instead = {"GIT_CONFIG_KEY_0": f"url.file://{hub}/.insteadOf", "GIT_CONFIG_VALUE_0": "https://github.com/graasp/"}
    return {"GIT_CONFIG_COUNT": "1", **instead}


def test_a_version_is_built_from_the_tag_of_its_sources(
    new_site: DemoSite, repository: str, github: dict[str, str]
) -> None:
    set_in_env(new_site, GRAASP_REPOSITORY=repository, COMPOSE_PROFILES="client")
    unknown = new_site.run("build", "--version", "7.0.0", "--only", "client", code=10, env=github).stderr
    assert "does not know which version of the client belongs to 7.0.0" in unknown
    built = new_site.run("build", "--version", "7.0.0", "--client-tag", "v7.0.0", "--json", env=github)
    assert set(json.loads(built.stdout)["images"]) == {"core", "workers", "migrate", "client"}
    assert "git clone --quiet --depth 1 --branch v7.0.0 -- https://github.com/graasp/graasp" in built.stderr
    told = docker("image", "inspect", "--format", "{{.Config.Env}}", f"{repository}:core-v7.0.0")
    assert "APP_VERSION=v7.0.0" in told
    address = docker("image", "inspect", "--format", '{{index .Config.Labels "api"}}', f"{repository}:client-v7.0.0")
    assert address == f"{new_site.setting('PUBLIC_URL')}/api"
    assert new_site.deploy("7.0.0")["outcome"] == "done"

    said = new_site.run("build", "--version", "7.0.1", "--only", "core", code=10, env=github).stderr
    assert "https://github.com/graasp/graasp has no tag v7.0.1" in said
    said = new_site.run("build", "--version", "7.1.0", "--only", "core", code=10, env=github).stderr
    log = new_site.directory / ".graasp-local" / "builds" / "7.1.0-core.log"
    assert "no luck" in said
    assert str(log) in said
    assert "no luck" in log.read_text()
    assert new_site.status()["state"] == "running"


def test_images_that_cannot_draw_a_pdf_are_reported_and_completed(new_site: DemoSite, repository: str) -> None:
    """As published ones are; what apt-get would fetch from the network, one of the image's own makes."""
    apt = "#!/bin/sh\\n[ $1 = install ] || exit 0\\nfor name in gm gs; do echo >/usr/bin/$name; done\\n"
    for service in SERVICES:
        text = (
            f"FROM localhost/graasp-demo/graasp:{service}-v1.0.0\nUSER root\n"
            f"RUN rm -f /usr/local/bin/gm /usr/local/bin/gs; printf '{apt}' >/usr/bin/apt-get\nUSER node\n"
        )
        docker("build", "--quiet", "--tag", f"{repository}:{service}-v1.0.0", "-", text=text)
    set_in_env(new_site, GRAASP_REPOSITORY=repository)
    image = f"{repository}:core-v1.0.0"
    before = docker("image", "inspect", "--format", "{{.Id}}", image)

    def told() -> list[dict[str, str]]:
        findings = json.loads(new_site.run("doctor", "--json", "--version", "1.0.0").stdout)["findings"]
        return [found for found in findings if "core crashes when a user uploads a PDF" in found["said"]]

    assert told()[0]["fix"].startswith("`graasp-local images complete 1.0.0`")
    new_site.run("images", "complete", "1.0.0")
    assert told() == []
    completed, user = docker("image", "inspect", "--format", "{{.Id}} {{.Config.User}}", image).split()
    assert (completed != before, user) == (True, "node")
    assert "are already complete" in new_site.run("images", "complete", "1.0.0").stdout
    assert new_site.deploy("1.0.0")["outcome"] == "done"
    assert new_site.containers()["core"]["Image"] == completed


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


def test_a_build_that_is_ended_ends_docker_too(new_site: DemoSite, repository: str, checkout: Path) -> None:
    set_in_env(new_site, GRAASP_REPOSITORY=repository)
    dockerfile = checkout / "docker" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "RUN sleep 300\n")
    building = new_site.start("build", "--version", "7.0.0", "--from", str(checkout), "--only", "core")
    children = Path(f"/proc/{building.pid}/task/{building.pid}/children")
    log = new_site.directory / ".graasp-local" / "builds" / "7.0.0-core.log"
    wait_for(lambda: log.exists() and "RUN sleep 300" in log.read_text(), "the long step has begun")
    (child,) = children.read_text().split()
    building.terminate()
    _, said = building.communicate(timeout=60)
    assert (building.returncode, said.splitlines()[-1]) == (
        130,
        "Interrupted: `graasp-local status` shows the state of the site.",
    )
    assert not Path(f"/proc/{child}").exists()


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
    assert "`graasp-local images pull 8.0.0` pulls them" in refused
    loaded = small_site.run("images", "load", str(file), on_site=False)
    assert "8.0.0" in loaded.stdout
    assert ids(small_site) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graasp.images", "site"]


def test_an_existing_file_is_not_overwritten(small_site: DemoSite, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert "already exists" in small_site.run("images", "save", "8.0.0", str(tmp_path / "mine"), code=2).stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_that_was_cut_short_on_its_way_loads_nothing(small_site: DemoSite, tmp_path: Path) -> None:
    file, before = tmp_path / "graasp.images", ids(small_site)
    small_site.run("images", "save", "8.0.0", str(file))
    docker("rmi", *before)
    file.write_bytes(file.read_bytes()[:-2000])
    assert "is not a complete file" in small_site.run("images", "load", str(file), code=10, on_site=False).stderr
    assert set(ids(small_site).values()) == {None}
