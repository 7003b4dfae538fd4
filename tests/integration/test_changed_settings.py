"""What a changed `.env`, or an image that was built again, makes anew: that, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.docker_command import docker

CORE = "localhost/graasp-demo/graasp:core-v1.0.0"


@pytest.fixture
def another_core(site: DemoSite) -> Iterator[str]:
    """Another image of the same core."""
    name = f"localhost/{site.project}:core"
    docker("build", "--quiet", "--tag", name, "-", text=f"FROM {CORE}\nLABEL another=yes\n")
    yield name
    docker("rmi", "--force", name)


def made_anew(site: DemoSite, before: dict[str, str]) -> set[str]:
    return {name for name, found in site.containers().items() if before.get(name) != found["Id"]}


def ids(site: DemoSite) -> dict[str, str]:
    return {name: found["Id"] for name, found in site.containers().items()}


@pytest.mark.parametrize(
    ("changed", "services"),
    [
        ({"LOG_LEVEL": "debug"}, {"core", "workers"}),
        ({"MAINTENANCE_RETRY_AFTER": "61"}, {"nginx"}),
        ({"BACKUP_KEEP_COUNT": "9"}, set()),
        ({"FRAME_ANCESTORS": "https://moodle.school.example"}, {"nginx"}),
    ],
)
def test_a_changed_setting_makes_only_those_anew_that_it_concerns(
    site: DemoSite, changed: dict[str, str], services: set[str]
) -> None:
    before = ids(site)
    site.configure(**changed)
    assert (site.status()["state"] == "running") == (not services)
    site.run("apply", "running")
    assert made_anew(site, before) == services
    assert site.status()["state"] == "running"


def test_core_is_made_anew_from_the_image_that_env_names(site: DemoSite, another_core: str) -> None:
    before = ids(site)
    site.configure(CORE_IMAGE=another_core)
    site.run("apply", "running")
    assert made_anew(site, before) == {"core"}
    image = docker("image", "inspect", "--format", "{{.Id}}", another_core)
    assert site.containers()["core"]["Image"] == image
    # And back, to what was deployed.
    site.configure(CORE_IMAGE="")
    site.run("apply", "running")
    assert site.containers()["core"]["Image"] == docker("image", "inspect", "--format", "{{.Id}}", CORE)


def test_addresses_that_core_has_kept_are_forgotten_when_the_site_has_another(site: DemoSite) -> None:
    def redis(*words: str) -> str:
        return site.run("compose", "--", "exec", "-T", "redis", "redis-cli", *words).stdout.strip()

    redis("set", "file_service_url_caching:files/a", "http://localhost/files/a")
    redis("set", "something-else", "kept")
    site.configure(PUBLIC_URL=f"http://graasp.localhost:{site.port}", COOKIE_DOMAIN="graasp.localhost")
    assert "cleared the addresses" in site.run("apply", "running").stderr
    assert redis("keys", "*").split() == ["something-else"]
