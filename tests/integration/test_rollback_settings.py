"""What a person has changed in a site may be why nothing comes up: the rollback starts what ran before as it ran."""

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


def change(override: Path, service: str, text: str) -> None:
    content = yaml.safe_load(override.read_text())
    content["services"].setdefault(service, {}).update(yaml.safe_load(text))
    override.write_text(yaml.safe_dump(content))


def change_core(override: Path, text: str) -> None:
    change(override, "core", text)


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


def assert_stopped_as_before(site: DemoSite, override: Path, text: str) -> None:
    """A site that cannot be started with a changed override is stopped again, and starts once that is changed back."""
    done = site.run("apply", "running", code=20)
    assert "The site is stopped as before. Changed since it was last known to work: compose.override" in done.stderr
    assert site.running() == set()
    override.write_text(text)
    site.run("apply", "running")
    assert site.item_names() == ["must survive"]


def test_an_override_with_which_a_stopped_site_does_not_start(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    text = own_files[1].read_text()
    site.run("apply", "stopped")
    change_core(own_files[1], "entrypoint: /nonexistent")
    assert_stopped_as_before(site, own_files[1], text)


def test_an_override_with_which_the_database_does_not_start(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    text = own_files[1].read_text()
    change(own_files[1], "db", "entrypoint: /nonexistent")
    site.run("apply", "restricted", code=20)
    assert site.ask("/api/items", AS_BROWSER).status == 200
    site.run("apply", "stopped")
    assert_stopped_as_before(site, own_files[1], text)


def test_a_success_is_rolled_back_though_limits_are_too_small_now(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    site.deploy("1.1.0")
    change_core(own_files[1], "mem_limit: 6m")
    site.run("rollback", "--yes", "--discard", "written-since")
    assert_as_before(site, "compose.override.yaml")


def test_what_is_changed_and_not_in_use_is_not_started_by_scaling(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    change_core(own_files[1], "entrypoint: /nonexistent")
    done = site.run("scale", "core=2", code=10)
    assert "Fix that first: `graasp-local apply running`." in done.stderr
    assert site.ask("/api/items", AS_BROWSER).status == 200


def test_a_mounted_file_that_disappears(site: DemoSite, own_files: tuple[Path, Path]) -> None:
    text = own_files[1].read_text()
    mounted = site.directory / "names"
    mounted.write_text(Path("/etc/services").read_text())
    change_core(own_files[1], "volumes: ['./names:/etc/passwd:ro']")
    site.run("apply", "running")
    mounted.unlink()
    for words in (("deploy", "--version", "1.1.0"), ("apply", "stopped"), ("apply", "running")):
        done = site.run(*words, code=0 if words[1] == "stopped" else 10)
        assert "compose.override.yaml" in done.stderr or words[1] == "stopped"
    own_files[1].write_text(text)
    site.run("apply", "running")
    assert site.item_names() == ["must survive"]


def test_a_port_in_use(site: DemoSite, own_files: tuple[Path, Path]) -> None:
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


def test_a_first_deployment_with_an_override_that_does_not_start(new_site: DemoSite) -> None:
    """A failure leaves nothing in the way of the next attempt, which gets further, nor of the last, which succeeds."""
    site, override = new_site, new_site.directory / "compose.override.yaml"
    text = override.read_text()
    for service in ("nginx", "db", "core"):
        change(override, service, "entrypoint: /nonexistent")
        ended = site.deploy("1.0.0", code=20)
        assert ended["problem"][1] == "The site is stopped as before.", service
        assert site.running() == set(), service
        told = site.status()
        assert (told["state"], told["version"], told["unfinished"]) == ("stopped", None, None), service
        override.write_text(text)
    assert site.deploy("1.0.0")["outcome"] == "done"
    assert site.ask("/api/items", AS_BROWSER).status == 200
