"""The image store of containerd, Engine 29's default: an image goes with its last tag, a digest proves no registry."""

from __future__ import annotations

import json
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from graasp_local.engine.images.kept import kept_repository
from tests.integration.demo_site import DemoSite

REPOSITORY = Path(__file__).parents[2]
PRIVATE_ENGINE = REPOSITORY / "scripts" / "private-engine"
VERSIONED = ("core", "workers", "migrate")
BESIDE = ("nginx:1.22", "postgres:15", "redis:7", "meilisearch:1", "umami:3")


@pytest.fixture(scope="module")
def containerd_engine() -> Iterator[str]:
    """DOCKER_HOST of an engine with that store, with the demo images that are needed here on it."""
    with tempfile.TemporaryDirectory(prefix="graasp-local-store-", dir="/var/tmp") as place:
        started = subprocess.run(
            [PRIVATE_ENGINE, "start", "--containerd-store", place], check=True, capture_output=True, text=True
        )
        try:
            host = started.stdout.strip()
            versions = [
                f"graasp:{name}-v{v}" for name in VERSIONED for v in ("1.0.0", "1.2.0", "1.3.0-migration-fails")
            ]
            wanted = [f"localhost/graasp-demo/{name}" for name in (*versions, *BESIDE)]
            save = subprocess.Popen(["docker", "save", *wanted], stdout=subprocess.PIPE)
            subprocess.run(["docker", "--host", host, "load", "--quiet"], stdin=save.stdout, check=True, timeout=300)
            assert save.wait() == 0
            yield host
        finally:
            subprocess.run([PRIVATE_ENGINE, "stop", place], check=True, timeout=120)


@pytest.fixture(scope="module")
def site(containerd_engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    site = DemoSite(tmp_path_factory.mktemp("store") / "site", containerd_engine)
    try:
        yield site
    finally:
        site.down()


@pytest.fixture(scope="module")
def build(site: DemoSite, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Builds 1.4.0 from sources that are different each time."""
    sources = tmp_path_factory.mktemp("sources")
    (sources / "docker").mkdir()

    def build() -> None:
        for service, name in zip(VERSIONED, ("Dockerfile", "workers.Dockerfile", "migrate.Dockerfile"), strict=True):
            lines = [f"FROM localhost/graasp-demo/graasp:{service}-v1.2.0", f"LABEL build={uuid.uuid4().hex}"]
            lines += ["ARG APP_VERSION", "ENV APP_VERSION=$APP_VERSION"]
            (sources / "docker" / name).write_text("\n".join(lines) + "\n")
        site.run("build", "--version", "1.4.0", "--from", str(sources))

    return build


def images(site: DemoSite) -> dict[str, str]:
    return {name: found["Image"] for name, found in site.containers().items()}


def test_a_failed_deployment_is_rolled_back_to_a_build_whose_tag_was_moved(
    site: DemoSite, build: Callable[[], None]
) -> None:
    with closing(site.engine()) as client:
        assert client.api.info()["DriverStatus"] == [["driver-type", "io.containerd.snapshotter.v1"]]
    site.deploy("1.0.0")
    build()
    site.deploy("1.4.0")
    served = images(site)
    build()
    ended = site.deploy("1.3.0-migration-fails", code=20)
    assert (ended["outcome"], ended["version"]) == ("rolled-back", "1.4.0")
    assert images(site) == served
    assert site.ask("/").status == 200
    assert max(map(len, site.run("status").stdout.splitlines())) < 120
    assert max(map(len, site.run("images", "list").stdout.splitlines())) < 120


def test_what_runs_can_be_stopped_and_started_though_its_tags_were_removed(site: DemoSite) -> None:
    before = images(site)
    with closing(site.engine()) as client:
        for name in ("graasp:core-v1.4.0", "redis:7", "postgres:15"):
            client.api.remove_image(f"localhost/graasp-demo/{name}", force=True)
    site.run("backup")
    site.run("apply", "stopped")
    started = site.run("apply", "running")
    assert "docker tag sha256:" in started.stderr
    assert images(site) == before
    assert site.ask("/").status == 200


def cores_kept(site: DemoSite) -> set[str]:
    """The tags by which the engine keeps builds of core for the site."""
    with closing(site.engine()) as client:
        found = client.api.images(name=kept_repository(site.project))
        return {tag for image in found for tag in image["RepoTags"] if ":core-" in tag}


def test_a_success_is_rolled_back_though_the_tag_was_moved(site: DemoSite, build: Callable[[], None]) -> None:
    served = images(site)
    assert len(cores_kept(site)) == 3  # the failed one too
    site.deploy("1.2.0")
    assert len(cores_kept(site)) == 2
    build()
    site.run("rollback", "--yes", "--discard", "written-since")
    assert images(site) == served
    assert site.status()["version"] == "1.4.0"


def test_images_are_carried_from_one_store_to_the_other(site: DemoSite, tmp_path: Path) -> None:
    file, back = tmp_path / "images", tmp_path / "back"
    site.run("images", "save", "1.2.0", str(file))
    with closing(docker.from_env()) as client:
        before = client.images.get("localhost/graasp-demo/graasp:core-v1.2.0").attrs["RootFS"]
    site.run("images", "load", str(file), on_site=False, env={"DOCKER_HOST": _usual_host()})
    with closing(docker.from_env()) as client:
        assert client.images.get("localhost/graasp-demo/graasp:core-v1.2.0").attrs["RootFS"] == before
    with closing(site.engine()) as client:
        client.api.remove_image("localhost/graasp-demo/graasp:migrate-v1.2.0", force=True)
    site.run("images", "save", "1.2.0", str(back), env={"DOCKER_HOST": _usual_host()})
    site.run("images", "load", str(back), on_site=False)
    told = json.loads(site.run("images", "list", "1.2.0", "--json").stdout)["images"]
    assert all(image["id"] for image in told)


def _usual_host() -> str:
    from graasp_local.engine.reach.addresses import engine_address

    return engine_address()
