"""What a person has changed in a site may be why nothing comes up: the way back starts what ran before as it ran."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.demo_site import AS_BROWSER, DemoSite

NOTHING_STARTS = {
    "an entrypoint that is not there": "entrypoint: /nonexistent",
    "a health check that fails": "healthcheck: {test: ['CMD', 'false'], interval: 1s, retries: 2, start_period: 0s}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    site = DemoSite(tmp_path_factory.mktemp("settings") / "site")
    try:
        site.deploy("1.0.0")
        site.create_item("must survive")
        yield site
    finally:
        site.down()


@pytest.fixture
def own_files(site: DemoSite) -> Iterator[tuple[Path, Path]]:
    """`.env` and the override, as they were again afterwards, which is what the site then runs with."""
    files = (site.directory / ".env", site.directory / "compose.override.yaml")
    texts = [file.read_text() for file in files]
    yield files
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert site.status()["drift"] == []


def change_core(override: Path, text: str) -> None:
    content = yaml.safe_load(override.read_text())
    content["services"]["core"].update(yaml.safe_load(text))
    override.write_text(yaml.safe_dump(content))


def assert_as_before(site: DemoSite, changed: str) -> None:
    told = site.status()
    assert (told["gate"], told["version"]) == ("open", "1.0.0")
    assert site.ask("/api/items", AS_BROWSER).status == 200
    assert site.item_names() == ["must survive"]
    assert told["drift"], f"{changed} is in the site and not in use, and nothing says so"


@pytest.mark.parametrize("fault", [*NOTHING_STARTS])
def test_an_override_with_which_core_does_not_start(site: DemoSite, own_files: tuple[Path, Path], fault: str) -> None:
    change_core(own_files[1], NOTHING_STARTS[fault])
    ended = site.deploy("1.1.0", code=20)
    assert "settings from before compose.override.yaml changed" in ended["problem"][1]
    assert_as_before(site, fault)


def test_an_override_that_is_only_brought_into_effect(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    change_core(own_files[1], "entrypoint: /nonexistent")
    done = site.run("apply", "running", code=20)
    assert "settings from before compose.override.yaml changed" in done.stderr
    assert_as_before(site, "an entrypoint that is not there")


def test_a_port_that_somebody_else_has(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site.configure(HTTP_PORT=str(taken.getsockname()[1]))
        ended = site.deploy("1.1.0", code=10)
        assert "is in use" in ended["problem"][0]
    assert site.ask("/api/items", AS_BROWSER).status == 200


def test_an_image_that_is_something_else(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    site.configure(REDIS_IMAGE="localhost/graasp-demo/umami:3")
    site.deploy("1.1.0", code=20)
    assert_as_before(site, "REDIS_IMAGE")


def test_a_rollback_that_is_asked_for_does_without_what_was_changed_since(
    site: DemoSite, own_files: tuple[Path, Path]
) -> None:
    change_core(own_files[1], "entrypoint: /nonexistent")
    site.deploy("1.1.0", "--on-failure", "hold", code=21)
    assert site.ask("/", AS_BROWSER).status == 302
    done = site.run("rollback", "--yes")
    assert "Use the settings from before compose.override.yaml changed" in done.stderr
    assert_as_before(site, "compose.override.yaml")
